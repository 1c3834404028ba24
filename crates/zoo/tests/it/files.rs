//! Files as their owners have them: under other names, with things beside the weights, of other options; and those that
//! must be refused.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use zoo::{Conversion, Converted, Error, Model, Options, layers::Mode};
use zoo_weights::TensorFile;

/// A tensor to be written: name, shape, values.
type Named = (String, Vec<usize>, Vec<f32>);

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, tensors: &[Named]) -> PathBuf {
        let path = self.path(name);
        let tensors: Vec<_> = tensors
            .iter()
            .map(|(name, shape, values)| (name, zoo_weights::Tensor::from_f32(shape, values)))
            .collect();
        zoo_weights::save(&path, &tensors, None).unwrap();
        path
    }

    fn convert(&self, conversion: Conversion, from: &Path) -> Result<(Converted, PathBuf), Error> {
        let to = self.path("converted.safetensors");
        let converted = conversion.run(from, &to)?;
        Ok((converted, to))
    }
}

fn model(name: &str) -> Model {
    zoo::model(name).unwrap()
}

fn of(name: &str) -> Conversion {
    Conversion { model: Some(name.into()), ..Conversion::default() }
}

/// Fresh weights of a network with these options.
fn fresh(name: &str, options: &Options, seed: u64) -> Vec<Named> {
    let net = zoo::find(name).unwrap().graph_for(options).unwrap().init(seed).unwrap();
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    net.tensors().map(|(param, tensor)| (param.name.clone(), param.shape.clone(), values(tensor))).collect()
}

fn renamed(tensors: &[Named], mut rename: impl FnMut(&str) -> String) -> Vec<Named> {
    tensors.iter().map(|(name, shape, values)| (rename(name), shape.clone(), values.clone())).collect()
}

fn lone(name: &str, shape: &[usize]) -> Named {
    (name.into(), shape.to_vec(), vec![0.5; shape.iter().product()])
}

const SMALL: &str = "resnet20_cifar";

/// What a network answers for one picture.
fn answer(net: &zoo::layers::Net, shape: [usize; 3]) -> Vec<f32> {
    let [c, h, w] = shape;
    let values: Vec<f32> = (0..c * h * w).map(|i| (i as f32 * 0.37).sin()).collect();
    let picture = Tensor::from_vec(values, (1, c, h, w), &Device::Cpu).unwrap();
    net.forward(&picture, Mode::Eval).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name_and_count() {
    let bench = Bench::new();
    for (wrong, count) in [(f32::NAN, 3), (f32::INFINITY, 1), (f32::NEG_INFINITY, 2)] {
        let mut tensors = fresh(SMALL, &Options::default(), 7);
        let (name, _, values) = &mut tensors[30];
        values[5..5 + count].fill(wrong);
        let says = format!("{count} of the {} values of `{name}` are not finite", values.len());
        let path = bench.write("bad.safetensors", &tensors);
        for error in [
            model(SMALL).weights(&path).unwrap_err().to_string(),
            bench.convert(of(SMALL), &path).unwrap_err().to_string(),
        ] {
            assert!(error.contains(&says), "{error}");
        }
        assert!(!bench.path("converted.safetensors").exists());
    }
    // Finite weights whose answers are none.
    let mut tensors = fresh(SMALL, &Options::default(), 7);
    for (_, _, values) in &mut tensors {
        values.iter_mut().for_each(|value| *value *= 1e30);
    }
    let network = model(SMALL).weights(bench.write("large.safetensors", &tensors)).unwrap();
    let picture = Tensor::ones((1, 3, 32, 32), DType::F32, &Device::Cpu).unwrap();
    let error = network.answers(&picture, 5).unwrap_err();
    assert!(matches!(error, Error::NoNumbers { .. }), "{error}");
}

/// Every wrapper of the field, with what its programs leave beside the weights.
#[test]
fn what_stands_before_the_names_is_taken_off_and_said() {
    let bench = Bench::new();
    let plain = fresh(SMALL, &Options::default(), 7);
    let expected = answer(
        model(SMALL).weights(bench.write("plain.safetensors", &plain)).unwrap().net().unwrap(),
        [3, 32, 32],
    );
    for prefix in [
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.",
        "net.",
        "backbone.",
        "encoder.",
        "model.backbone.",
    ] {
        let mut tensors = renamed(&plain, |name| format!("{prefix}{name}"));
        tensors.extend([lone("n_averaged", &[]), lone("best_acc1", &[1]), lone("epoch", &[])]);
        let path = bench.write("wrapped.safetensors", &tensors);
        let network = model(SMALL).weights(&path).unwrap();
        assert_eq!(answer(network.net().unwrap(), [3, 32, 32]), expected, "{prefix}");
        let notes = network.report().notes.join("; ");
        assert!(notes.contains(&format!("takes `{prefix}` off")) && notes.contains("best_acc1"), "{notes}");
        let (converted, to) = bench.convert(of(SMALL), &path).unwrap();
        assert_eq!(converted.report.notes, network.report().notes);
        assert_eq!(
            answer(model(to.to_str().unwrap()).pretrained().unwrap().net().unwrap(), [3, 32, 32]),
            expected
        );

        // What is no lone number is an error by name, and so is what is missing.
        tensors.push(lone("queue.values", &[3, 4]));
        tensors.retain(|(name, ..)| !name.ends_with("layer2.0.bn1.bias"));
        let path = bench.write("strange.safetensors", &tensors);
        let error = model(SMALL).weights(&path).unwrap_err().to_string();
        assert!(error.contains("1 missing (layer2.0.bn1.bias), 1 unexpected (queue.values)"), "{error}");
    }
    // Numbers beside names without a wrapper too.
    let mut tensors = plain.clone();
    tensors.push(lone("epoch", &[]));
    let network = model(SMALL).weights(bench.write("beside.safetensors", &tensors)).unwrap();
    assert_eq!(network.report().notes, ["leaves out epoch"]);
}

#[test]
fn of_two_copies_the_averaged_one_is_taken_and_of_two_equal_ones_none() {
    let bench = Bench::new();
    let (raw, averaged) = (fresh(SMALL, &Options::default(), 7), fresh(SMALL, &Options::default(), 8));
    let one = |tensors: &[Named]| {
        answer(
            model(SMALL).weights(bench.write("one.safetensors", tensors)).unwrap().net().unwrap(),
            [3, 32, 32],
        )
    };
    let (raw_answer, averaged_answer) = (one(&raw), one(&averaged));
    let two = |a: &str, b: &str| {
        let tensors = renamed(&raw, |name| format!("{a}{name}"));
        let tensors = [tensors, renamed(&averaged, |name| format!("{b}{name}"))].concat();
        bench.write("two.safetensors", &tensors)
    };
    let under = |path: &Path, key: Option<&str>| model(SMALL).under(key.map(String::from)).weights(path);
    for (a, b) in [("model.", "ema_model.module."), ("student.", "teacher."), ("", "model_ema.")] {
        let path = two(a, b);
        let network = under(&path, None).unwrap();
        assert_eq!(answer(network.net().unwrap(), [3, 32, 32]), averaged_answer, "{a} {b}");
        let notes = network.report().notes.join("; ");
        assert!(notes.contains(&format!("takes `{b}` off")) && notes.contains("leaves out"), "{notes}");
        if !a.is_empty() {
            let network = under(&path, Some(a.trim_end_matches('.'))).unwrap();
            assert_eq!(answer(network.net().unwrap(), [3, 32, 32]), raw_answer);
        }
    }
    let path = two("encoder_q.", "encoder_k.");
    let error = under(&path, None).unwrap_err().to_string();
    assert!(error.contains("encoder_k, encoder_q") && error.contains("Model::under"), "{error}");
    assert_eq!(answer(under(&path, Some("encoder_k")).unwrap().net().unwrap(), [3, 32, 32]), averaged_answer);
}

#[test]
fn files_without_auxiliary_heads_load_and_nothing_is_drawn_without_a_word() {
    let bench = Bench::new();
    for (name, head, input) in [
        ("googlenet", "aux", [3, 64, 64]),
        ("inception_v3", "AuxLogits", [3, 99, 99]),
        ("fcn_resnet50", "aux_", [3, 33, 33]),
    ] {
        let mut tensors = fresh(name, &Options::default(), 7);
        let whole = bench.write("whole.safetensors", &tensors);
        let expected = answer(model(name).weights(&whole).unwrap().net().unwrap(), input);
        let all = tensors.len();
        tensors.retain(|(name, ..)| !name.starts_with(head));
        assert!(tensors.len() < all);
        let path = bench.write("bare.safetensors", &tensors);
        let network = model(name).weights(&path).unwrap();
        assert_eq!(answer(network.net().unwrap(), input), expected, "{name}");
        // Pictures too small for a head that only training needs are for the network without it.
        let small = model(name).input_size(input[1], input[2]);
        assert_eq!(small.options().no_auxiliary, name == "inception_v3");
        for file in [&whole, &path] {
            let network = small.weights(file).unwrap();
            assert_eq!(network.options().no_auxiliary, file == &path || name == "inception_v3");
            assert_eq!(answer(network.net().unwrap(), input), expected, "{name}");
        }
        let (converted, to) = bench.convert(of(name), &path).unwrap();
        assert!(converted.options.no_auxiliary);
        let notes = &converted.report.notes;
        assert!(notes.join("; ").contains("has no auxiliary heads"), "{notes:?}");
        assert_eq!(answer(model(to.to_str().unwrap()).pretrained().unwrap().net().unwrap(), input), expected);
    }
    let mut tensors = fresh("googlenet", &Options::default(), 7);
    tensors.retain(|(name, ..)| !name.starts_with("aux"));
    let path = bench.write("bare.safetensors", &tensors);
    // Half of them is neither with nor without.
    let half = tensors.iter().cloned().chain([lone("aux1.fc2.bias", &[1000])]).collect::<Vec<_>>();
    let error = model("googlenet").weights(bench.write("half.safetensors", &half)).unwrap_err().to_string();
    assert!(error.contains("missing (aux1."), "{error}");
    // Those that are asked for are drawn, and the file says so.
    let anew = Conversion { anew: vec!["aux1".into(), "aux2".into()], ..of("googlenet") };
    let (converted, to) = bench.convert(anew, &path).unwrap();
    assert!(
        !converted.options.no_auxiliary && converted.report.newly_initialised.len() == 18,
        "{converted:?}"
    );
    let card = TensorFile::open(to).unwrap().metadata()["zoo"].clone();
    assert!(card.contains(r#""drawn":["aux1.conv.conv.weight","#), "{card}");
}

#[test]
fn options_are_told_from_the_shapes_and_recorded() {
    let bench = Bench::new();
    for (options, input) in [
        (Options { in_channels: Some(1), ..Options::default() }, [1, 64, 64]),
        (Options { in_channels: Some(4), num_classes: Some(7), ..Options::default() }, [4, 64, 64]),
        (Options { small_stem: true, num_classes: Some(10), ..Options::default() }, [3, 32, 32]),
    ] {
        let path = bench.write("net.safetensors", &fresh("resnet18", &options, 7));
        let network = model("resnet18").weights(&path).unwrap();
        let (converted, to) = bench.convert(of("resnet18"), &path).unwrap();
        let told = Options { num_classes: options.num_classes, ..converted.options.clone() };
        assert_eq!(told, options);
        let again = model(to.to_str().unwrap());
        assert_eq!(again.graph().unwrap().input().channels(), input[0]);
        assert_eq!(
            answer(again.pretrained().unwrap().net().unwrap(), input),
            answer(network.net().unwrap(), input)
        );
    }
    // timm's SE-ResNet-18 of today, whose layers of a squeeze may have lost two axes of one pixel.
    let options = Options { least_squeezed: Some(8), ..Options::default() };
    let mut tensors = fresh("seresnet18", &options, 7);
    let expected = answer(
        model("seresnet18").weights(bench.write("se.safetensors", &tensors)).unwrap().net().unwrap(),
        [3, 64, 64],
    );
    for (name, shape, _) in &mut tensors {
        if name.contains(".se.") && shape.len() == 4 {
            shape.truncate(2);
        }
    }
    let path = bench.write("se2.safetensors", &tensors);
    let network = model("seresnet18").weights(&path).unwrap();
    assert_eq!(answer(network.net().unwrap(), [3, 64, 64]), expected);
    assert!(network.report().notes[0].contains("weights of two axes"), "{:?}", network.report().notes);
    assert_eq!(bench.convert(of("seresnet18"), &path).unwrap().0.options.least_squeezed, Some(8));
}

#[test]
fn a_part_needs_nothing_beyond_itself() {
    let bench = Bench::new();
    let options = Options { num_classes: Some(3), ..Options::default() };
    let tensors = fresh(SMALL, &options, 7);
    let part = |path: &Path| {
        model(SMALL).at(&["layer2"]).weights(path).map(|n| answer(n.net().unwrap(), [3, 32, 32]))
    };
    let expected = part(&bench.write("three.safetensors", &tensors)).unwrap();
    // Without what lies beyond, with another network's head, with a part of its own missing.
    let mut bare = tensors.clone();
    bare.retain(|(name, ..)| !name.starts_with("layer3") && !name.starts_with("fc"));
    assert_eq!(part(&bench.write("bare.safetensors", &bare)).unwrap(), expected);
    bare.extend([lone("head.0.weight", &[8, 64]), lone("head.2.weight", &[3, 8])]);
    assert_eq!(part(&bench.write("head.safetensors", &bare)).unwrap(), expected);
    bare.retain(|(name, ..)| name != "layer1.0.conv1.weight");
    let error = part(&bench.write("missing.safetensors", &bare)).unwrap_err().to_string();
    assert!(error.contains("missing (layer1.0.conv1.weight)"), "{error}");

    // A whole network without a classifier gives features, and classifies nothing.
    let mut headless = tensors;
    headless.retain(|(name, ..)| !name.starts_with("fc"));
    let path = bench.write("headless.safetensors", &headless);
    let error = model(SMALL).weights(&path).unwrap_err().to_string();
    assert!(error.contains("2 missing (fc.weight, fc.bias)"), "{error}");
    let (converted, to) = bench.convert(of(SMALL), &path).unwrap();
    assert!(converted.options.no_head && converted.classes.is_none());
    assert!(
        converted.report.notes[0].contains("has no classifier (fc.weight, fc.bias)"),
        "{:?}",
        converted.report
    );
    let features = model(to.to_str().unwrap());
    assert!(matches!(features.check_classifies().unwrap_err(), Error::Headless { .. }));
    assert_eq!(answer(features.pretrained().unwrap().net().unwrap(), [3, 32, 32]).len(), 64);
    // With a new head it is one that classifies again.
    let names: Vec<String> = ["a", "b"].map(String::from).into();
    let anew = Conversion { anew: vec!["fc".into()], classes: Some(names), ..Conversion::default() };
    let again = bench.path("again.safetensors");
    let converted = anew.run(&to, &again).unwrap();
    assert_eq!((converted.classes, converted.options.no_head), (Some(2), false));
}

#[test]
fn what_is_no_layers_is_left_out_and_half_a_prefix_is_an_error_by_name() {
    let bench = Bench::new();
    let plain = fresh("lenet5", &Options::default(), 7);
    let beside = [plain.clone(), vec![lone("rng", &[64]), lone("best", &[])]].concat();
    let network = model("lenet5").weights(bench.write("beside.safetensors", &beside)).unwrap();
    assert!(
        network.report().notes.join("; ").contains("leaves out rng, best"),
        "{:?}",
        network.report().notes
    );
    let mut count = 0;
    let half = renamed(&plain, |name| {
        count += 1;
        if count % 2 == 0 { format!("module.{name}") } else { name.into() }
    });
    let error = model("lenet5").weights(bench.write("half.safetensors", &half)).unwrap_err().to_string();
    assert!(error.contains("half.safetensors does not fit") && error.contains("5 missing"), "{error}");
}

#[test]
fn conventions_that_no_weight_tells_are_assumed_aloud_and_chosen() {
    let bench = Bench::new();
    let plain = fresh(SMALL, &Options::default(), 7);
    let path = bench.write("plain.safetensors", &plain);
    let behind = answer(model(SMALL).weights(&path).unwrap().net().unwrap(), [3, 32, 32]);
    let (converted, to) = bench.convert(of(SMALL), &path).unwrap();
    assert!(
        converted.assumed.join("; ").contains("behind the old ones (`Options::centred_shortcut`"),
        "{:?}",
        converted.assumed
    );
    // Pictures of CIFAR's size are taken whole.
    let card = TensorFile::open(&to).unwrap().metadata()["zoo"].clone();
    assert!(card.contains(r#""crop":32,"#) && card.contains(r#""resize":32,"#), "{card}");
    // By its option, or by the name of its classifier, which one program alone uses.
    let options = Options { centred_shortcut: true, ..Options::default() };
    let (_, to) = bench.convert(Conversion { options, ..of(SMALL) }, &path).unwrap();
    let centred = answer(model(to.to_str().unwrap()).pretrained().unwrap().net().unwrap(), [3, 32, 32]);
    assert_ne!(centred, behind);
    // What a caller says goes over what a card says.
    let (_, to) = bench.convert(of(SMALL), &path).unwrap();
    let card = bench.path("card.safetensors");
    std::fs::rename(to, &card).unwrap();
    let options = Options { centred_shortcut: true, ..Options::default() };
    let (_, to) = bench.convert(Conversion { options, ..Conversion::default() }, &card).unwrap();
    assert_eq!(
        answer(model(to.to_str().unwrap()).pretrained().unwrap().net().unwrap(), [3, 32, 32]),
        centred
    );
    let linear = renamed(&plain, |name| name.replace("fc.", "linear."));
    let path = bench.write("linear.safetensors", &renamed(&linear, |name| format!("module.{name}")));
    let network = model(SMALL).weights(&path).unwrap();
    assert_eq!(answer(network.net().unwrap(), [3, 32, 32]), centred);
    assert!(network.report().notes.join("; ").contains("takes `linear.weight` for `fc.weight`"));
    assert!(bench.convert(of(SMALL), &path).unwrap().0.assumed[0].contains("on both sides"));
    let last = bench.write("last.safetensors", &renamed(&plain, |name| name.replace("fc.", "last_linear.")));
    assert_eq!(answer(model(SMALL).weights(&last).unwrap().net().unwrap(), [3, 32, 32]), behind);

    let path = bench.write("resnet18.safetensors", &fresh("resnet18", &Options::default(), 7));
    let options = Options { output_stride: Some(8), ..Options::default() };
    let (converted, to) = bench.convert(Conversion { options, ..of("resnet18") }, &path).unwrap();
    assert!(converted.assumed[0].contains("output stride of 8"), "{:?}", converted.assumed);
    let dense = model(to.to_str().unwrap());
    assert_eq!(dense.graph().unwrap().layer("layer4.1.add").unwrap().output.to_string(), "512x28x28");
    let options = Options { centred_shortcut: true, ..Options::default() };
    let error = bench.convert(Conversion { options, ..of("resnet18") }, &path).unwrap_err().to_string();
    assert!(error.contains("shortcut") && error.contains("CIFAR ResNets"), "{error}");
}

/// Keras' VGG with the mean and one dense layer; the files of its versions are read in `zoo-weights`.
#[test]
fn a_vgg_with_one_layer_behind_the_mean_is_told_by_it() {
    let bench = Bench::new();
    let options = Options { mean_classifier: true, num_classes: Some(5), ..Options::default() };
    let path = bench.write("vgg11.safetensors", &fresh("vgg11", &options, 7));
    let network = model("vgg11").weights(&path).unwrap();
    assert_eq!(answer(network.net().unwrap(), [3, 32, 32]).len(), 5);
    let (converted, to) = bench.convert(of("vgg11"), &path).unwrap();
    assert_eq!((converted.options, converted.classes), (options, Some(5)));
    let again = model(to.to_str().unwrap()).pretrained().unwrap();
    assert_eq!(answer(again.net().unwrap(), [3, 32, 32]), answer(network.net().unwrap(), [3, 32, 32]));
}
