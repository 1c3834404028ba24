//! Networks that give each pixel a class: pictures of any size, tiles, and what another network learned.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};
use zoo::data::{Channels, Dataset, Picture, Scenes, scenes::Plan};
use zoo::fcn::FcnDigits;
use zoo::layers::{CrossEntropy, Mode, Reach, Route, Shape, rng::Stream};
use zoo::{Error, Network, SEGMENT_MEMORY};
use zoo_train::optim::{Method, Optimizer, Sgd};

fn noise(width: usize, height: usize) -> Picture {
    let mut stream = Stream::new(5, "noise");
    // Patches, so that there is something to see at every scale.
    let patches: Vec<u8> = (0..4096).map(|_| (stream.next_u64() & 255) as u8).collect();
    let at = |x: usize, y: usize| patches[(x / 7 + y / 5 * 61) % 4096] / 2 + patches[(x + y * 67) % 4096] / 2;
    let pixels = (0..width * height).map(|place| at(place % width, place / width)).collect();
    Picture::new(width, height, Channels::Grey, pixels).unwrap()
}

#[test]
fn pictures_of_any_size_get_masks_of_their_own() {
    let net = zoo::model("digits").unwrap().pretrained().unwrap();
    for (width, height) in [(1, 1), (1, 40), (53, 2), (17, 31), (96, 96), (203, 111)] {
        let answer = net.segment(&noise(width, height), SEGMENT_MEMORY).unwrap();
        assert_eq!((answer.mask.width(), answer.mask.height(), answer.tiles), (width, height, 1));
        assert_eq!(answer.areas.iter().sum::<usize>(), width * height);
    }
}

/// The large ones, from one pixel to a photograph, odd sizes included; and in tiles, as the whole within the tolerance that
/// docs/SEGMENTATION.md states.
#[test]
fn large_segmenters_answer_pictures_of_any_size() {
    for name in ["fcn8s", "fcn_resnet50"] {
        let net = learned(name);
        for (width, height) in [(1, 1), (3, 1), (1, 57), (129, 65), (1000, 700)] {
            let answer = net.segment(&noise(width, height), 4 * SEGMENT_MEMORY).unwrap();
            assert_eq!(
                (answer.mask.width(), answer.mask.height(), answer.tiles),
                (width, height, 1),
                "{name}"
            );
            assert_eq!(answer.areas.iter().sum::<usize>(), width * height, "{name}");
        }
        let apart = apart(&net, 40);
        assert!(apart <= 1e-5, "{name}: {apart} of the largest logit");
    }
}

#[test]
fn tiles_are_answered_as_the_whole_is() {
    let net = zoo::model("digits").unwrap().pretrained().unwrap();
    let picture = noise(801, 67);
    let whole = net.segment(&picture, SEGMENT_MEMORY).unwrap();
    let tiled = net.segment(&picture, 24 << 20).unwrap();
    assert!(whole.tiles == 1 && tiled.tiles > 3, "{} {}", whole.tiles, tiled.tiles);
    let pairs = whole.mask.pixels().iter().zip(tiled.mask.pixels());
    // Sums are rounded in another order: a pixel in a million may stand between two classes.
    assert_eq!(pairs.filter(|(whole, tile)| whole != tile).count(), 0);
    assert!(whole.areas.iter().filter(|&&area| area > 0).count() > 3, "{:?}", whole.areas);
    let error = net.segment(&picture, 1 << 10).unwrap_err();
    assert!(matches!(error, Error::Narrow { .. }) && error.to_string().contains("allow more"), "{error}");
    assert!(error.to_string().contains("801x67"), "the picture's own size: {error}");
}

/// A small square of one channel is no digit where each pixel has a class: what is learned from is what is answered.
#[test]
fn small_scenes_are_taken_whole() {
    for side in [28, 48, 64, 65] {
        let net = zoo::model("fcn_digits").unwrap().input_size(side, side).fresh().unwrap();
        let (picture, pipeline) = (noise(side, side), net.prepare().pipeline().unwrap());
        let learned = pipeline.apply(&picture, &Stream::new(1, "none")).unwrap();
        let whole = net.prepare().whole(&picture).unwrap();
        assert_eq!(whole.dims(), [1, 1, side, side]);
        assert_eq!(learned.values, whole.flatten_all().unwrap().to_vec1::<f32>().unwrap(), "{side}");
    }
}

/// What begins with a file's layers sees pictures as they did.
#[test]
fn another_networks_pixels_come_with_its_layers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("start.safetensors");
    let start = zoo::model("fcn8s_small").unwrap().fresh().unwrap();
    start.save(&path).unwrap();
    let plain = zoo::model("fcn16s_small").unwrap().initialised_from(&path).unwrap();
    assert!(plain.report().notes.is_empty(), "{:?}", plain.report().notes);
    let bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    // As Caffe's networks take them.
    let other = header.replace(r#"\"scale\":1.0"#, r#"\"scale\":255.0"#);
    assert_ne!(header, other, "the card says how pictures are prepared: {header}");
    let mut changed = (other.len() as u64).to_le_bytes().to_vec();
    changed.extend(other.as_bytes());
    changed.extend(&bytes[8 + length..]);
    std::fs::write(&path, changed).unwrap();
    let net = zoo::model("fcn16s_small").unwrap().initialised_from(&path).unwrap();
    assert_eq!(net.report().notes.len(), 1, "{:?}", net.report().notes);
    let pixel = |net: &Network| {
        let picture = Picture::new(32, 32, Channels::Grey, vec![255; 32 * 32]).unwrap();
        net.prepare().whole(&picture).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
    };
    assert!(pixel(&net) > 100.0 * pixel(&plain).abs().min(1.0), "{} and {}", pixel(&net), pixel(&plain));
}

/// A network in whose scores nothing is zero, as if it had learned.
fn learned(name: &str) -> Network {
    let net = zoo::model(name).unwrap().seed(3).fresh().unwrap();
    let mut stream = Stream::new(4, "scores");
    for (param, variable) in net.net().unwrap().trainable().unwrap() {
        let values = variable.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        if values.iter().all(|value| *value == 0.0) {
            let scale = 1.0 / (values.len() as f64).sqrt();
            let drawn: Vec<f32> = values.iter().map(|_| (stream.normal() * scale) as f32).collect();
            variable.set(&Tensor::from_vec(drawn, param.shape.as_slice(), &Device::Cpu).unwrap()).unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("learned.safetensors");
    net.save(&path).unwrap();
    // Another one, so that what answers is compiled.
    zoo::model(name).unwrap().weights(&path).unwrap()
}

/// By how much the logits in the middle of a tile are other than the whole picture's, beside the largest.
fn apart(net: &Network, height: usize) -> f32 {
    let Reach { halo, stride } = net.graph().reach().unwrap();
    let halo = halo.next_multiple_of(stride);
    let (tile, width) = (2 * halo + stride, 2 * halo + 4 * stride);
    let mut stream = Stream::new(6, "strip");
    let [channels, classes] = [net.graph().input(), net.graph().get(net.graph().main_output().node).output]
        .map(|shape: Shape| shape.channels());
    let picture: Vec<f32> = (0..channels * height * width).map(|_| stream.normal() as f32).collect();
    let answer = |values: &[f32], width: usize| {
        net.engine([1, channels, height, width]).unwrap().run(values).unwrap().swap_remove(0)
    };
    let cut = |values: &[f32], width: usize, at: usize, count: usize| -> Vec<f32> {
        values.chunks_exact(width).flat_map(|row| row[at..at + count].to_vec()).collect()
    };
    let whole = answer(&picture, width);
    let of_tile = answer(&cut(&picture, width, stride, tile), tile);
    assert_eq!(of_tile.len(), classes * height * tile);
    let largest = whole.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    let [a, b] = [cut(&whole, width, stride + halo, stride), cut(&of_tile, tile, halo, stride)];
    a.iter().zip(&b).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs())) / largest
}

/// The tolerance that docs/SEGMENTATION.md states.
#[test]
fn logits_of_a_tile_are_the_whole_pictures_within_the_stated_tolerance() {
    for name in ["fcn_digits", "fcn32s_small", "fcn16s_small", "fcn8s_small"] {
        let apart = apart(&learned(name), 64);
        assert!(apart <= 1e-5, "{name}: {apart} of the largest logit");
    }
}

#[test]
fn a_classifier_does_not_segment() {
    let error = zoo::model("lenet5").unwrap().check_segments().unwrap_err().to_string();
    assert!(error.contains("no class for each pixel; take a network for segmentation"), "{error}");
    let net = zoo::model("lenet5").unwrap().pretrained().unwrap();
    assert!(matches!(net.segment(&noise(28, 28), SEGMENT_MEMORY), Err(Error::NotASegmenter { .. })));
    let convolutional = zoo::model("lenet5").unwrap().convolutional();
    assert!(convolutional.check_segments().is_err());
}

#[test]
fn what_another_step_learned_is_carried_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coarse.safetensors");
    // Other classes, so that the scores are new.
    let coarse = zoo::model("fcn_digits").unwrap().classes(4).seed(1).fresh().unwrap();
    coarse.save(&path).unwrap();
    let net = zoo::model("fcn_digits").unwrap().seed(2).initialised_from(&path).unwrap();
    let report = net.report();
    let new: BTreeSet<&str> =
        report.newly_initialised.iter().map(|name| name.split('.').next().unwrap()).collect();
    assert_eq!(new, BTreeSet::from(["score"]));
    assert_eq!(report.unexpected.len(), report.newly_initialised.len());
    let value = |net: &zoo::Network, name: &str| {
        let (_, tensor) = net.net().unwrap().tensors().find(|(param, _)| param.name == name).unwrap();
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(value(&net, "conv4_1.weight"), value(&coarse, "conv4_1.weight"));
    let other = zoo::model("lenet5").unwrap().initialised_from(&path).unwrap_err();
    assert!(
        matches!(other, Error::NothingFits { .. }) && other.to_string().contains("conv1_1.weight"),
        "{other}"
    );
}

#[test]
fn the_network_of_digits_takes_any_size_and_fits_into_a_megabyte() {
    let graph = FcnDigits::FCN_DIGITS.graph().unwrap();
    let reach = graph.reach().unwrap();
    assert_eq!(reach.stride, 8);
    assert!((42..240).contains(&reach.halo), "{reach:?}");
    let net = graph.init(3).unwrap();
    let picture = Tensor::ones((1, 1, 19, 33), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(net.forward(&picture, Mode::Eval).unwrap().dims(), [1, 11, 19, 33]);
    let elements: usize = graph.params().map(zoo::layers::Param::elements).sum();
    // In half precision, with a header of a few kilobytes.
    assert!(2 * elements < 1_000_000 - 20_000, "{elements}");
}

/// What each head of FCN-ResNet loses falls, and the auxiliary one's counts half (torchvision's references).
#[test]
fn both_heads_of_a_segmenter_on_resnet_learn() {
    let scenes = Scenes::new(Plan { size: (40, 48), train: 2, ..Plan::default() }).unwrap();
    let (mut values, mut labels) = (Vec::<f32>::new(), Vec::<i64>::new());
    for index in 0..2 {
        let (picture, mask) = scenes.masked(index).unwrap().unwrap();
        let light: Vec<f32> = picture.pixels().iter().map(|&light| f32::from(light) / 64.0 - 2.0).collect();
        (0..3).for_each(|_| values.extend(&light));
        labels.extend(mask.pixels().iter().map(|&label| i64::from(label)));
    }
    let pictures = Tensor::from_vec(values, (2, 3, 40, 48), &Device::Cpu).unwrap();
    let graph = zoo::model("fcn_resnet50").unwrap().classes(11).input_size(40, 48).graph().unwrap();
    let mut net = graph.init(8).unwrap();
    let method = Method::Sgd(Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 });
    let mut optimizer = Optimizer::new(method, &net).unwrap();
    let mut lost: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..5 {
        // The same masks of dropout for each step.
        net.draw_from(8, 0);
        let pass = net.pass(&Route::training(&graph), &[&pictures]).unwrap();
        let mut total = Tensor::zeros((), DType::F32, &Device::Cpu).unwrap();
        for (name, logits) in pass.outputs() {
            let loss = CrossEntropy::default().of(logits, &labels).unwrap();
            lost.entry(name.clone()).or_default().push(f64::from(loss.to_scalar::<f32>().unwrap()));
            let weight = if name == "logits" { 1.0 } else { 0.5 };
            total = (total + (loss * weight).unwrap()).unwrap();
        }
        let gradients = pass.backward(&total.backward().unwrap()).unwrap();
        optimizer.step(&gradients, 0.01).unwrap();
        net.recycle(gradients).unwrap();
    }
    assert_eq!(lost.keys().collect::<Vec<_>>(), ["aux", "logits"]);
    for (name, lost) in &lost {
        assert!(lost[4] < 0.8 * lost[0], "{name} loses {lost:?}");
    }
}
