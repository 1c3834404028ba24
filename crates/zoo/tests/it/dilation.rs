//! A stride traded for dilation leaves the strided network's values where they were and adds those between.

use candle_core::{Device, Tensor};
use zoo_layers::{Graph, Head, Mode, Shape};
use zoo_resnet::{Block, ResNet, StrideIn};
use zoo_senet::SeNet;
use zoo_xception::Xception;

use crate::generated;

/// The last map, with generated weights.
fn map(graph: &Graph) -> Tensor {
    let net = graph.load_tensors(&generated::weights(graph), &Device::Cpu).unwrap();
    let picture = generated::input("input", &graph.input().with_batch(1), 1.0);
    net.forward(&picture, Mode::Eval).unwrap()
}

/// Every `factor`-th pixel.
fn every(map: &Tensor, factor: usize) -> Tensor {
    let (_, _, h, w) = map.dims4().unwrap();
    let places = |size: usize| {
        let places: Vec<u32> = (0..size).step_by(factor).map(|place| place as u32).collect();
        Tensor::new(places, &Device::Cpu).unwrap()
    };
    map.index_select(&places(h), 2).unwrap().index_select(&places(w), 3).unwrap()
}

fn check(name: &str, build: impl Fn(usize) -> Graph) {
    let strided = map(&build(32));
    let scale = strided.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    for output_stride in [16, 8] {
        let dense = every(&map(&build(output_stride)), 32 / output_stride);
        assert_eq!(dense.dims(), strided.dims(), "{name} at {output_stride}");
        let off = (dense - &strided).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(off <= 1e-5 * scale, "{name} at {output_stride}: off by {off} of {scale}");
    }
}

#[test]
fn the_dense_network_repeats_the_strided_ones_values() {
    let input = Shape::map(3, 65, 98);
    for block in [Block::Basic, Block::Bottleneck(StrideIn::Conv3x3), Block::Bottleneck(StrideIn::Conv1x1)] {
        let base = ResNet { block, input, head: Head::None, ..ResNet::RESNET18 };
        check(&format!("{block:?}"), |output_stride| {
            ResNet { output_stride, ..base.clone() }.graph().unwrap()
        });
    }
    let base = Xception { input, middle: 1, head: Head::None, ..Xception::XCEPTION };
    check("xception", |output_stride| Xception { output_stride, ..base.clone() }.graph().unwrap());
}

/// The mean that squeeze-and-excitation takes is another over more pixels: only the shape can be compared.
#[test]
fn squeezed_networks_grow_alike() {
    let input = Shape::map(3, 65, 98);
    let base = SeNet { input, units: [1, 1, 1, 1], head: Head::None, ..SeNet::SENET154 };
    let size = |output_stride| map(&SeNet { output_stride, ..base.clone() }.graph().unwrap()).dims().to_vec();
    assert_eq!(size(32), [1, 2048, 3, 4]);
    assert_eq!(size(8), [1, 2048, 9, 13]);
}
