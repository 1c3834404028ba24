//! Files that PyTorch wrote (`tests/scripts/make_pth.py`), in both of its formats.

use std::fs;
use std::path::PathBuf;

use zoo_weights::{Dtype, Error, Format, TensorFile};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pth").join(name)
}

#[test]
fn both_formats_equal_their_safetensors_twin() {
    let twin = TensorFile::open(fixture("twin.safetensors")).unwrap();
    for name in ["zip.pth", "legacy.pth", "nested.pth"] {
        let file = TensorFile::open(fixture(name)).unwrap();
        assert_eq!(file.format(), Format::Pth);
        assert_eq!(file.len(), 17, "{name}");
        for (tensor_name, tensor) in file.tensors() {
            let expected = twin.get(tensor_name).unwrap();
            assert_eq!(tensor, expected, "{name}: {tensor_name}");
        }
    }
}

#[test]
fn types_and_order_are_kept() {
    let file = TensorFile::open(fixture("zip.pth")).unwrap();
    let types: Vec<_> = file.tensors().map(|(_, tensor)| tensor.dtype).take(10).collect();
    let expected = [
        Dtype::F32,
        Dtype::F16,
        Dtype::Bf16,
        Dtype::F64,
        Dtype::I64,
        Dtype::I32,
        Dtype::I16,
        Dtype::I8,
        Dtype::U8,
        Dtype::Bool,
    ];
    assert_eq!(types, expected);
    assert_eq!(file.get("f16").unwrap().to_f32().unwrap(), file.get("f32").unwrap().to_f32().unwrap());
}

#[test]
fn the_wrapper_of_data_parallel_is_taken_off() {
    let file = TensorFile::open(fixture("wrapped.pth")).unwrap();
    assert_eq!(file.shapes().next().unwrap().0, "module.0.weight");
    let file = file.under("module.", |_| true);
    let names: Vec<_> = file.shapes().map(|(name, _)| name).take(2).collect();
    assert_eq!(names, ["0.weight", "0.bias"]);
    assert_eq!(file.notes(), ["takes `module.` off the names"]);
    assert_eq!(file.get("0.bias").unwrap().to_f32().unwrap(), [0.125, 0.125]);
}

#[test]
fn a_pickle_that_wants_to_run_a_program_is_refused() {
    for name in ["evil.pth", "evil_legacy.pth"] {
        let error = TensorFile::open(fixture(name)).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        let sentence = error.to_string();
        assert!(sentence.contains("asks for `posix.system`"), "{sentence}");
        assert!(sentence.contains("torch.save(model.state_dict(), path)"), "{sentence}");
    }
}

#[test]
fn what_is_no_state_dict_is_refused() {
    for (name, why) in [
        ("module.pth", "`torch.nn.modules.container.Sequential`, a whole model"),
        ("tensor.pth", "no dict of named tensors"),
        ("compressed.pth", "is compressed"),
    ] {
        let error = TensorFile::open(fixture(name)).unwrap_err().to_string();
        assert!(error.contains("is refused") && error.contains(why), "{name}: {error}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for name in ["zip.pth", "legacy.pth"] {
        let whole = fs::read(fixture(name)).unwrap();
        for len in 0..whole.len() {
            let cut = TensorFile::from_bytes(name, whole[..len].to_vec());
            assert!(cut.is_err(), "{name} cut to {len} of {} bytes", whole.len());
        }
    }
}

#[test]
fn a_model_saved_whole_by_an_old_pytorch_is_refused() {
    let head = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    // A persistent id that begins with "module" stands for a class with its source.
    let whole_model = [&head[..], b"\x80\x02X\x06\x00\x00\x00module\x85Q."].concat();
    let error = TensorFile::from_bytes("model.pth", whole_model).unwrap_err().to_string();
    assert!(error.contains("a whole model and its program"), "{error}");
}

/// What stands beside the weights is inert: arguments, numpy's numbers, counters, an optimizer, objects of classes that
/// nobody here knows (`tests/scripts/make_pth_training.py`).
#[test]
fn what_a_training_program_keeps_beside_the_weights_is_left_alone() {
    for name in ["training.pth", "training_legacy.pth"] {
        let file = TensorFile::open(fixture(name)).unwrap();
        let names: Vec<_> = file.shapes().map(|(name, _)| name).collect();
        assert_eq!(names, ["conv.weight", "conv.bias"], "{name}");
        assert_eq!(file.values("conv.bias").unwrap().unwrap(), [1.0; 4]);
        assert_eq!(file.notes(), [] as [&str; 0]);
    }
}

#[test]
fn averaged_weights_are_taken_and_said_and_a_key_takes_the_others() {
    let averaged = TensorFile::open(fixture("averaged.pth")).unwrap();
    assert_eq!(averaged.values("conv.bias").unwrap().unwrap(), [0.5; 4]);
    let [note] = averaged.notes() else { panic!("{:?}", averaged.notes()) };
    for part in ["`state_dict_ema`", "averaged", "timm", "the key `state_dict` takes those"] {
        assert!(note.contains(part), "{note}");
    }
    for (key, bias) in [("state_dict", 1.0), ("state_dict_ema", 0.5)] {
        let file = TensorFile::open_key(fixture("averaged.pth"), Some(key)).unwrap();
        assert_eq!(file.values("conv.bias").unwrap().unwrap(), [bias; 4]);
        assert_eq!(file.notes(), [] as [&str; 0]);
    }
    let inner = TensorFile::open(fixture("inner_ema.pth")).unwrap();
    assert_eq!(inner.values("conv.bias").unwrap().unwrap(), [0.5; 4]);
    assert!(inner.notes()[0].contains("takes `ema.module`, the averaged weights"), "{:?}", inner.notes());
    let error = TensorFile::open_key(fixture("averaged.pth"), Some("teacher")).unwrap_err().to_string();
    assert!(error.contains("nothing under the key `teacher`; it has state_dict"), "{error}");
}

#[test]
fn two_networks_ask_for_a_key() {
    let error = TensorFile::open(fixture("two.pth")).unwrap_err().to_string();
    assert!(error.contains("gen, disc") && error.contains("`TensorFile::open_key`"), "{error}");
    let disc = TensorFile::open_key(fixture("two.pth"), Some("disc")).unwrap();
    assert_eq!(disc.values("conv.bias").unwrap().unwrap(), [0.5; 4]);
}

/// What is no plain tensor of numbers is named, whether it is one that is needed or not.
#[test]
fn kinds_of_tensors_that_are_not_read_are_named() {
    let file = TensorFile::open(fixture("complex.pth")).unwrap();
    let names: Vec<_> = file.shapes().map(|(name, _)| name).collect();
    assert_eq!(names, ["conv.weight", "conv.bias"]);
    let [note] = file.notes() else { panic!("{:?}", file.notes()) };
    assert!(note.contains("leaves out `conv.phase`, a `torch.ComplexFloatStorage` and 1 more"), "{note}");
    let error = TensorFile::open(fixture("expanded.pth")).unwrap_err().to_string();
    assert!(
        error.contains("`conv.bias` of shape [4] repeats the 1 values") && error.contains(".contiguous()"),
        "{error}"
    );
    let pickle = TensorFile::from_bytes("x.pkl", b"\x80\x04\x95\x05}.".to_vec()).unwrap_err().to_string();
    assert!(pickle.contains("a pickle that torch.save did not write"), "{pickle}");
}

#[test]
fn programs_with_weights_inside_are_named() {
    for (name, why) in [
        ("inner_module.pth", "`torch.nn.modules.linear.Linear`, a whole model"),
        ("script.pt", "a TorchScript archive"),
    ] {
        let error = TensorFile::open(fixture(name)).unwrap_err().to_string();
        assert!(error.contains("is refused") && error.contains(why), "{name}: {error}");
    }
}

/// The values that pass by the map are those of the map.
#[test]
fn values_read_from_the_disk_are_the_same() {
    for name in ["zip.pth", "legacy.pth", "twin.safetensors"] {
        let file = TensorFile::open(fixture(name)).unwrap();
        for (tensor_name, tensor) in file.tensors() {
            match (tensor.to_f32(), file.values(tensor_name)) {
                (Ok(mapped), Ok(read)) => assert_eq!(read, Some(mapped), "{name}: {tensor_name}"),
                (mapped, read) => assert_eq!(mapped.is_err(), read.is_err(), "{name}: {tensor_name}"),
            }
        }
    }
}
