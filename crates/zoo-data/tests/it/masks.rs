//! Pictures with masks: where they lie, what is wrong with them, and that a mask goes where its picture goes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use zoo_base::random::Stream;
use zoo_data::augment::{Affine, Border, Distortion, Flip, PadAndCrop, RandAugment, TrivialAugment};
use zoo_data::mask::{self, IGNORED};
use zoo_data::preprocess::Preprocess;
use zoo_data::{
    Augment, Channels, Loader, LoaderOptions, MaskFolder, Mix, Part, Picture, Pipeline, Place, Scenes, open,
    pixel_counts, scenes, unreadable,
};

fn grey(width: usize, height: usize, pixels: Vec<u8>) -> Picture {
    Picture::new(width, height, Channels::Grey, pixels).unwrap()
}

fn put(path: &Path, write: impl FnOnce(&mut Vec<u8>)) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut bytes = Vec::new();
    write(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// A picture of 3x2 pixels and a mask of these labels.
fn pair(root: &Path, picture: &str, mask: &str, labels: &[u8; 6]) {
    put(&root.join(picture), |out| grey(3, 2, vec![9; 6]).write_png(out).unwrap());
    put(&root.join(mask), |out| mask::write(&grey(3, 2, labels.to_vec()), out).unwrap());
}

#[test]
fn vocs_layout_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (name, label) in [("2007_1", 15), ("2007_2", 20), ("2007_3", 1)] {
        let (picture, mask) = (format!("JPEGImages/{name}.png"), format!("SegmentationClass/{name}.png"));
        pair(root, &picture, &mask, &[0, label, label, 255, 0, 0]);
    }
    put(&root.join("JPEGImages/unlabelled.png"), |out| grey(3, 2, vec![0; 6]).write_png(out).unwrap());
    let all = open(root).unwrap();
    assert_eq!((all.len(), all.has_masks(), all.classes().len(), all.part(0)), (3, true, 21, None));
    let lists = root.join("ImageSets/Segmentation");
    put(&lists.join("train.txt"), |out| out.extend(b"2007_2\n2007_1 1\n\n"));
    put(&lists.join("val.txt"), |out| out.extend(b"2007_3\n"));
    let parted = open(root).unwrap();
    let named: Vec<_> = (0..parted.len()).map(|index| (parted.name(index), parted.part(index))).collect();
    let train = |name: &str| (format!("JPEGImages/{name}.png"), Some(Part::Train));
    let expected =
        [train("2007_2"), train("2007_1"), ("JPEGImages/2007_3.png".into(), Some(Part::Validation))];
    assert_eq!(named, expected);
    assert_eq!(parted.mask(0).unwrap().unwrap().pixels(), [0, 20, 20, 255, 0, 0]);
    assert_ne!(all.fingerprint().unwrap(), parted.fingerprint().unwrap());
    put(&lists.join("val.txt"), |out| out.extend(b"2007_3\n2007_9\n"));
    let said = open(root).unwrap_err().to_string();
    assert!(said.contains("val.txt, line 2: there is no picture 2007_9 in"), "{said}");
    put(&lists.join("val.txt"), |out| out.extend(b"unlabelled\n"));
    let said = open(root).unwrap_err().to_string();
    assert!(said.contains("has no mask; add") && said.contains("unlabelled.png"), "{said}");
}

#[test]
fn a_plain_layout_is_recognised_and_its_classes_counted() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    pair(root, "train/images/a.png", "train/masks/a.png", &[0, 1, 2, 255, 0, 0]);
    pair(root, "val/images/deep/b.png", "val/masks/deep/b.png", &[0, 1, 1, 1, 0, 0]);
    let data = open(root).unwrap();
    assert_eq!(data.classes(), ["0", "1", "2"]);
    assert_eq!((data.part(0), data.part(1)), (Some(Part::Train), Some(Part::Validation)));
    assert_eq!(pixel_counts(&*data), [6, 4, 1]);
    put(&root.join("classes.txt"), |out| out.extend(b"sky\nroad\ncar\nbus\n"));
    assert_eq!(open(root).unwrap().classes(), ["sky", "road", "car", "bus"]);
    let before = open(root).unwrap().fingerprint().unwrap();
    pair(root, "train/images/a.png", "train/masks/a.png", &[0, 1, 2, 255, 0, 1]);
    assert_ne!(open(root).unwrap().fingerprint().unwrap(), before);
    assert!(MaskFolder::find(&root.join("train/images")).unwrap().is_none());
    fs::create_dir_all(root.join("empty/images")).unwrap();
    fs::create_dir_all(root.join("empty/masks")).unwrap();
    let said = open(&root.join("empty")).unwrap_err().to_string();
    assert!(said.contains("holds no picture with a mask; put pictures into images"), "{said}");
}

#[test]
fn what_is_wrong_with_masks_is_said_and_the_rest_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    pair(root, "images/a.png", "masks/a.png", &[0, 1, 2, 255, 0, 0]);
    pair(root, "images/b.png", "masks/b.png", &[0, 1, 9, 0, 0, 0]);
    pair(root, "images/c.png", "masks/c.png", &[255; 6]);
    pair(root, "images/d.png", "masks/d.png", &[0; 6]);
    put(&root.join("images/d.png"), |out| grey(4, 2, vec![1; 8]).write_png(out).unwrap());
    pair(root, "images/e.png", "masks/e.png", &[0; 6]);
    let colours = Picture::new(3, 2, Channels::Rgb, vec![7; 18]).unwrap();
    put(&root.join("masks/e.png"), |out| colours.write_png(out).unwrap());
    put(&root.join("classes.txt"), |out| out.extend(b"sky\nroad\ncar\n"));
    let data = open(root).unwrap();
    let faults: Vec<String> = unreadable(&*data, 2).into_iter().map(|skipped| skipped.why).collect();
    let expected = [
        "b.png: label 9 at column 2, row 0, but there are 3 classes",
        "c.png: all 6 pixels are 255",
        "d.png: the mask has 3x2 pixels, but its picture has 4x2",
        "e.png: the colour 7,7,7 at column 0, row 0 is none of",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.contains(expected), "{fault}");
    }
    let prepare = Preprocess { input: [1, 2, 3], resize: None, ..Preprocess::imagenet(3, 3) };
    let pipeline = Pipeline::plain(prepare);
    let loader = Loader::new(data.clone(), pipeline.clone(), LoaderOptions::testing(8)).unwrap();
    let mut batches = loader.batches(Place::default(), 1).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert_eq!((batch.indices.as_slice(), batch.shape), (&[0][..], [1, 1, 2, 3]));
    assert_eq!(batch.masks.as_deref(), Some(&[0, 1, 2, 255, 0, 0][..]));
    assert!(batch.counts());
    assert_eq!(batches.skipped().len(), 4);
    let mix = Mix { mixup: 0.2, ..Mix::NONE };
    let mixed = Loader::new(data, pipeline, LoaderOptions { mix, ..LoaderOptions::testing(8) });
    assert!(mixed.unwrap_err().to_string().contains("can't be mixed"));
    put(&root.join("classes.txt"), |out| out.extend("thing\n".repeat(300).bytes()));
    let said = open(root).unwrap_err().to_string();
    assert!(said.contains("classes.txt: names 300 classes") && said.contains("at most 255"), "{said}");
    fs::remove_file(root.join("masks/a.png")).unwrap();
    let said = open(root).unwrap_err().to_string();
    assert!(said.contains("images/a.png: has no mask; add") && said.contains("masks/a.png"), "{said}");
}

/// A picture whose every pixel tells its label: what a mask becomes is what the picture becomes, where nothing is mixed.
#[test]
fn a_mask_follows_its_picture() {
    let (width, height) = (23, 17);
    let labels: Vec<u8> = (0..width * height).map(|at| (at % width / 6 + at / width / 6 * 4) as u8).collect();
    let mask = grey(width, height, labels);
    let size = (height, width);
    let steps = [
        Augment::Flip(Flip { horizontal: 0.5, vertical: 0.5 }),
        Augment::PadAndCrop(PadAndCrop { padding: 5, border: Border::Reflect }),
        Augment::PadAndCrop(PadAndCrop::default()),
        Augment::Affine(Affine {
            degrees: 40.0,
            translate: [0.2, 0.1],
            scale: [0.7, 1.4],
            ..Affine::default()
        }),
        Augment::RandomResizedCrop(zoo_data::augment::RandomResizedCrop {
            filter: zoo_data::Filter::Nearest,
            ..Default::default()
        }),
    ];
    for step in &steps {
        for draw in 0..20 {
            let stream = Stream::numbered(3, draw);
            let picture = step.apply(mask.clone(), size, &mut stream.clone()).unwrap();
            let followed = step.follow(mask.clone(), size, &mut stream.clone()).unwrap();
            for (&label, &value) in followed.pixels().iter().zip(picture.pixels()) {
                // Beyond the edge a picture is black, and a mask doesn't count.
                assert!(label == value || (label == IGNORED && value == 0), "{step:?}: {label} {value}");
            }
        }
    }
    // Of those that mix pixels, the mask keeps labels whole, and moves as far.
    let policies = [
        Augment::RandAugment(RandAugment::default()),
        Augment::TrivialAugment(TrivialAugment::default()),
        Augment::Distort(Distortion { bend: 0.0, ..Distortion::MNIST }),
    ];
    let block: Vec<u8> =
        (0..width * height).map(|at| u8::from((8..16).contains(&(at % width))) * 200).collect();
    for step in &policies {
        for draw in 0..40 {
            let stream = Stream::numbered(5, draw);
            let followed =
                step.follow(grey(width, height, block.clone()), size, &mut stream.clone()).unwrap();
            assert!(followed.pixels().iter().all(|label| [0, 200, IGNORED].contains(label)), "{step:?}");
            if let Augment::Distort(_) = step {
                let picture =
                    step.apply(grey(width, height, block.clone()), size, &mut stream.clone()).unwrap();
                let pairs = followed.pixels().iter().zip(picture.pixels());
                let apart =
                    pairs.filter(|(label, value)| **label != IGNORED && (**label == 200) != (**value > 100));
                assert!(apart.count() < 12, "{step:?}");
            }
        }
    }
}

#[test]
fn batches_of_scenes_are_the_same_whatever_the_threads() {
    let plan = scenes::Plan { train: 12, validation: 2, test: 2, size: (40, 48), ..scenes::Plan::default() };
    let data = Arc::new(Scenes::new(plan).unwrap());
    let prepare = Preprocess { input: [1, 32, 32], resize: None, ..Preprocess::imagenet(32, 32) };
    let mut pipeline = Pipeline::plain(prepare);
    pipeline.augment = vec![Augment::PadAndCrop(PadAndCrop::default()), Augment::Flip(Flip::default())];
    let batches = |workers: usize| {
        let options = LoaderOptions { workers, ..LoaderOptions::training(4, 3) };
        let loader = Loader::new(data.clone(), pipeline.clone(), options).unwrap();
        loader.batches(Place::default(), 2).unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let (one, three) = (batches(1), batches(3));
    assert_eq!(one, three);
    assert_eq!(one.len(), 8);
    let masks = one[0].masks.as_ref().unwrap();
    assert_eq!(masks.len(), 4 * 32 * 32);
    assert!(masks.iter().all(|&label| label <= 10 || label == IGNORED) && masks.contains(&IGNORED));
}
