//! Methods on networks whose answers can be worked out by hand.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use zoo_layers::{Conv2d, Graph, Linear, Net, Shape};

use crate::{Error, Method, Occlusion, SmoothGrad, Target, explain, paint, sheet};

/// Two scores, each a weighted sum of the 16 pixels.
fn linear(weights: [[f32; 16]; 2]) -> Net {
    let graph = Graph::build("linear", Shape::map(1, 4, 4), |net, picture| {
        let x = net.flatten(picture)?;
        let logits = net.linear(x, Linear::new(2), "fc")?;
        net.output("logits", logits)
    });
    let weights: Vec<f32> = weights.concat();
    let tensors = HashMap::from([
        ("fc.weight".to_string(), Tensor::from_vec(weights, (2, 16), &Device::Cpu).unwrap()),
        ("fc.bias".to_string(), Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap()),
    ]);
    graph.unwrap().load_tensors(&tensors, &Device::Cpu).unwrap()
}

/// Two maps of a picture, itself and its negative, and two scores of their means.
fn maps(weights: [f32; 4]) -> Net {
    let graph = Graph::build("maps", Shape::map(1, 2, 2), |net, picture| {
        let x = net.conv(picture, Conv2d::k1(2).no_bias(), "conv")?;
        let x = net.global_avg_pool(x)?;
        let logits = net.linear(x, Linear::new(2), "fc")?;
        net.output("logits", logits)
    });
    let tensors = HashMap::from([
        ("conv.weight".to_string(), Tensor::from_vec(vec![1f32, -1.0], (2, 1, 1, 1), &Device::Cpu).unwrap()),
        ("fc.weight".to_string(), Tensor::from_vec(weights.to_vec(), (2, 2), &Device::Cpu).unwrap()),
        ("fc.bias".to_string(), Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap()),
    ]);
    graph.unwrap().load_tensors(&tensors, &Device::Cpu).unwrap()
}

fn picture(values: &[f32], side: usize) -> Tensor {
    Tensor::from_vec(values.to_vec(), (1, 1, side, side), &Device::Cpu).unwrap()
}

#[test]
fn grad_cam_adds_up_maps() {
    // Of class 0: (3 · x + 1 · -x) / 4 pixels, and what is negative is cut off.
    let net = maps([3.0, 1.0, 0.0, 5.0]);
    let target = Target::at(&net, 0, "conv").unwrap();
    let heat = explain(&net, &picture(&[1.0, 2.0, -4.0, 0.0], 2), target, Method::GradCam).unwrap();
    assert_eq!((heat.size(), heat.values()), ([2, 2], &[0.5, 1.0, 0.0, 0.0][..]));
    assert_eq!(Target::new(&net, 0).unwrap(), target, "the last map is the convolution's");
    // Of class 1: 0 · x + 5 · -x.
    let target = Target::new(&net, 1).unwrap();
    let heat = explain(&net, &picture(&[1.0, 2.0, -4.0, 0.0], 2), target, Method::GradCam).unwrap();
    assert_eq!(heat.values(), [0.0, 0.0, 5.0, 0.0]);
}

#[test]
fn the_gradient_of_a_sum_is_its_weights_whatever_the_noise() {
    let mut weights = [[0.0; 16]; 2];
    weights[1][5] = -3.0;
    weights[1][6] = 2.0;
    let net = linear(weights);
    let target = Target::at(&net, 1, "input").unwrap();
    let method = Method::SmoothGrad(SmoothGrad { samples: 4, ..SmoothGrad::default() });
    let heat = explain(&net, &picture(&[0.5; 16], 4), target, method).unwrap();
    let lit: Vec<(usize, f32)> =
        heat.values().iter().copied().enumerate().filter(|(_, value)| *value > 0.0).collect();
    assert_eq!(lit, [(5, 3.0), (6, 2.0)]);
    let none = Method::SmoothGrad(SmoothGrad { samples: 0, ..SmoothGrad::default() });
    let refused = explain(&net, &picture(&[0.5; 16], 4), target, none).unwrap_err();
    assert!(refused.to_string().contains("at least 1"), "{refused}");
}

#[test]
fn what_is_covered_is_missed_where_it_counts() {
    let mut weights = [[0.0; 16]; 2];
    weights[0][0] = 4.0;
    let net = linear(weights);
    let target = Target::at(&net, 0, "input").unwrap();
    let method = Method::Occlusion(Occlusion { side: 1, step: 1 });
    let heat = explain(&net, &picture(&[1.0; 16], 4), target, method).unwrap();
    let plain = 1.0 / (1.0 + (-4.0_f32).exp());
    assert!((heat.values()[0] - (plain - 0.5)).abs() < 1e-6 && heat.values()[1..] == [0.0; 15], "{heat:?}");
    let wide = Method::Occlusion(Occlusion { side: 5, step: 1 });
    let refused = explain(&net, &picture(&[1.0; 16], 4), target, wide).unwrap_err();
    assert!(refused.to_string().contains("5") && refused.to_string().contains("4 pixels"), "{refused}");
}

#[test]
fn what_has_no_map_or_class_is_told() {
    let net = maps([3.0, 1.0, 0.0, 5.0]);
    assert!(matches!(Target::new(&net, 2), Err(Error::UnknownClass { class: 2, classes: 2, .. })));
    let refused = Target::at(&net, 0, "fc").unwrap_err().to_string();
    assert!(refused.contains("`fc` gives 2") && refused.contains("`conv` gives one"), "{refused}");
    assert!(Target::at(&net, 0, "nothing").is_err());
    assert!(matches!(sheet::filters(&linear([[0.0; 16]; 2])), Err(Error::NoFilters { .. })));
    let broken = explain(&net, &picture(&[f32::NAN; 4], 2), Target::new(&net, 0).unwrap(), Method::GradCam);
    assert!(matches!(broken, Err(Error::NotFinite { .. })), "{broken:?}");
}

#[test]
fn sheets_have_a_tile_for_each_map() {
    let net = maps([3.0, 1.0, 0.0, 5.0]);
    let shown = sheet::maps(&net, &picture(&[1.0, 2.0, -4.0, 0.0], 2), "conv").unwrap();
    assert_eq!((shown.width(), shown.height()), (2 * (2 * 48 + 16) + 16, 2 * 48 + 2 * 16));
    assert!(paint::png(&shown).unwrap().starts_with(b"\x89PNG"));
}
