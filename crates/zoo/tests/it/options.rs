//! One set of options: what is asked of a network that has learned is carried over, said, saved and loaded again.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use zoo::{Error, Model, Network, Options, Picture};

/// A file with fresh weights of a network with these options.
fn file(folder: &tempfile::TempDir, name: &str, options: Options) -> PathBuf {
    let path = folder.path().join(format!("{name}.safetensors"));
    zoo::model(name).unwrap().with_options(options).seed(5).fresh().unwrap().save(&path).unwrap();
    path
}

fn model(path: &Path) -> Model {
    zoo::model(path.to_str().unwrap()).unwrap()
}

/// A batch of one whose channels are all the same.
fn grey(channels: usize, side: usize) -> Tensor {
    let values: Vec<f32> = (0..side * side).map(|i| (i as f32 * 0.37).sin()).collect();
    let one = Tensor::from_vec(values, (1, 1, side, side), &Device::Cpu).unwrap();
    Tensor::cat(&vec![one; channels], 1).unwrap()
}

fn logits(network: &Network, pictures: &Tensor) -> Vec<f32> {
    network.logits(pictures).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{a} {b}");
    }
}

fn photo() -> Picture {
    Picture::open("../../assets/photos/rocket.jpg").unwrap()
}

#[test]
fn a_new_head_is_drawn_and_said_and_the_rest_carried_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "resnet18", Options::default());
    let birds = model(&path).classes(3).pretrained().unwrap();
    assert_eq!(birds.report().newly_initialised, ["fc.weight", "fc.bias"]);
    assert!(birds.report().notes[0].contains("fc.weight, fc.bias"), "{:?}", birds.report().notes);
    assert_eq!(birds.report().loaded.len(), 100);
    assert_eq!(birds.prepare().classes(), ["0", "1", "2"]);
    // The same seed draws the same head, another one another; as many classes as there are keep theirs.
    let again = model(&path).classes(3).pretrained().unwrap();
    let pictures = grey(3, 64);
    assert_eq!(logits(&birds, &pictures), logits(&again, &pictures));
    let other = model(&path).classes(3).seed(1).pretrained().unwrap();
    assert_ne!(logits(&birds, &pictures), logits(&other, &pictures));
    assert!(model(&path).classes(1000).pretrained().unwrap().report().newly_initialised.is_empty());
    let names = model(&path).class_names(vec!["cat".into(), "dog".into()]).pretrained().unwrap();
    assert_eq!(names.classify(&photo()).unwrap().top.len(), 2);
}

#[test]
fn first_weights_are_adapted_and_pictures_of_other_channels_and_sizes_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "resnet20_cifar", Options::default());
    let colour = model(&path).pretrained().unwrap();
    let one = model(&path).in_channels(1).pretrained().unwrap();
    assert_close(&logits(&one, &grey(1, 32)), &logits(&colour, &grey(3, 32)));
    assert_eq!(one.prepare().picture(&photo(), "rocket").unwrap().dims(), [1, 1, 32, 32]);
    let wide = model(&path).input_size(40, 72).pretrained().unwrap();
    assert_eq!(wide.prepare().picture(&photo(), "rocket").unwrap().dims(), [1, 3, 40, 72]);
    let four = model(&path).in_channels(4).pretrained().unwrap();
    assert_eq!(logits(&four, &grey(4, 32)).len(), 10);
    let error = four.classify(&photo()).unwrap_err().to_string();
    assert!(error.contains("4x32x32"), "{error}");
}

#[test]
fn whatever_was_asked_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "resnet18", Options::default());
    let asked = [
        Options { num_classes: Some(7), in_channels: Some(1), ..Options::default() },
        Options { output_stride: Some(8), input_size: Some([64, 96]), ..Options::default() },
        Options { small_stem: true, num_classes: Some(4), ..Options::default() },
        Options { convolutional: true, in_channels: Some(5), ..Options::default() },
        Options { no_head: true, ..Options::default() },
        Options { at: vec!["layer2".into(), "layer3".into()], ..Options::default() },
    ];
    for (number, options) in asked.into_iter().enumerate() {
        let network = model(&path).with_options(options.clone()).pretrained().unwrap();
        let saved = folder.path().join(format!("{number}.safetensors"));
        network.save(&saved).unwrap();
        let again = model(&saved).pretrained().unwrap();
        let channels = options.in_channels.unwrap_or(3);
        // The window of a pool that slides has the nominal size.
        let side = if options.convolutional { 224 } else { 64 };
        let answer = |network: &Network| -> Vec<Vec<f32>> {
            let outputs =
                network.net().unwrap().outputs(&grey(channels, side), zoo::layers::Mode::Eval).unwrap();
            outputs.values().map(|output| output.flatten_all().unwrap().to_vec1().unwrap()).collect()
        };
        assert_eq!(answer(&network), answer(&again), "{options:?}");
        assert_eq!(again.graph().input(), network.graph().input(), "{options:?}");
        assert!(again.report().newly_initialised.is_empty(), "{options:?}");
        assert_eq!(model(&saved).graph().unwrap().input(), network.graph().input());
    }
}

#[test]
fn dense_layers_slide_and_answer_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "lenet5", Options::default());
    let (dense, sliding) =
        (model(&path).pretrained().unwrap(), model(&path).convolutional().pretrained().unwrap());
    assert_close(&logits(&sliding, &grey(1, 28)), &logits(&dense, &grey(1, 28)));
    assert_eq!(logits(&sliding, &grey(1, 60)).len(), 10, "the mean over all places");
}

#[test]
fn a_network_without_a_head_gets_one_for_the_classes_that_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "resnet20_cifar", Options { no_head: true, ..Options::default() });
    assert!(matches!(model(&path).check_classifies().unwrap_err(), Error::Headless { .. }));
    let network = model(&path).classes(5).pretrained().unwrap();
    assert_eq!(network.report().newly_initialised, ["fc.weight", "fc.bias"]);
    assert_eq!(network.classify(&photo()).unwrap().top.len(), 5);
}

#[test]
fn what_answers_for_every_pixel_does_not_classify() {
    let network = zoo::model("three_convs").unwrap().fresh().unwrap();
    for error in [network.classify(&photo()).unwrap_err(), network.answers(&grey(3, 64), 5).unwrap_err()] {
        assert!(matches!(error, Error::NotAClassifier { .. }), "{error}");
        assert!(error.to_string().contains("`three_convs`"), "{error}");
    }
}

#[test]
fn a_stream_answers_in_order_whatever_can_not_be_read() {
    let net = zoo::model("lenet5").unwrap().pretrained().unwrap();
    let inputs = (0..50).map(|i| if i % 7 == 3 { "nowhere".into() } else { format!("{}", i % 10) });
    let read = |name: &String, prepare: &zoo::Prepare| {
        prepare.picture(&Picture::open(format!("../../assets/digits/{name}.png"))?, name)
    };
    let mut count = 0;
    for (i, next) in net.stream(inputs, read).top(2).enumerate() {
        let (name, answer) = next.unwrap();
        match name.as_str() {
            "nowhere" => assert!(i % 7 == 3 && answer.is_err()),
            name => {
                let answer = answer.unwrap();
                assert_eq!((answer.top[0].label.as_str(), answer.top.len()), (name, 2));
            }
        }
        count += 1;
    }
    assert_eq!(count, 50);
}

/// Whoever learns from files sees what an answer will see: a digit that was looked for, or the whole picture where the
/// classes are no digits.
#[test]
fn what_is_learned_from_is_prepared_as_for_an_answer() {
    use zoo_data::{Channels, Stored};
    let whole = Picture::open("../../assets/digits/7.png").unwrap();
    // Dark ink on light paper, larger, not in the middle.
    let mut paper = vec![230_u8; 90 * 70];
    for (at, value) in whole.clone().into_channels(Channels::Grey).pixels().iter().enumerate() {
        let (x, y) = (at % 28 + 50, at / 28 + 5);
        paper[y * 90 + x] -= value / 4 * 3;
    }
    let mut file = b"P5 90 70 255\n".to_vec();
    file.extend(&paper);
    let paper = Picture::new(90, 70, Channels::Grey, paper).unwrap();
    let animals = || ["cat", "dog", "emu"].map(String::from).to_vec();
    let digits = || ["0", "7", "9"].map(String::from).to_vec();
    for (names, is_digit) in [(digits(), true), (animals(), false)] {
        let network = zoo::model("lenet5").unwrap().class_names(names).fresh().unwrap();
        let pipeline = network.prepare().pipeline().unwrap();
        let stream = zoo_layers::rng::Stream::new(1, "test");
        let learned = pipeline.apply_stored(&Stored::File(file.clone()), "7.pgm", &stream).unwrap();
        let answered = network.prepare().picture(&paper, "7.pgm").unwrap();
        assert_close(&learned.values, &answered.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        // Ink is light where a digit was looked for, and dark as it was where not.
        let mean = learned.values.iter().sum::<f32>() / learned.values.len() as f32;
        assert_eq!(mean < 1.0, is_digit, "{mean}");
        // What is a digit already is taken as it is.
        let stored = Stored::Picture(whole.clone().into_channels(Channels::Grey));
        assert!(pipeline.apply_stored(&stored, "7", &stream).is_ok());
    }
}
