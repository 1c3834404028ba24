//! Networks that give each pixel a class: pictures of any size, tiles, and what another network learned.

use std::collections::BTreeSet;

use candle_core::Device;
use zoo::data::{Channels, Picture};
use zoo::fcn::FcnDigits;
use zoo::layers::{Mode, rng::Stream};
use zoo::{Error, SEGMENT_MEMORY};

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

#[test]
fn tiles_are_answered_as_the_whole_is() {
    let net = zoo::model("digits").unwrap().pretrained().unwrap();
    let picture = noise(501, 387);
    let whole = net.segment(&picture, SEGMENT_MEMORY).unwrap();
    let tiled = net.segment(&picture, 24 << 20).unwrap();
    assert!(whole.tiles == 1 && tiled.tiles > 3, "{} {}", whole.tiles, tiled.tiles);
    let pairs = whole.mask.pixels().iter().zip(tiled.mask.pixels());
    // Sums are rounded in another order: a pixel in a million may stand between two classes.
    assert_eq!(pairs.filter(|(whole, tile)| whole != tile).count(), 0);
    assert!(whole.areas.iter().filter(|&&area| area > 0).count() > 3, "{:?}", whole.areas);
    let error = net.segment(&picture, 1 << 10).unwrap_err();
    assert!(matches!(error, Error::Narrow { .. }) && error.to_string().contains("allow more"), "{error}");
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
    let scores = ["score1", "score2", "score3", "score4", "upscore1", "upscore2", "upscore3"];
    assert_eq!(new, BTreeSet::from(scores));
    assert_eq!(report.unexpected.len(), report.newly_initialised.len());
    let value = |net: &zoo::Network, name: &str| {
        let (_, tensor) = net.net().unwrap().tensors().find(|(param, _)| param.name == name).unwrap();
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(value(&net, "conv4_3.weight"), value(&coarse, "conv4_3.weight"));
    let other = zoo::model("lenet5").unwrap().initialised_from(&path).unwrap_err();
    assert!(
        matches!(other, Error::NothingFits { .. }) && other.to_string().contains("conv1_1.weight"),
        "{other}"
    );
}

#[test]
fn the_network_of_digits_begins_as_its_coarsest_scores() {
    let graph = FcnDigits::FCN_DIGITS.graph().unwrap();
    let reach = graph.reach().unwrap();
    assert_eq!(reach.stride, 8);
    assert!((42..96).contains(&reach.halo), "{reach:?}");
    let net = graph.init(3).unwrap();
    let picture = candle_core::Tensor::ones((1, 1, 19, 33), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert_eq!(net.forward(&picture, Mode::Eval).unwrap().dims(), [1, 11, 19, 33]);
    let elements: usize = graph.params().map(zoo::layers::Param::elements).sum();
    // In half precision, with a header of a few kilobytes.
    assert!(2 * elements < 1_000_000 - 20_000, "{elements}");
}
