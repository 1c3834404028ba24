//! Files that Keras wrote (`tests/scripts/make_keras.py`), read under the architectures' names.

use std::fs;
use std::path::PathBuf;

use zoo_weights::{Error, Format, KeyMap, TensorFile};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keras").join(name)
}

fn open(name: &str) -> TensorFile {
    TensorFile::open(fixture(name)).unwrap()
}

#[test]
fn every_kind_of_file_equals_its_twin_in_pytorchs_order() {
    for (name, keys, twin) in [
        ("xception.h5", KeyMap::KerasXception, "xception.safetensors"),
        ("xception.weights.h5", KeyMap::KerasXception, "xception.safetensors"),
        ("xception.keras", KeyMap::KerasXception, "xception.safetensors"),
        ("mobilenet.weights.h5", KeyMap::KerasMobilenetV2, "mobilenet.safetensors"),
        ("old.h5", KeyMap::KerasVgg, "old.safetensors"),
    ] {
        let file = open(name);
        assert_eq!(file.format(), Format::Keras);
        let file = file.with_keys(keys).unwrap();
        let twin = open(twin);
        assert_eq!(file.len(), twin.len(), "{name}");
        for (tensor_name, tensor) in file.tensors() {
            assert_eq!(Some(tensor), twin.get(tensor_name), "{name}: {tensor_name}");
        }
    }
}

/// A base and a head under Keras' own names, flat and one inside the other, of the versions that name layers in their
/// groups and those that number them (`tests/scripts/make_keras_nested.py`).
#[test]
fn what_transfer_learning_leaves_equals_its_twin() {
    let twin = open("nested.safetensors");
    for version in ["3_0", "3_3", "3_15"] {
        for kind in ["flat", "nested"] {
            for ending in ["weights.h5", "keras", "h5"] {
                if version == "3_0" && ending == "h5" {
                    continue; // Keras 3.0 can't write one.
                }
                let name = format!("{kind}-{version}.{ending}");
                let file = open(&name);
                let softmax = file.metadata().get("activation").map(String::as_str);
                assert_eq!(softmax, if ending == "weights.h5" { None } else { Some("softmax") }, "{name}");
                let file = file.with_keys(KeyMap::KerasMobilenetV2).unwrap();
                assert_eq!(file.len(), twin.len(), "{name}: {:?}", file.shapes().collect::<Vec<_>>());
                for (tensor_name, tensor) in file.tensors() {
                    assert_eq!(Some(tensor), twin.get(tensor_name), "{name}: {tensor_name}");
                }
            }
        }
    }
}

#[test]
fn a_head_of_several_layers_keeps_its_names_and_the_optimizer_is_left_out() {
    let file = open("deep-3_15.keras");
    assert_eq!(file.metadata()["activation"], "sigmoid");
    let file = file.with_keys(KeyMap::KerasMobilenetV2).unwrap();
    let mut left: Vec<_> = file.shapes().map(|(name, _)| name).filter(|name| name.contains('/')).collect();
    left.sort_unstable();
    assert_eq!(left, ["dense/0", "dense/1", "dense_1/0", "dense_1/1"]);
    assert_eq!(file.len(), 15 + left.len());
}

#[test]
fn without_a_map_the_names_are_keras_own() {
    let file = open("xception.h5");
    let first: Vec<_> = file.shapes().take(2).collect();
    assert_eq!(first, [("block1_conv1/kernel", &[3, 3, 3, 4][..]), ("block1_conv1_bn/gamma", &[4])]);
}

#[test]
fn the_map_is_told_from_the_file_and_networks_that_differ_are_refused() {
    let file = open("xception.h5");
    assert_eq!(KeyMap::detect("xception_keras", &file).unwrap(), KeyMap::KerasXception);
    assert_eq!(KeyMap::detect("vgg16", &file).unwrap(), KeyMap::KerasVgg);
    for (model, why) in [
        ("xception", "load it into xception_keras"),
        ("mobilenet_v2", "load it into mobilenet_v2_keras"),
        ("inception_v3", "no gamma in its norms"),
        ("resnet50", "biases in their convolutions"),
        ("alexnet", "no network of Keras is alexnet"),
    ] {
        let error = KeyMap::detect(model, &file).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn what_keras_does_not_write_is_refused_with_a_way_out() {
    for (name, why) in [
        ("chunked.h5", "in chunks or compressed"),
        ("newer.h5", "libver='earliest'"),
        ("plain.h5", "no model of Keras"),
    ] {
        let error = TensorFile::open(fixture(name)).unwrap_err().to_string();
        assert!(error.contains("is refused") && error.contains(why), "{name}: {error}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let whole = fs::read(fixture("xception.weights.h5")).unwrap();
    for len in (0..whole.len()).step_by(61) {
        assert!(
            TensorFile::from_bytes("cut", whole[..len].to_vec()).is_err(),
            "cut to {len} of {}",
            whole.len()
        );
    }
}
