//! Augmentations against torchvision: `goldens/make_augment.py` made the expected hashes, and equal means equal in
//! every bit. What is drawn is judged by its distribution.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use zoo_base::random::Stream;
use zoo_data::augment::geometry::{inverse_affine, mirror, rotate, transform, upend};
use zoo_data::augment::{
    Affine, Augment, Border, ColourJitter, Distortion, Erase, Flip, Interpolation, Operation, PadAndCrop,
    RandAugment, RandomResizedCrop, TrivialAugment, With, colour,
};
use zoo_data::resize::{Region, resize_region};
use zoo_data::{Channels, Filter, Mix, Picture, Pipeline, Preprocess, Stored};

fn inputs(channels: Channels, (height, width): (usize, usize), prepare: Preprocess) -> Preprocess {
    Preprocess { input: [channels.count(), height, width], ..prepare }
}

fn hash(picture: &Picture) -> String {
    Sha256::digest(picture.pixels()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

fn interpolation(word: &str) -> Interpolation {
    if word == "nearest" { Interpolation::Nearest } else { Interpolation::Bilinear }
}

fn operation(word: &str) -> Operation {
    match word {
        "Identity" => Operation::Identity,
        "ShearX" => Operation::ShearX,
        "ShearY" => Operation::ShearY,
        "TranslateX" => Operation::TranslateX,
        "TranslateY" => Operation::TranslateY,
        "Rotate" => Operation::Rotate,
        "Brightness" => Operation::Brightness,
        "Color" => Operation::Colour,
        "Contrast" => Operation::Contrast,
        "Sharpness" => Operation::Sharpness,
        "Posterize" => Operation::Posterize,
        "Solarize" => Operation::Solarize,
        "AutoContrast" => Operation::AutoContrast,
        "Equalize" => Operation::Equalize,
        other => panic!("{other} is no operation"),
    }
}

/// What a line's operation makes of a picture; `size` is what came out.
fn done(mut picture: Picture, words: &[&str], size: (usize, usize)) -> Picture {
    let with = |change: fn(&mut Picture, f64)| {
        let mut picture = picture.clone();
        change(&mut picture, number(words[1]));
        picture
    };
    match words[0] {
        "mirror" => mirror(&mut picture),
        "upend" => upend(&mut picture),
        "crop" => {
            let filter = match words[1] {
                "nearest" => Filter::Nearest,
                "box" => Filter::Box,
                "bilinear" => Filter::Bilinear,
                "bicubic" => Filter::Bicubic,
                _ => Filter::Lanczos,
            };
            let [x, y, width, height] = [2, 3, 4, 5].map(|at| number(words[at]));
            return resize_region(&picture, Region { x, y, width, height }, size, filter).unwrap();
        }
        "pad" => {
            let border = match words[1] {
                "black" => Border::Black,
                "edge" => Border::Edge,
                _ => Border::Reflect,
            };
            let crop = PadAndCrop { padding: number(words[2]), border };
            return crop.cut(&picture, number(words[3]), number(words[4])).unwrap();
        }
        "affine" => {
            let [angle, x, y, scale, along, across] = [2, 3, 4, 5, 6, 7].map(|at| number::<f64>(words[at]));
            let centre = [picture.width() as f64 * 0.5, picture.height() as f64 * 0.5];
            let matrix = inverse_affine(centre, angle, [x, y], scale, [along, across]);
            return transform(&picture, matrix, interpolation(words[1]), number(words[8]));
        }
        "rotate" => return rotate(&picture, number(words[2]), interpolation(words[1]), number(words[3])),
        "brightness" => return with(colour::brightness),
        "contrast" => return with(colour::contrast),
        "saturation" => return with(colour::saturation),
        "sharpness" => return with(colour::sharpness),
        "hue" => return with(colour::turn_hue),
        "posterize" => colour::posterize(&mut picture, number(words[1])),
        "solarize" => colour::solarize(&mut picture, number(words[1])),
        "autocontrast" => colour::autocontrast(&mut picture),
        "equalize" => colour::equalize(&mut picture),
        "operation" => {
            return operation(words[1]).apply(picture, number(words[2]), Interpolation::Nearest, 0);
        }
        other => panic!("{other} is not known"),
    }
    picture
}

#[test]
fn the_same_draws_give_torchvisions_pixels() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let lines = fs::read_to_string(folder.join("augment.txt")).unwrap();
    let mut pictures: HashMap<&str, Picture> = HashMap::new();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for line in lines.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "magnitude" {
            let [width, height, bin, bins] = [3, 4, 5, 6].map(|at| number::<usize>(words[at]));
            let policy = RandAugment { magnitude: bin, bins, ..RandAugment::default() };
            let magnitude = match words[1] {
                "rand" => policy.magnitude(operation(words[2]), width, height),
                _ => TrivialAugment { bins, ..TrivialAugment::default() }.magnitude(operation(words[2]), bin),
            };
            if magnitude != number::<f64>(words[7]) {
                wrong.push(format!("{line}: {magnitude}"));
            }
        } else {
            let picture = pictures.entry(words[0]).or_insert_with(|| {
                // Pillow reads greyscale files as they are, and everything else in colour.
                Picture::open(folder.join(words[0])).unwrap()
            });
            let [width, height] = [3, 2].map(|back| number(words[words.len() - back]));
            let result = done(picture.clone(), &words[1..words.len() - 3], (width, height));
            if (result.width(), result.height()) != (width, height) || hash(&result) != *words.last().unwrap()
            {
                wrong.push(line.to_string());
            }
        }
        checked += 1;
    }
    assert!(checked > 1400, "{checked}");
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn noise(width: usize, height: usize) -> Picture {
    let mut stream = Stream::new(5, "noise");
    let pixels = (0..3 * width * height).map(|_| stream.next_u64() as u8).collect();
    Picture::new(width, height, Channels::Rgb, pixels).unwrap()
}

fn every_kind() -> Vec<Augment> {
    vec![
        Augment::Flip(Flip { horizontal: 0.5, vertical: 0.5 }),
        Augment::PadAndCrop(PadAndCrop { padding: 3, border: Border::Reflect }),
        Augment::Affine(Affine {
            degrees: 20.0,
            translate: [0.1, 0.2],
            scale: [0.8, 1.2],
            shear: [5.0, 5.0],
            ..Affine::default()
        }),
        Augment::ColourJitter(ColourJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        Augment::RandAugment(RandAugment::default()),
        Augment::TrivialAugment(TrivialAugment::default()),
        Augment::Distort(Distortion::MNIST),
        Augment::RandomResizedCrop(RandomResizedCrop::default()),
        Augment::Erase(Erase { probability: 1.0, with: With::Noise, ..Erase::default() }),
    ]
}

#[test]
fn the_same_stream_gives_the_same_input_and_another_another() {
    let picture = noise(61, 47);
    for channels in [Channels::Rgb, Channels::Grey] {
        let mut pipeline = Pipeline::plain(inputs(channels, (32, 24), Preprocess::imagenet(40, 32)));
        pipeline.augment = every_kind();
        pipeline.check().unwrap();
        let input = |seed| pipeline.apply(&picture, &Stream::new(seed, "test")).unwrap();
        assert_eq!(input(1), input(1));
        assert_ne!(input(1), input(2));
        assert_eq!(input(1).values.len(), channels.count() * 32 * 24);
    }
}

#[test]
fn recipes_are_read_and_written() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Recipe {
        augment: Vec<Augment>,
        mix: Mix,
    }
    let text = r#"
        augment = [
            { kind = "random_resized_crop", scale = [0.25, 1.0], filter = "bicubic" },
            { kind = "flip" },
            { kind = "pad_and_crop", padding = 2, border = "reflect" },
            { kind = "erase", probability = 0.1, with = "noise" },
        ]
        mix = { mixup = 0.2 }
    "#;
    let recipe: Recipe = toml::from_str(text).unwrap();
    let crop = RandomResizedCrop { scale: [0.25, 1.0], filter: Filter::Bicubic, ..Default::default() };
    assert_eq!(recipe.augment[0], Augment::RandomResizedCrop(crop));
    assert_eq!(recipe.augment[1], Augment::Flip(Flip { horizontal: 0.5, vertical: 0.0 }));
    assert_eq!(recipe.mix, Mix { mixup: 0.2, cutmix: 0.0, probability: 1.0 });

    let every = Recipe { augment: every_kind(), mix: recipe.mix };
    let json = serde_json::to_string(&every).unwrap();
    assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), every);

    for (wrong, expected) in [
        (r#"[{ kind = "flop" }]"#, "flop"),
        (r#"[{ kind = "flip", chance = 1.0 }]"#, "chance"),
        (r#"[{ kind = "erase", with = "paint" }]"#, "paint"),
    ] {
        let error =
            toml::from_str::<Recipe>(&format!("augment = {wrong}\nmix = {{}}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_cannot_be_meant_is_said() {
    let crop = RandomResizedCrop::default();
    for (augment, expected) in [
        (
            Augment::Flip(Flip { horizontal: 1.5, vertical: 0.0 }),
            "flip's horizontal is 1.5; it must be from 0 to 1",
        ),
        (Augment::RandomResizedCrop(RandomResizedCrop { scale: [0.0, 1.0], ..crop }), "scale is [0.0, 1.0]"),
        (Augment::RandomResizedCrop(RandomResizedCrop { scale: [0.5, 2.0], ..crop }), "at most 1"),
        (Augment::RandomResizedCrop(RandomResizedCrop { ratio: [2.0, 1.0], ..crop }), "ratio is [2.0, 1.0]"),
        (Augment::ColourJitter(ColourJitter { hue: f64::NAN, ..Default::default() }), "hue is NaN"),
        (Augment::RandAugment(RandAugment { magnitude: 31, ..Default::default() }), "less than its bins"),
        (Augment::TrivialAugment(TrivialAugment { bins: 1, ..Default::default() }), "bins is 1"),
        (Augment::Affine(Affine { shear: [90.0, 0.0], ..Default::default() }), "below 90 degrees"),
        (Augment::Distort(Distortion { scale: 1.0, ..Distortion::NONE }), "scale is 1"),
        (Augment::Erase(Erase { ratio: [0.0, 1.0], ..Default::default() }), "ratio is [0.0, 1.0]"),
    ] {
        let error = augment.check().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_crop_has_the_area_and_proportions_that_are_asked_for() {
    // One pixel in the picture's own place: where a crop was is seen from what came out of it.
    let picture = Picture::new(64, 64, Channels::Grey, (0..64 * 64).map(|at| (at % 64 * 4) as u8).collect());
    let picture = picture.unwrap();
    let crop = RandomResizedCrop { scale: [0.25, 0.25], ratio: [1.0, 1.0], filter: Filter::Nearest };
    let mut starts = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let mut stream = Stream::new(seed, "crop");
        let cut = Augment::RandomResizedCrop(crop).apply(picture.clone(), (32, 32), &mut stream).unwrap();
        let (first, last) = (cut.pixels()[0] / 4, cut.pixels()[31] / 4);
        assert_eq!(last - first, 31);
        starts.insert(first);
    }
    assert_eq!(starts.len(), 33, "every place is possible");
}

#[test]
fn an_erased_piece_is_within_its_bounds() {
    let picture = Picture::new(40, 40, Channels::Grey, vec![255; 1600]).unwrap();
    let mut pipeline = Pipeline::plain(inputs(Channels::Grey, (40, 40), Preprocess::imagenet(40, 40)));
    pipeline.augment = vec![Augment::Erase(Erase { probability: 0.5, ..Erase::default() })];
    let mut erased = 0;
    for seed in 0..600 {
        let input = pipeline.apply(&picture, &Stream::new(seed, "erase")).unwrap();
        let gone = input.values.iter().filter(|&&value| value == 0.0).count() as f64 / 1600.0;
        assert!(gone == 0.0 || (0.012..0.36).contains(&gone), "{gone}");
        erased += usize::from(gone > 0.0);
    }
    assert!((240..360).contains(&erased), "{erased}");
}

#[test]
fn a_picture_of_the_wrong_size_is_an_error() {
    let pipeline = Pipeline::plain(inputs(Channels::Rgb, (32, 32), Preprocess::imagenet(40, 30)));
    let error = pipeline.apply(&noise(50, 50), &Stream::new(0, "size")).unwrap_err().to_string();
    assert!(error.starts_with("a picture of 30x30 pixels") && error.contains("32x32"), "{error}");
}

#[test]
fn of_a_jpeg_a_part_is_the_same_as_in_the_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/photos");
    let files = [&folder, &photos].map(|folder| fs::read_dir(folder).unwrap());
    let files = files.into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut checked = 0;
    for file in files.filter(|path| path.extension().is_some_and(|ending| ending == "jpg")) {
        let bytes = fs::read(&file).unwrap();
        let (stored, picture) = (Stored::File(bytes), Picture::open(&file).unwrap());
        for channels in [Channels::Rgb, Channels::Grey] {
            let mut pipeline = Pipeline::plain(inputs(channels, (24, 32), Preprocess::imagenet(40, 32)));
            pipeline.augment = vec![
                Augment::RandomResizedCrop(RandomResizedCrop { scale: [0.01, 0.5], ..Default::default() }),
                Augment::Flip(Flip::default()),
            ];
            for seed in 0..30 {
                let stream = Stream::new(seed, "part");
                let of_part = pipeline.apply_stored(&stored, "it", &stream).unwrap();
                assert!(of_part == pipeline.apply(&picture, &stream).unwrap(), "{file:?} {seed}");
                checked += 1;
            }
        }
    }
    assert!(checked > 1000, "{checked}");
}
