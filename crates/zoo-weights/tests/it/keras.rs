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
