//! Wrong calls and bad files: one sentence that names the cause and the way out, the right exit code, nothing
//! half-written.

use std::{fs, path::Path};

use crate::{refused, zoo};

#[test]
fn wrong_calls_exit_with_2() {
    refused(&["summary", "resnet5"], 2, &["resnet5", "`resnet50`", "zoo list"]);
    refused(&["predict", "lenet6", "x.png"], 2, &["lenet6", "`lenet5`"]);
    refused(&["summary", "resnet50", "--input", "3x224"], 2, &["3x224"]);
    refused(&["summary", "resnet50", "--bogus"], 2, &["--bogus"]);
    refused(&["summary", "resnet50", "--classes", "0"], 2, &["fc", "0"]);
    refused(&["summary", "resnet50", "--input", "1x224x224"], 2, &["3 channels"]);
    refused(&["train", "resnet50"], 2, &["resnet50", "lenet5"]);
    refused(
        &["features", "lenet5", "assets/digits/1.png", "--at", "conv9", "-o", "f"],
        2,
        &["conv9", "`conv1`"],
    );
    refused(&["predict", "lenet5", "assets/digits/1.png", "--device", "tpu"], 2, &["tpu", "cpu"]);
    refused(&["predict", "lenet5", "assets/digits/1.png", "--device", "cuda:0"], 2, &["cuda"]);
    refused(&["predict", "lenet5", "assets/digits/1.png", "--top", "0"], 2, &["--top"]);
    refused(&["predict", "three_convs", "assets/photos/rocket.jpg"], 2, &["every pixel", "zoo features"]);
    refused(&["train", "lenet5", "--epochs", "0"], 2, &["--epochs"]);
}

/// Whatever the command, and wherever on the way it comes up.
#[test]
fn wrong_values_are_the_callers_and_no_failure_of_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (out, pth, lenet) = (
        at("out.safetensors"),
        "crates/zoo-cli/tests/fixtures/lenet5.pth",
        "crates/zoo/assets/lenet5.safetensors",
    );
    let pictures = at("pictures");
    for class in ["0", "1"] {
        let place = folder.path().join("pictures").join(class);
        fs::create_dir_all(&place).unwrap();
        for digit in 0..8 {
            fs::copy(
                crate::root().join(format!("assets/digits/{digit}.png")),
                place.join(format!("{digit}.png")),
            )
            .unwrap();
        }
    }
    let digit = "assets/digits/1.png";
    let calls: [(&[&str], &[&str]); 17] = [
        (
            &["predict", "lenet5", digit, "--weights", "lenet5.mnist", "--key", "ema"],
            &["`--key ema`", "lenet5.mnist"],
        ),
        (&["convert", pth, &out, "--model", "resnet18", "--output-stride", "7"], &["7"]),
        (&["convert", lenet, &out, "--output-stride", "8"], &["lenet5", "output stride"]),
        (&["convert", pth, &out, "--model", "lenet5", "--centred-shortcut"], &["CIFAR"]),
        (
            &["convert", pth, &out, "--model", "lenet5", "--key", "teacher"],
            &["under the key `teacher`", "conv1"],
        ),
        (&["predict", "lenet5", digit, "--weights", pth, "--key", "teacher"], &["under the key `teacher`"]),
        (&["predict", "resnet18", digit, "--weights", pth, "--output-stride", "7"], &["7"]),
        (&["predict", "lenet5", "-", "-"], &["only once"]),
        (&["features", "lenet5", digit, "--input", "1x64x64", "-o", &out], &["fc1"]),
        (&["features", "lenet5", digit, "--at", "conv1", "--at", "conv1", "-o", &out], &["twice"]),
        (&["train", "lenet5", "--data", &pictures, "--validation", "1.5", "-o", &out], &["1.5"]),
        (&["train", "lenet5", "--data", &pictures, "--group-by", "x-(*).png", "-o", &out], &["x-(*).png"]),
        (
            &["train", "lenet5", "--data", &pictures, "--rate", "-1", "-o", &out],
            &["learning rate is -1", "above 0"],
        ),
        (&["finetune", "lenet5", "--data", &pictures, "--unfreeze", "layer9", "-o", &out], &["layer9"]),
        (&["eval", "lenet5", "--data", &pictures, "--part", "test"], &["--part all"]),
        (&["compare", "lenet5", "--input", "1x4x4"], &["conv2"]),
        (&["bench", "lenet5", "--output-stride", "8"], &["output stride"]),
    ];
    for (call, names) in calls {
        refused(call, 2, names);
        assert!(!Path::new(&out).exists(), "zoo {call:?} wrote something");
    }
    // What a file says, or isn't, is no fault of the call.
    refused(
        &["train", "lenet5", "--data", &pictures, "--recipe", &at("none.toml"), "-o", &out],
        1,
        &["none.toml"],
    );
}

#[test]
fn what_is_in_an_auxiliary_head_is_not_to_be_had_of_weights_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (plain, own, out) = (at("plain.safetensors"), at("own.safetensors"), at("out.safetensors"));
    let options = zoo::Options { no_auxiliary: true, num_classes: Some(3), ..zoo::Options::default() };
    let model = zoo::model("googlenet").unwrap().with_options(options);
    let network = model.fresh().unwrap();
    network.save(&own).unwrap();
    let file = zoo_weights::TensorFile::open(&own).unwrap();
    let tensors: Vec<_> = file.tensors().collect();
    zoo_weights::save(&plain, &tensors, None).unwrap();
    let photo = "assets/photos/rocket.jpg";
    for (name, head) in [("aux1", "aux1"), ("aux2.fc1", "aux2")] {
        let says = |file: &str| {
            vec![format!("`{name}` is of an auxiliary head"), file.to_string(), format!("holds `{head}`")]
        };
        for (call, file) in [
            (
                vec!["features", "googlenet", photo, "--weights", &plain, "--at", name, "-o", &out],
                "plain.safetensors",
            ),
            (vec!["features", &own, photo, "--at", name, "-o", &out], "own.safetensors"),
            (vec!["export", &own, &out, "--at", name], "own.safetensors"),
            (vec!["summary", &own, "--at", name], "own.safetensors"),
        ] {
            let says = says(file);
            refused(&call, 2, &says.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    refused(&["features", &own, photo, "--at", "aux3", "-o", &out], 2, &["no node", "`logits`"]);
}

#[test]
fn a_picture_too_small_for_a_network_is_told_the_smallest() {
    refused(&["summary", "lenet5_paper", "--input", "1x8x8"], 2, &["c3", "1x32x32"]);
    refused(&["summary", "alexnet", "--input", "3x20x20"], 2, &["3x63x63"]);
}

#[test]
fn pictures_that_are_none_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_string()
    };
    refused(&["predict", "lenet5", "nowhere.png"], 1, &["nowhere.png"]);
    let text = write("text.png", b"this is no picture");
    refused(&["predict", "lenet5", &text], 1, &["text.png"]);
    let empty = write("empty.png", b"");
    refused(&["predict", "lenet5", &empty], 1, &["empty.png"]);
    let nothing = folder.path().join("nothing");
    fs::create_dir(&nothing).unwrap();
    refused(&["predict", "lenet5", nothing.to_str().unwrap()], 1, &["nothing"]);
    // A header that promises 30,000 by 30,000 pixels, and none.
    let mut huge = fs::read("../../assets/digits/7.png").unwrap();
    huge[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let crc = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    let huge = write("huge.png", &huge);
    refused(&["predict", "lenet5", &huge], 1, &["huge.png", "30000"]);
    let single = write("single.bmp", &single_pixel());
    refused(&["predict", "lenet5", &single], 1, &["single.bmp"]);
}

/// A bitmap of one white pixel.
fn single_pixel() -> Vec<u8> {
    let mut bytes = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    bytes.resize(54, 0);
    bytes.extend([255, 255, 255, 0]);
    bytes
}

/// PNG's checksum.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn weights_of_another_network_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let values = [0.0; 6];
    let tensors = [("conv1.weight", zoo_weights::Tensor::from_f32(&[2, 3], &values))];
    zoo_weights::save(&path, &tensors, None).unwrap();
    let file = path.to_str().unwrap();
    refused(
        &["predict", "lenet5", "assets/digits/1.png", "--weights", file],
        1,
        &["small.safetensors", "conv1.weight"],
    );
    refused(&["predict", file, "assets/digits/1.png"], 1, &["small.safetensors", "metadata"]);
    let lenet = "crates/zoo/assets/lenet5.safetensors";
    refused(
        &["predict", "mnist_convnet", "assets/digits/1.png", "--weights", lenet],
        1,
        &["lenet5", "mnist_convnet"],
    );
    fs::write(&path, b"not a file of weights").unwrap();
    refused(&["predict", "lenet5", "assets/digits/1.png", "--weights", file], 1, &["small.safetensors"]);
    refused(
        &["predict", "lenet5", "assets/digits/1.png", "--weights", "nowhere.safetensors"],
        1,
        &["nowhere"],
    );
}

#[test]
fn weights_that_are_not_here_are_said_at_once_when_offline() {
    let resnet = ["predict", "resnet18", "assets/photos/rocket.jpg", "--offline"];
    refused(&resnet, 1, &["resnet18.tv_in1k"]);
    refused(
        &["predict", "resnet20_cifar", "assets/photos/rocket.jpg", "--offline"],
        1,
        &["resnet20_cifar", "--weights"],
    );
}

#[test]
fn idx_files_that_lie_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let output = folder.path().join("out.safetensors");
    let train = |names: &[&str]| {
        let (data, output) = (data.to_str().unwrap(), output.to_str().unwrap());
        refused(&["train", "lenet5", "--data", data, "-o", output], 1, names);
        assert!(!Path::new(output).exists(), "something was written");
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["data"]);
    };
    train(&["data", "IDX files"]);
    let images = |count: u32, pixels: usize| {
        let mut bytes =
            [2051_u32, count, 28, 28].iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        bytes.resize(16 + pixels, 0);
        bytes
    };
    let labels = |count: u32| {
        let mut bytes = [2049_u32, count].iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        bytes.resize(8 + count as usize, 1);
        bytes
    };
    for part in ["train", "t10k"] {
        fs::write(data.join(format!("{part}-images-idx3-ubyte")), images(2, 2 * 784)).unwrap();
        fs::write(data.join(format!("{part}-labels-idx1-ubyte")), labels(2)).unwrap();
    }
    let bad = data.join("train-images-idx3-ubyte");
    fs::write(&bad, images(2, 784)).unwrap();
    train(&["train-images-idx3-ubyte", "1568", "784"]);
    fs::write(&bad, images(u32::MAX, 784)).unwrap();
    train(&["train-images-idx3-ubyte"]);
    fs::write(&bad, &images(2, 0)[..9]).unwrap();
    train(&["train-images-idx3-ubyte", "9"]);
    fs::write(&bad, labels(2)).unwrap();
    train(&["train-images-idx3-ubyte"]);
    fs::write(&bad, images(3, 3 * 784)).unwrap();
    train(&["3", "2"]);
}

#[test]
fn an_instruction_set_that_cannot_be_had_is_told_once() {
    let output = zoo(&["predict", "lenet5", "assets/digits/7.png"]).env("ZOO_SIMD", "typo").output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("warning: ZOO_SIMD=typo isn't available here").count(), 1, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("this machine has portable"), "{said}");
    let output = zoo(&["list"]).env("ZOO_SIMD", "portable").output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn numpy_arrays_that_promise_too_much_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("x.npy"), folder.path().join("f.safetensors"));
    for (described, says) in [
        ("'descr': '<f4', 'fortran_order': False, 'shape': (100000, 3, 400, 400), ", "too few"),
        ("'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 3, 4000000, 4000000), ", "too few"),
        ("'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999, 1), ", "too few"),
        ("'descr': '<f4', 'fortran_order': False, 'shape':(4000000,3,4000,4000), ", "too few"),
        ("'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), 'shape': (9, 9), ", "or several"),
        ("'descr': '<f4', 'fortran_order': False, ", "names no shape"),
        ("'descr': '<f4', 'fortran_order': True, 'shape': (1, 1, 1, 1), ", "ascontiguousarray"),
        ("'descr': '>f4', 'fortran_order': False, 'shape': (1, 1, 1, 1), ", "astype('float32')"),
    ] {
        let header = format!("{{{described}}}\n");
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        std::fs::write(&path, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &[0; 4]].concat())
            .unwrap();
        let call = ["features", "lenet5", path.to_str().unwrap(), "-o", out.to_str().unwrap()];
        refused(&call, 1, &["x.npy", says]);
    }
}
