//! The loader: the same batches whatever the threads, from any place, and without what can't be read.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use zoo_base::random::Stream;
use zoo_data::augment::{Augment, Flip, PadAndCrop, RandomResizedCrop};
use zoo_data::{
    Batch, Channels, Dataset, Error, Fingerprint, ImageFolder, InMemory, Loader, LoaderOptions, Mix, Part,
    Picture, Pipeline, Place, Preprocess, Remainder, Result, Sampling, Stored, Subset, Views, bundled_digits,
    unreadable,
};

fn digits(count: usize) -> Arc<dyn Dataset> {
    let data = Arc::new(bundled_digits().unwrap());
    Arc::new(Subset::new(data, (0..count).collect()).unwrap())
}

fn pipeline() -> Pipeline {
    let augment = vec![
        Augment::PadAndCrop(PadAndCrop::default()),
        Augment::RandomResizedCrop(RandomResizedCrop::default()),
        Augment::Flip(Flip::default()),
    ];
    Pipeline { augment, ..Pipeline::plain(grey((16, 16), Preprocess::imagenet(16, 16))) }
}

fn loader(data: Arc<dyn Dataset>, options: LoaderOptions) -> Loader {
    Loader::new(data, pipeline(), options).unwrap()
}

fn all(loader: &Loader, from: Place, epochs: usize) -> Vec<Batch> {
    loader.batches(from, epochs).unwrap().map(Result::unwrap).collect()
}

#[test]
fn batches_are_the_same_whatever_the_threads_and_from_any_place() {
    let mix = Mix { mixup: 0.2, cutmix: 1.0, probability: 0.8 };
    let options = LoaderOptions { mix, ..LoaderOptions::training(16, 3) };
    let with = |workers, ahead| loader(digits(100), LoaderOptions { workers, ahead, ..options.clone() });
    let expected = all(&with(1, 1), Place::default(), 3);
    assert_eq!(expected.len(), 18);
    assert!(expected.iter().any(|batch| batch.mixed.is_some()));
    assert!(expected.iter().any(|batch| batch.mixed.is_none()));
    for (workers, ahead) in [(2, 3), (5, 2), (3, 40)] {
        assert!(
            all(&with(workers, ahead), Place::default(), 3) == expected,
            "{workers} threads, {ahead} ahead"
        );
    }
    for place in [Place { epoch: 0, step: 1 }, Place { epoch: 1, step: 5 }, Place { epoch: 2, step: 0 }] {
        let rest = all(&with(3, 3), place, 3);
        assert_eq!(rest.first().unwrap().place, place);
        assert!(rest == expected[6 * place.epoch + place.step..], "from {place:?}");
    }
    assert_eq!(all(&with(2, 2), Place { epoch: 0, step: 6 }, 2)[0].place, Place { epoch: 1, step: 0 });
    assert!(all(&with(2, 2), Place { epoch: 3, step: 0 }, 3).is_empty());
}

#[test]
fn every_epoch_has_an_order_of_its_own_and_every_picture_once() {
    let loader =
        loader(digits(50), LoaderOptions { remainder: Remainder::Keep, ..LoaderOptions::training(8, 1) });
    let batches = all(&loader, Place::default(), 2);
    assert_eq!((loader.steps(), batches.len(), batches[6].shape), (7, 14, [2, 1, 16, 16]));
    let epochs: Vec<Vec<usize>> =
        batches.chunks(7).map(|epoch| epoch.iter().flat_map(|b| b.indices.clone()).collect()).collect();
    assert_eq!((&epochs[0], &epochs[1]), (&loader.order(0), &loader.order(1)));
    assert_ne!(epochs[0], epochs[1]);
    for mut epoch in epochs {
        epoch.sort_unstable();
        assert_eq!(epoch, (0..50).collect::<Vec<_>>());
    }
    // Another epoch changes a picture otherwise.
    let first = |batches: &[Batch]| {
        let batch = batches.iter().find(|batch| batch.indices.contains(&7)).unwrap();
        let at = batch.indices.iter().position(|&index| index == 7).unwrap();
        batch.values[at * 256..(at + 1) * 256].to_vec()
    };
    assert_ne!(first(&batches[..7]), first(&batches[7..]));
}

#[test]
fn testing_takes_everything_in_order() {
    let plain = Pipeline::plain(grey((28, 28), Preprocess::imagenet(28, 28)));
    let loader = Loader::new(digits(20), plain, LoaderOptions::testing(8)).unwrap();
    let batches = all(&loader, Place::default(), 1);
    let indices: Vec<usize> = batches.iter().flat_map(|batch| batch.indices.clone()).collect();
    assert_eq!((indices, batches[2].shape[0]), ((0..20).collect(), 4));
    let data = digits(20);
    let pixel = f32::from(data.picture(9).unwrap().pixels()[300]);
    assert_eq!(batches[1].values[784 + 300], (pixel / 255.0 - 0.485) / 0.229);
}

#[test]
fn classes_are_drawn_alike_often_on_request() {
    let mut data = InMemory::new(vec!["a".into(), "b".into()], (16, 16), Channels::Grey).unwrap();
    let noise: Vec<u8> = (0..100 * 256_u32).map(|at| (at * 37 % 251) as u8).collect();
    let labels: Vec<usize> = (0..100).map(|at| usize::from(at >= 90)).collect();
    data.add(Some(Part::Train), "train", &noise, &labels).unwrap();
    let options = LoaderOptions { sampling: Sampling::Balanced, ..LoaderOptions::training(10, 4) };
    let loader = loader(Arc::new(data), options);
    let batches = all(&loader, Place::default(), 1);
    let rare = batches.iter().flat_map(|batch| &batch.labels).filter(|&&label| label == 1).count();
    assert_eq!((batches.len(), rare), (10, 50));
    let mut drawn = [0; 100];
    loader.order(0).into_iter().for_each(|index| drawn[index] += 1);
    assert!(drawn[..90].iter().all(|&count| count <= 1) && drawn[90..] == [5; 10], "{drawn:?}");
    // A picture that is drawn again is changed otherwise.
    let mut seen: Vec<&[f32]> = Vec::new();
    for batch in &batches {
        for (at, _) in batch.indices.iter().enumerate().filter(|(_, index)| **index == 95) {
            seen.push(&batch.values[at * 256..(at + 1) * 256]);
        }
    }
    assert!(seen.len() == 5 && seen.windows(2).all(|pair| pair[0] != pair[1]));
}

fn photos(broken: &[&str]) -> (tempfile::TempDir, Arc<dyn Dataset>) {
    let folder = tempfile::tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/444.jpg");
    for class in ["a", "b"] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for name in 0..5 {
            fs::copy(source, folder.path().join(format!("{class}/{name}.jpg"))).unwrap();
        }
    }
    for name in broken {
        fs::write(folder.path().join(name), "no picture").unwrap();
    }
    let data = ImageFolder::read(folder.path()).unwrap();
    (folder, Arc::new(data))
}

#[test]
fn what_is_no_picture_is_named_skipped_and_counted() {
    let (_folder, data) = photos(&["a/1.jpg", "b/4.jpg"]);
    let options =
        LoaderOptions { sampling: Sampling::Sequential, workers: 3, ..LoaderOptions::training(5, 1) };
    let reader = loader(data.clone(), options.clone());
    let mut batches = reader.batches(Place::default(), 2).unwrap();
    let read: Vec<Batch> = batches.by_ref().map(Result::unwrap).collect();
    assert_eq!(read.iter().map(|batch| batch.shape[0]).collect::<Vec<_>>(), [4; 4]);
    assert_eq!((&read[0].indices[..], read[0].values.len()), (&[0, 2, 3, 4][..], 4 * 256));
    let skipped = batches.skipped();
    assert_eq!(skipped.iter().map(|skipped| skipped.index).collect::<Vec<_>>(), [1, 9]);
    assert_eq!(skipped[0].name, "a/1.jpg");
    assert!(skipped[0].why.starts_with("a/1.jpg: is no picture of a known kind"), "{skipped:?}");
    assert_eq!(unreadable(&*data, 3), skipped);

    // What the others became isn't changed by what is missing.
    let (_whole, whole) = photos(&[]);
    let undisturbed = all(&loader(whole, options.clone()), Place::default(), 1);
    assert_eq!(undisturbed[0].values[2 * 256..3 * 256], read[0].values[256..2 * 256]);

    let strict = loader(data, LoaderOptions { strict: true, ..options.clone() });
    let error = strict.batches(Place::default(), 1).unwrap().find_map(Result::err).unwrap().to_string();
    assert!(error.starts_with("a/1.jpg: is no picture"), "{error}");

    let (_folder, data) = photos(&["a/0.jpg", "a/1.jpg", "a/2.jpg", "a/3.jpg", "a/4.jpg"]);
    let mix = zoo_data::Mix { mixup: 0.4, ..zoo_data::Mix::NONE };
    let read = all(&loader(data, LoaderOptions { mix, ..options }), Place::default(), 1);
    assert_eq!(
        read.iter().map(Batch::counts).collect::<Vec<_>>(),
        [false, true],
        "a batch of which nothing is read"
    );
}

#[test]
fn whoever_leaves_early_waits_for_no_one() {
    let loader =
        loader(digits(8000), LoaderOptions { workers: 4, ahead: 4, ..LoaderOptions::training(8, 1) });
    for taken in 0..3 {
        let mut batches = loader.batches(Place::default(), 1000).unwrap();
        for _ in 0..taken {
            batches.next().unwrap().unwrap();
        }
        assert!(taken == 0 || batches.waited() > Duration::ZERO);
    }
}

/// Data of which reading a picture breaks down.
#[derive(Debug)]
struct Broken(Vec<String>);

impl Dataset for Broken {
    fn len(&self) -> usize {
        4
    }
    fn classes(&self) -> &[String] {
        &self.0
    }
    fn label(&self, _: usize) -> usize {
        0
    }
    fn name(&self, index: usize) -> String {
        format!("picture {index}")
    }
    fn stored(&self, _: usize) -> Result<Stored> {
        panic!("as a decoder might")
    }
    fn fingerprint(&self) -> Result<Fingerprint> {
        Ok(Fingerprint(String::new()))
    }
}

#[test]
fn a_thread_that_breaks_down_is_an_error_and_no_end() {
    let data = Arc::new(Broken(vec!["a".into()]));
    let options = LoaderOptions { workers: 2, strict: true, ..LoaderOptions::training(2, 1) };
    let errors: Vec<String> = loader(data, options)
        .batches(Place::default(), 1)
        .unwrap()
        .map(|batch| batch.unwrap_err().to_string())
        .collect();
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().all(|error| error.contains("reading it broke down")), "{errors:?}");
}

#[test]
fn settings_that_cannot_be_followed_are_refused() {
    let refused =
        |options: LoaderOptions| Loader::new(digits(10), pipeline(), options).unwrap_err().to_string();
    assert_eq!(refused(LoaderOptions::training(0, 1)), "the batch size is 0; it must be at least 1");
    let none_ahead = LoaderOptions { ahead: 0, ..LoaderOptions::training(2, 1) };
    assert!(refused(none_ahead).starts_with("the number of batches ahead is 0"));
    let mix = Mix { mixup: f64::INFINITY, ..Mix::NONE };
    assert!(refused(LoaderOptions { mix, ..LoaderOptions::training(2, 1) }).contains("mix's mixup is inf"));
    let empty = Loader::new(digits(0), pipeline(), LoaderOptions::training(2, 1));
    assert!(matches!(empty, Err(Error::NoPictures)));
    let misfit = Pipeline::plain(grey((16, 16), Preprocess::imagenet(20, 20)));
    let loader = Loader::new(digits(10), misfit, LoaderOptions::training(2, 1)).unwrap();
    let error = loader.batches(Place::default(), 1).unwrap().next().unwrap();
    assert!(
        matches!(error, Err(Error::InputSize { .. })),
        "a fault of the pipeline is no fault of a picture"
    );
}

#[test]
fn targets_are_soft_where_pictures_are_mixed() {
    let mix = Mix { mixup: 1.0, ..Mix::NONE };
    let loader = loader(digits(4), LoaderOptions { mix, ..LoaderOptions::training(4, 9) });
    let batch = &all(&loader, Place::default(), 1)[0];
    let mixed = batch.mixed.as_ref().unwrap();
    let targets = batch.targets(10, 0.1).unwrap();
    for (row, (own, other)) in targets.chunks(10).zip(batch.labels.iter().zip(&mixed.labels)) {
        let mut expected = [0.01; 10];
        expected[*own] += 0.9 * mixed.share;
        expected[*other] += 0.9 * (1.0 - mixed.share);
        assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{row:?}");
    }
    assert!(matches!(batch.targets(2, 0.0), Err(Error::LabelBeyond { .. })));
}

#[test]
fn five_crops_are_the_corners_and_the_centre() {
    let pixels = (0..5).flat_map(|y| (0..6).map(move |x| 10 * y + x)).collect();
    let picture = Picture::new(6, 5, Channels::Grey, pixels).unwrap();
    let prepare = Preprocess {
        resize: None,
        scale: 255.0,
        mean: [0.0; 3],
        std: [1.0; 3],
        ..grey((3, 4), Preprocess::imagenet(8, 8))
    };
    let pipeline = Pipeline { views: Views::Five, ..Pipeline::plain(prepare) };
    let values = pipeline.apply(&picture, &Stream::new(1, "views")).unwrap().values;
    // torchvision.transforms.FiveCrop((3, 4)) begins at these rows and columns.
    let starts = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)];
    let expected = starts.iter().flat_map(|&(top, left)| {
        (0..3).flat_map(move |y| (0..4).map(move |x| (10 * (top + y) + left + x) as f32))
    });
    assert_eq!(values, expected.collect::<Vec<f32>>());
    let loader = |mix| {
        let options = LoaderOptions { mix, ..LoaderOptions::testing(4) };
        let pipeline = Pipeline { views: Views::Five, ..Pipeline::plain(prepare_16()) };
        Loader::new(digits(6), pipeline, options)
    };
    let shapes: Vec<_> = all(&loader(Mix::NONE).unwrap(), Place::default(), 1)
        .iter()
        .map(|batch| (batch.shape, batch.labels.len()))
        .collect();
    assert_eq!(shapes, [([20, 1, 16, 16], 4), ([10, 1, 16, 16], 2)]);
    let error = loader(Mix { mixup: 0.2, ..Mix::NONE }).unwrap_err().to_string();
    assert!(error.contains("views") && error.contains("Five"), "{error}");
}

fn prepare_16() -> Preprocess {
    Preprocess { resize: None, ..grey((16, 16), Preprocess::imagenet(16, 16)) }
}

/// The same for grey inputs of this height and width.
fn grey((height, width): (usize, usize), prepare: Preprocess) -> Preprocess {
    Preprocess { input: [1, height, width], ..prepare }
}
