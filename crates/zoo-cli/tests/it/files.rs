//! Files of weights as their owners have them, on the command line.

use zoo_weights::{Tensor, TensorFile};

use crate::{failed, weights::Bench};

/// A program that needs no published weights asks for no place to keep them.
#[test]
fn without_a_home_nothing_is_written_anywhere_and_the_rest_works() {
    let bench = Bench::new();
    let run = |arguments: &[&str], home: &str| {
        let mut command = bench.zoo(arguments);
        for name in ["HF_HOME", "TORCH_HOME", "KERAS_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", home).env("HF_HOME", "~you/hf");
        command.output().unwrap()
    };
    let digit = ["predict", "lenet5", "assets/digits/7.png"];
    assert!(run(&digit, "relative").status.success());
    let (code, said) = failed(&run(&["fetch", "resnet18"], "relative"));
    assert_eq!(code, 1);
    assert!(said.contains("HF_HOME is `~you/hf`"), "{said}");
    assert!(!crate::root().join("~you").exists() && !crate::root().join("relative").exists());
}

#[test]
fn a_file_with_raw_and_averaged_weights_says_which_are_taken() {
    let bench = Bench::new();
    let lenet = TensorFile::open(crate::root().join("crates/zoo/assets/lenet5.safetensors")).unwrap();
    let names: Vec<(String, Tensor<'_>)> = ["model.", "model_ema.module."]
        .iter()
        .flat_map(|prefix| lenet.tensors().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor)))
        .collect();
    let path = bench.path("two.safetensors");
    zoo_weights::save(&path, &names, None).unwrap();
    let digit = ["predict", "lenet5", "assets/digits/7.png", "--weights", &path];
    let output = bench.zoo(&digit).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("takes `model_ema.module.` off the names"), "{said}");
    let output = bench.zoo(&[&digit[..], &["--key", "model"]].concat()).output().unwrap();
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stderr).contains("takes `model.` off")
    );
}
