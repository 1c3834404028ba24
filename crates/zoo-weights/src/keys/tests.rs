//! Every map against the state dicts that the packages themselves build (`tests/scripts/make_keys.py`).

use std::collections::BTreeMap;
use std::io::Read;

use super::*;
use crate::{Dtype, Tensor};

type Shapes = BTreeMap<String, Vec<usize>>;

/// Names and shapes as a package lists them; the bytes are nowhere.
fn entries(list: &str) -> Vec<Entry> {
    let path = format!("{}/tests/fixtures/keys/{list}.txt.gz", env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let entry = |line: &str| {
        let (name, shape) = line.split_once(' ').unwrap();
        let shape: Vec<usize> =
            shape.split(',').filter(|dim| !dim.is_empty()).map(|dim| dim.parse().unwrap()).collect();
        let len = Tensor::byte_len(Dtype::F32, &shape).unwrap();
        Entry { name: name.into(), dtype: Dtype::F32, shape, data: Data::InFile(0..len) }
    };
    text.lines().map(entry).collect()
}

fn shapes(entries: Vec<Entry>) -> Shapes {
    let count = entries.len();
    let shapes: Shapes = entries.into_iter().map(|entry| (entry.name, entry.shape)).collect();
    assert_eq!(shapes.len(), count, "no two tensors get the same name");
    shapes
}

fn mapped(keys: KeyMap, list: &str) -> Shapes {
    let mut entries = entries(list);
    keys.apply(&mut entries, true).unwrap();
    shapes(entries)
}

#[test]
fn mapped_names_and_shapes_are_the_architectures() {
    for (keys, from, to) in [
        (KeyMap::CadeneSenet, "timm-legacy_seresnet50", "timm-seresnet50"),
        (KeyMap::CadeneSenet, "cadene-se_resnet50", "timm-seresnet50"),
        (KeyMap::CadeneSenet154, "timm-legacy_senet154", "timm-senet154"),
        (KeyMap::CadeneSenet154, "cadene-senet154", "timm-senet154"),
        (KeyMap::CadeneXception, "cadene-xception", "timm-legacy_xception"),
        (KeyMap::Identity, "timm-legacy_xception", "timm-legacy_xception"),
        (KeyMap::TimmVgg, "timm-vgg16", "torchvision-vgg16"),
        (KeyMap::TimmMobilenetV2, "timm-mobilenetv2_100", "torchvision-mobilenet_v2"),
        (KeyMap::KerasXception, "keras-Xception", "timm-legacy_xception"),
        (KeyMap::KerasMobilenetV2, "keras-MobileNetV2", "torchvision-mobilenet_v2"),
        (KeyMap::KerasVgg, "keras-VGG16", "torchvision-vgg16"),
        (KeyMap::KerasVgg, "keras-VGG19", "torchvision-vgg19"),
    ] {
        assert_eq!(mapped(keys, from), shapes(entries(to)), "{from} by {keys:?}");
    }
}

#[test]
fn encoders_are_their_architectures_without_the_classifier() {
    for (keys, from, to, classifier) in [
        (KeyMap::CadeneSenet, "smp-se_resnet50", "timm-seresnet50", "fc."),
        (KeyMap::CadeneSenet154, "smp-senet154", "timm-senet154", "fc."),
        (KeyMap::CadeneXception, "smp-xception", "timm-legacy_xception", "fc."),
        (KeyMap::Identity, "smp-resnet18", "torchvision-resnet18", "fc."),
        (KeyMap::Identity, "smp-vgg11_bn", "torchvision-vgg11_bn", "classifier."),
        (KeyMap::Identity, "smp-mobilenet_v2", "torchvision-mobilenet_v2", "classifier."),
    ] {
        let mut expected = shapes(entries(to));
        expected.retain(|name, _| !name.starts_with(classifier));
        assert_eq!(mapped(keys, from), expected, "{from} by {keys:?}");
    }
}

#[test]
fn the_names_of_keras_1_are_known() {
    let mut old = entries("keras-Xception");
    for entry in &mut old {
        let name = entry.name.replace("batch_normalization", "batchnormalization");
        entry.name = name.replace("conv2d", "convolution2d");
    }
    assert!(old.iter().any(|entry| entry.name.starts_with("convolution2d")));
    KeyMap::KerasXception.apply(&mut old, true).unwrap();
    assert_eq!(shapes(old), shapes(entries("timm-legacy_xception")));
}

#[test]
fn behind_what_is_not_the_mean_a_classifier_of_keras_keeps_its_name() {
    for head in ["predictions", "dense"] {
        let mut theirs = entries("keras-Xception");
        for entry in &mut theirs {
            entry.name = entry.name.replace("predictions/", &format!("{head}/"));
        }
        KeyMap::KerasXception.apply(&mut theirs, false).unwrap();
        let theirs = shapes(theirs);
        let kept: Vec<_> = theirs.keys().filter(|name| name.contains('/')).collect();
        assert!(kept.len() == 2 && kept.iter().all(|name| name.starts_with(head)), "{kept:?}");
        assert!(!theirs.contains_key("fc.weight") && theirs.contains_key("conv1.weight"));
    }
}

/// lucid builds its networks on Apple's machines alone, so its lists are made here: torchvision's, with the
/// names that lucid's source gives the layers it calls otherwise.
#[test]
fn lucid_names_lead_back() {
    for (keys, list, renamed) in [
        (
            KeyMap::LucidAlexnet,
            "torchvision-alexnet",
            &[("classifier.1.", "fc6."), ("classifier.4.", "fc7."), ("classifier.6.", "classifier.")][..],
        ),
        (
            KeyMap::LucidVgg,
            "torchvision-vgg16",
            &[("classifier.0.", "fc6."), ("classifier.3.", "fc7."), ("classifier.6.", "classifier.")],
        ),
        (
            KeyMap::LucidResnet,
            "torchvision-resnet18",
            &[("^conv1.", "stem.0."), ("^bn1.", "stem.1."), ("fc.", "classifier.")],
        ),
        (KeyMap::LucidMobilenetV2, "torchvision-mobilenet_v2", &[("classifier.1.", "classifier.")]),
    ] {
        let expected = shapes(entries(list));
        let mut theirs = entries(list);
        for entry in &mut theirs {
            let rename = |&(from, to): &(&str, &str)| {
                entry.name.strip_prefix(from.trim_start_matches('^')).map(|rest| format!("{to}{rest}"))
            };
            let renamed = renamed.iter().find_map(rename);
            entry.name = renamed.unwrap_or_else(|| entry.name.clone());
        }
        assert_ne!(
            shapes(entries(list)),
            theirs.iter().map(|e| (e.name.clone(), e.shape.clone())).collect::<Shapes>()
        );
        keys.apply(&mut theirs, true).unwrap();
        assert_eq!(shapes(theirs), expected, "{keys:?}");
    }
    assert_eq!(tables::rename("classifier.bias", tables::LUCID_GOOGLENET), "fc.bias");
    assert_eq!(tables::rename("backbone.stem.0.weight", tables::LUCID_FCN), "backbone.conv1.weight");
    assert_eq!(tables::rename("classifier.0.weight", tables::LUCID_FCN), "classifier.0.weight");
}

#[test]
fn every_map_of_the_manifest_suits_its_architecture() {
    for weights in crate::Manifest::published().unwrap().weights {
        for source in &weights.sources {
            let fits = match source.keys {
                KeyMap::CadeneSenet => weights.model().starts_with("legacy_se"),
                KeyMap::CadeneSenet154 => weights.model() == "legacy_senet154",
                KeyMap::KerasXception => weights.model() == "xception_keras",
                KeyMap::KerasMobilenetV2 => weights.model() == "mobilenet_v2_keras",
                _ => !weights.model().starts_with("legacy_se"),
            };
            assert!(fits, "{}: {:?}", weights.tag, source.keys);
        }
    }
}

#[test]
fn the_first_dense_layer_of_vgg_is_reordered_from_channels_last() {
    let (side, channels) = (7, 512);
    let input = side * side * channels;
    let values: Vec<u8> = (0..input as u32).flat_map(|value| (value as f32).to_le_bytes()).collect();
    let data = Data::InFile(0..values.len());
    let mut fc1 = [Entry { name: "fc1/kernel".into(), dtype: Dtype::F32, shape: vec![input, 1], data }];
    KeyMap::KerasVgg.apply(&mut fc1, true).unwrap();
    let [fc1] = &fc1;
    assert_eq!((fc1.name.as_str(), fc1.shape.as_slice()), ("classifier.0.weight", &[1, input][..]));
    let mapped = crate::reading::bytes_of(&values, fc1);
    let mapped: Vec<f32> = mapped.as_chunks().0.iter().map(|&raw| f32::from_le_bytes(raw)).collect();
    for (channel, y, x) in [(0, 0, 0), (1, 0, 0), (0, 1, 2), (511, 6, 6), (37, 3, 5)] {
        let theirs = (y * side + x) * channels + channel;
        let ours = (channel * side + y) * side + x;
        assert_eq!(mapped[ours], theirs as f32);
    }
}

#[test]
fn shapes_that_a_layer_can_not_have_are_an_error() {
    for (name, shape) in
        [("fc1/kernel", vec![25_087, 10]), ("Conv1/kernel", vec![3, 3]), ("bn_Conv1/gamma", vec![2, 2])]
    {
        let len = Tensor::byte_len(Dtype::F32, &shape).unwrap();
        let entry = || Entry {
            name: name.into(),
            dtype: Dtype::F32,
            shape: shape.clone(),
            data: Data::InFile(0..len),
        };
        let map = if name.starts_with("fc1") { KeyMap::KerasVgg } else { KeyMap::KerasMobilenetV2 };
        assert!(map.apply(&mut [entry()], true).is_err(), "{name}");
    }
}
