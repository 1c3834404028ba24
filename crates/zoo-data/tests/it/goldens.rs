//! Decoding, resampling and preprocessing against Pillow and torchvision: `goldens/make.py` made the expected
//! hashes, and equal means equal in every bit.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zoo_data::preprocess::{self, IMAGENET_MEAN, IMAGENET_STD, Order};
use zoo_data::resize::resize;
use zoo_data::{Filter, Picture, Preprocess};

struct Case {
    what: String,
    file: PathBuf,
    width: usize,
    height: usize,
    hash: String,
}

fn cases() -> Vec<Case> {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/photos");
    let case = |line: &str| {
        let [what, name, width, height, hash] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("five words are expected: {line}");
        };
        let file =
            [&goldens, &photos].map(|folder| folder.join(name)).into_iter().find(|path| path.is_file());
        Case {
            what: what.into(),
            file: file.unwrap_or_else(|| panic!("{name} is in neither folder")),
            width: width.parse().unwrap(),
            height: height.parse().unwrap(),
            hash: hash.into(),
        }
    };
    fs::read_to_string(goldens.join("expected.txt")).unwrap().lines().map(case).collect()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn filter(name: &str) -> Option<Filter> {
    Some(match name {
        "nearest" => Filter::Nearest,
        "box" => Filter::Box,
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        "lanczos" => Filter::Lanczos,
        _ => return None,
    })
}

/// `input-FILTER-RESIZE-CROP`, where 0 is none; Xception's 299 goes with its own mean and deviation.
fn how(name: &str) -> Preprocess {
    let parts: Vec<&str> = name.split('-').collect();
    let (side, crop): (usize, usize) = (parts[2].parse().unwrap(), parts[3].parse().unwrap());
    let (mean, std) = if crop == 299 { ([0.5; 3], [0.5; 3]) } else { (IMAGENET_MEAN, IMAGENET_STD) };
    Preprocess {
        resize: (side != 0).then_some(side),
        interpolation: filter(parts[1]).unwrap(),
        crop: (crop != 0).then_some(crop),
        mean,
        std,
        ..Preprocess::imagenet(side, crop)
    }
}

#[test]
fn every_case_is_equal_in_every_bit() {
    let mut wrong = Vec::new();
    let mut last: Option<(PathBuf, Picture)> = None;
    let cases = cases();
    assert!(cases.len() > 1000, "{} cases", cases.len());
    for case in &cases {
        let picture = match &last {
            Some((file, picture)) if *file == case.file => picture.clone(),
            _ => Picture::open(&case.file).unwrap(),
        };
        last = Some((case.file.clone(), picture.clone()));
        let (width, height, hash) = match (filter(&case.what), case.what.as_str()) {
            (None, "decode") => (picture.width(), picture.height(), hash(picture.into_rgb().pixels())),
            (Some(filter), _) => {
                let picture = resize(&picture, case.width, case.height, filter).unwrap();
                (picture.width(), picture.height(), hash(picture.into_rgb().pixels()))
            }
            (None, name) => {
                let input = preprocess::apply(&how(name), &picture).unwrap();
                let bytes: Vec<u8> = input.values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (input.width, input.height, hash(&bytes))
            }
        };
        if (width, height, &hash) != (case.width, case.height, &case.hash) {
            wrong.push(format!("{} {} {width}x{height}", case.what, case.file.display()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn other_orders_and_sizes_are_arithmetic() {
    let picture = Picture::new(2, 1, zoo_data::Channels::Rgb, vec![10, 20, 30, 40, 50, 60]).unwrap();
    let caffe = Preprocess {
        scale: 255.0,
        mean: [103.939, 116.779, 123.68],
        std: [1.0; 3],
        channels: Order::Bgr,
        ..Preprocess::imagenet(1, 1).unscaled()
    };
    let expected =
        [30.0 - 103.939, 60.0 - 103.939, 20.0 - 116.779, 50.0 - 116.779, 10.0 - 123.68, 40.0 - 123.68];
    assert_eq!(preprocess::apply(&caffe, &picture).unwrap().values, expected);
    let scaled = Preprocess { resize: Some(3), ..caffe };
    let input = preprocess::apply(&scaled, &picture).unwrap();
    assert_eq!((input.height, input.width, input.values.len()), (3, 6, 54));
}

#[test]
fn a_crop_is_computed_alone_and_equals_the_crop_of_the_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    // Scaled to 94x71 and 92x71: (71 - 20) / 2 = 25.5 goes to the even 26, (94 - 31) / 2 = 31.5 to 32, 30.5 to 30.
    for (file, width, left) in [("444.jpg", 94, 32), ("alpha.png", 92, 30)] {
        let picture = Picture::open(folder.join(file)).unwrap();
        for name in ["nearest", "box", "bilinear", "bicubic", "lanczos"] {
            let interpolation = filter(name).unwrap();
            let part = Preprocess { input: [3, 20, 31], interpolation, ..Preprocess::imagenet(71, 31) };
            let whole = Preprocess { crop: None, ..part };
            let [whole, part] = [whole, part].map(|how| preprocess::picture(&how, &picture).unwrap());
            assert_eq!((whole.width(), whole.height()), (width, 71));
            for (row, line) in part.pixels().chunks_exact(31 * 3).enumerate() {
                let start = ((row + 26) * width + left) * 3;
                assert_eq!(line, &whole.pixels()[start..start + 31 * 3], "{file} {name} row {row}");
            }
        }
    }
}

#[test]
fn sizes_beyond_reason_are_refused() {
    let ribbon = Picture::new(1, 1_000_000, zoo_data::Channels::Grey, vec![7; 1_000_000]).unwrap();
    let input = preprocess::apply(&Preprocess::imagenet(100, 50), &ribbon).unwrap();
    assert_eq!((input.height, input.width), (50, 50), "the crop alone is computed");
    let uncut = Preprocess { crop: None, ..Preprocess::imagenet(520, 1) };
    let message = preprocess::apply(&uncut, &ribbon).unwrap_err().to_string();
    assert!(message.contains("520x520000000"), "{message}");
    for side in [0, usize::MAX] {
        assert!(preprocess::apply(&Preprocess::imagenet(side, 50), &ribbon).is_err());
        assert!(preprocess::apply(&Preprocess::imagenet(100, side), &ribbon).is_err());
        assert!(resize(&ribbon, side, 5, Filter::Nearest).is_err());
    }
}

/// Every picture cut at every tenth of its length is refused, or what Pillow makes of it; so is every JPEG that is
/// closed with an end mark there.
#[test]
fn a_picture_that_ends_too_soon_is_refused_or_as_pillow_reads_it() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let read = fs::read_to_string(goldens.join("cuts.txt")).unwrap();
    let (mut wrong, mut cut) = (Vec::new(), 0);
    for found in zoo_data::folder::pictures(&goldens).unwrap() {
        let zoo_data::Found::Picture(path) = found else { panic!("{found:?}") };
        let (name, bytes) = (path.file_name().unwrap().to_str().unwrap(), fs::read(&path).unwrap());
        for (tenth, what) in (1..10).flat_map(|tenth| [(tenth, "cut"), (tenth, "closed")]) {
            let mut part = bytes[..bytes.len() * tenth / 10].to_vec();
            match (what, name.ends_with(".jpg")) {
                ("closed", false) => continue,
                ("closed", true) => part.extend([0xff, 0xd9]),
                _ => {}
            }
            cut += 1;
            let Ok(picture) = Picture::decode(&part, name) else { continue };
            let line = format!("{what} {name} {tenth} {}", hash(picture.into_rgb().pixels()));
            if !read.lines().any(|known| known == line) {
                wrong.push(line);
            }
        }
    }
    assert!(cut > 700, "only {cut} were cut");
    assert!(wrong.is_empty(), "{} of {cut} are answered as if whole:\n{}", wrong.len(), wrong.join("\n"));
}
