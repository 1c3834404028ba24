//! Safetensors written and read back, and files that are none.

use std::borrow::Cow;
use std::fs;

use serde_json::json;
use zoo_weights::{Dtype, Error, Format, Tensor, TensorFile, save};

#[test]
fn what_is_saved_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.safetensors");
    let values = [1.0f32, -2.0, 3.5, 0.0, 1e-30, f32::MAX];
    let half = Tensor { dtype: Dtype::F16, shape: Cow::Owned(vec![]), bytes: Cow::Owned(vec![0, 0x3c]) };
    let metadata = json!({"model": "lenet5", "accuracy": {"top1": 0.99, "seed": 1}, "classes": ["b", "a"]});
    let tensors = [("fc.weight", Tensor::from_f32(&[2, 3], &values)), ("a", half)];
    save(&path, &tensors, Some(("zoo", &metadata))).unwrap();

    let file = TensorFile::open(&path).unwrap();
    assert_eq!(file.format(), Format::Safetensors);
    assert_eq!(file.shapes().collect::<Vec<_>>(), [("fc.weight", &[2, 3][..]), ("a", &[])]);
    assert_eq!(file.get("fc.weight").unwrap().to_f32().unwrap(), values);
    assert_eq!(file.get("a").unwrap().to_f32().unwrap(), [1.0]);
    assert!(file.get("b").is_none());
    let sorted = r#"{"accuracy":{"seed":1,"top1":0.99},"classes":["b","a"],"model":"lenet5"}"#;
    assert_eq!(file.metadata()["zoo"], sorted);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside the file");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| dir.path().join(name));
    let values = [1.0f32, 2.0];
    for (path, metadata) in paths.iter().zip([json!({"x": 1, "y": 2}), json!({"y": 2, "x": 1})]) {
        save(path, &[("w", Tensor::from_f32(&[2], &values))], Some(("zoo", &metadata))).unwrap();
    }
    assert_eq!(fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.safetensors");
    save(&path, &[("w", Tensor::from_f32(&[2], &[1.0, 2.0]))], None).unwrap();
    let before = TensorFile::open(&path).unwrap();
    let wrong = save(&path, &[("w", Tensor::from_f32(&[3], &[1.0, 2.0]))], None).unwrap_err();
    assert!(matches!(wrong, Error::WrongLength { expected: 12, found: 8, .. }), "{wrong}");
    save(&path, &[("w", Tensor::from_f32(&[2], &[3.0, 4.0]))], None).unwrap();
    assert_eq!(before.get("w").unwrap().to_f32().unwrap(), [1.0, 2.0], "an open file stays as it was");
    assert_eq!(TensorFile::open(&path).unwrap().get("w").unwrap().to_f32().unwrap(), [3.0, 4.0]);
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.safetensors");
    let tensor = Tensor::from_f32(&[1], &[1.0]);
    let error = save(&path, &[("w", tensor.clone()), ("w", tensor)], None).unwrap_err().to_string();
    assert!(error.contains("two tensors are called `w`"), "{error}");
    assert!(!path.exists());
}

#[test]
fn files_that_are_no_weights_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.safetensors");
    save(&path, &[("w", Tensor::from_f32(&[2], &[1.0, 2.0]))], None).unwrap();
    let whole = fs::read(&path).unwrap();

    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        TensorFile::open(&path).unwrap_err()
    };
    assert!(matches!(open(b""), Error::UnknownFormat { .. }));
    assert!(matches!(open(b"<!DOCTYPE html><html>"), Error::Refused { .. }));
    assert!(matches!(open(b"what is this"), Error::UnknownFormat { .. }));
    assert!(matches!(open(&whole[..whole.len() - 1]), Error::Malformed { .. }));
    assert!(matches!(open(&whole[..40]), Error::Malformed { .. }));
    let mut lying = whole.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(open(&lying), Error::Malformed { .. }));
    assert!(matches!(TensorFile::open(dir.path()).unwrap_err(), Error::Io { .. }));
    let absent = TensorFile::open(dir.path().join("absent")).unwrap_err().to_string();
    assert!(absent.starts_with("cannot open ") && absent.contains("absent"), "{absent}");
}
