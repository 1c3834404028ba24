//! Pictures that are hard, broken or malicious, and digits as people photograph them.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use proptest::prelude::*;
use zoo_data::handwriting::prepare;
use zoo_data::{Channels, Error, Filter, Found, Picture, Preprocess, digits, preprocess};

fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The hard pictures that stand beside the goldens, in every format that is read.
static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let found = zoo_data::folder::pictures(&manifest("tests/goldens")).unwrap();
    let read = |found: &Found| match found {
        Found::Picture(path) => fs::read(path).unwrap(),
        Found::LeftOut(left_out) => panic!("{left_out}"),
    };
    found.iter().map(read).collect()
});

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn message(bytes: &[u8]) -> String {
    Picture::decode(bytes, "some.png").unwrap_err().to_string()
}

#[test]
fn what_is_no_picture_is_refused_in_a_sentence() {
    let grey = |width, height| encode(GrayImage::new(width, height), ImageFormat::Png);
    for (bytes, parts) in [
        (Vec::new(), ["is empty", "again"]),
        (b"hello".to_vec(), ["no picture of a known kind", "PNG"]),
        (grey(1, 1), ["1x1", "two pixels"]),
        (grey(9, 9)[..60].to_vec(), ["can't be decoded as PNG", "save it anew"]),
        (SAMPLES[0][..900].to_vec(), ["can't be decoded as JPEG", "save it anew"]),
    ] {
        let message = message(&bytes);
        assert!(message.starts_with("some.png: "), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let missing = Picture::open("no/such/file.png").unwrap_err().to_string();
    assert!(missing.starts_with("no/such/file.png: ") && missing.contains("path"), "{missing}");
    assert!(matches!(Picture::open(manifest("tests")), Err(Error::Io { .. })));
}

/// A PNG of 1x1 whose header says something else, with the checksum put right.
/// A decoder of GIF is content with a picture's pixels; Pillow wants its last block of data whole, and so do we.
#[test]
fn a_gif_ends_behind_its_first_pictures_data() {
    let noisy =
        RgbImage::from_fn(30, 20, |x, y| image::Rgb([(x * y % 251) as u8, (x * 7) as u8, (y * 11) as u8]));
    let whole = encode(noisy, ImageFormat::Gif);
    let picture = Picture::decode(&whole, "some.gif").unwrap();
    // The end of the file, and that of the data.
    for missing in 1..=2 {
        let shorter = Picture::decode(&whole[..whole.len() - missing], "some.gif").unwrap();
        assert_eq!(shorter, picture);
    }
    for missing in 3..whole.len() {
        let error = message(&whole[..whole.len() - missing]);
        assert!(missing > 40 || error.contains("it ends before all of it is there"), "{missing}: {error}");
    }
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encode(GrayImage::new(1, 1), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    bytes
}

/// A JPEG whose header says something else.
fn jpeg_header(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = fs::read(manifest("tests/goldens/444.jpg")).unwrap();
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

#[test]
fn a_header_is_judged_before_memory_is_taken() {
    for bytes in [png_header(30_000, 30_000), jpeg_header(30_000, 30_000)] {
        let message = message(&bytes);
        assert!(message.contains("30000x30000") && message.contains("scale it down"), "{message}");
    }
    for bytes in [png_header(11_000, 11_000), jpeg_header(11_000, 11_100)] {
        let message = message(&bytes);
        assert!(message.contains("11000x11") && message.contains("can't hold"), "{message}");
    }
}

/// A picture beside the goldens, with some bytes written over others.
fn altered(file: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = fs::read(manifest("tests/goldens").join(file)).unwrap();
    let place = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[place..place + to.len()].copy_from_slice(to);
    bytes
}

#[test]
fn values_without_a_level_are_refused() {
    let floats = fs::read(manifest("tests/goldens/float-to-1.tif")).unwrap();
    let with_last = |value: f32| {
        let mut bytes = floats.clone();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    assert!(Picture::decode(&with_last(1.0), "x").is_ok());
    for value in [-0.5, 256.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let message = message(&with_last(value));
        assert!(message.contains("can't be decoded as TIFF") && message.contains("0 to 1"), "{message}");
    }
    // A colour that the palette has not: its numbers are of 8 bits, and the palette of as many, cut to 3 colours.
    let short = altered("palette-8bit.tif", &[0x40, 1, 3, 0, 0, 3, 0, 0], &[0x40, 1, 3, 0, 9, 0, 0, 0]);
    assert!(message(&short).contains("of a palette of 3"), "{}", message(&short));
    // Numbers with signs.
    let signed =
        altered("grey16.tif", &[0x01, 0x53, 0, 3, 0, 0, 0, 1, 0, 1], &[0x01, 0x53, 0, 3, 0, 0, 0, 1, 0, 2]);
    assert!(message(&signed).contains("with signs"), "{}", message(&signed));
}

/// A golden TIFF with one tag's number exchanged.
fn tiff_with(name: &str, tag: u16, value: u32) -> Vec<u8> {
    let mut bytes = fs::read(manifest("tests/goldens").join(name)).unwrap();
    let start = u32::from_le_bytes(*bytes[4..].first_chunk().unwrap()) as usize;
    let entries = (0..100).map(|entry| start + 2 + 12 * entry);
    let at = entries.into_iter().find(|&at| bytes[at..at + 2] == tag.to_le_bytes()).unwrap();
    bytes[at + 2..at + 12].copy_from_slice(&[&[4, 0, 1, 0, 0, 0][..], &value.to_le_bytes()].concat());
    bytes
}

#[test]
fn tiffs_that_are_not_read_say_why() {
    for (compression, name) in [
        (2, "fax"),
        (6, "the older of TIFF's two kinds of JPEG"),
        (34_712, "JPEG 2000"),
        (50_000, "Zstandard"),
        (777, "number 777"),
    ] {
        let message = message(&tiff_with("jpeg-strips.tif", 259, compression));
        assert!(message.contains(name) && message.contains("save it anew"), "{message}");
    }
    for (name, tag, value, says) in [
        ("jpeg-strips.tif", 257, 16, "inconsistent sizes"),
        ("jpeg-strips.tif", 257, 90, "a piece of 103x7 pixels and 2163 values, where 103x26 of 3"),
        ("jpeg-strips.tif", 256, 104, "a piece of 103x32 pixels and 9888 values, where 104x32 of 3"),
        ("jpeg-strips.tif", 256, 90, "a piece of 103x32 pixels, where 90x32 are left"),
        ("jpeg-strips.tif", 278, 33, "a piece of 103x32 pixels and 9888 values, where 103x33 of 3"),
        ("jpeg-strips.tif", 258, 12, "JPEG of 12 bits"),
        ("jpeg-tiles-rgb.tif", 262, 5, "3 values of each pixel, where 4 make its colour"),
        ("jpeg-white-is-0.tif", 262, 2, "1 values of each pixel, where 3 make its colour"),
        ("jpeg-tiles.tif", 257, 97, "inconsistent sizes"),
        ("jpeg-tiles.tif", 322, 4_294_967_280, "inconsistent sizes"),
        ("jpeg-tiles.tif", 277, 4, "inconsistent sizes"),
        ("jpeg-tiles.tif", 277, 60_000, "inconsistent sizes"),
    ] {
        let message = message(&tiff_with(name, tag, value));
        assert!(message.contains(says), "{name} {tag} {value}: {message}");
    }
}

#[test]
fn transparency_is_blended_as_exactly_as_can_be() {
    for value in 0..=255u8 {
        let row: Vec<u8> = (0..=255).flat_map(|alpha| [value, alpha]).collect();
        let image = image::GrayAlphaImage::from_raw(256, 1, row).unwrap();
        let picture = Picture::decode(&encode(image, ImageFormat::Png), "x").unwrap();
        assert_eq!(picture.channels(), Channels::Grey);
        for (alpha, &got) in picture.pixels().iter().enumerate() {
            let share = alpha as f64 / 255.0;
            let exact = f64::from(value) * share + 255.0 * (1.0 - share);
            assert!((f64::from(got) - exact).abs() <= 0.5 + 1e-9, "{value} at {alpha}: {got}");
        }
    }
}

#[test]
fn a_prepared_digit_is_used_as_it_is() {
    let (_, test) = digits::bundled().unwrap();
    for class in 0..10 {
        let picture = Picture::open(manifest(&format!("../../assets/digits/{class}.png"))).unwrap();
        let first = test.labels.iter().position(|&label| label == class).unwrap();
        assert_eq!(prepare(&picture, "x").unwrap(), test.image(first), "{class}");
    }
}

/// How alike two pictures are: the cosine of the angle between them.
fn likeness(a: &[u8], b: &[u8]) -> f64 {
    let product =
        |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

#[test]
fn a_digit_is_found_again_in_scenes_of_every_kind() {
    let (_, test) = digits::bundled().unwrap();
    for (file, class) in [("paper-7.jpg", 7), ("blackboard-3.jpg", 3), ("pencil-5.png", 5)] {
        let picture = Picture::open(manifest(&format!("../../assets/digits/{file}"))).unwrap();
        let second = (0..1000).filter(|&i| test.labels[i] == class).nth(1).unwrap();
        let found = likeness(&prepare(&picture, "x").unwrap(), test.image(second));
        assert!(found > 0.9, "{file}: {found}");
    }
    // The same digit inverted, enlarged, shifted: the mean over fifty is near the original.
    let (mut inverted, mut enlarged) = (0.0, 0.0);
    for index in 0..50 {
        let digit = test.image(index);
        let dark: Vec<u8> = digit.iter().map(|v| 255 - v).collect();
        let dark = Picture::new(28, 28, Channels::Grey, dark).unwrap();
        inverted += likeness(&prepare(&dark, "x").unwrap(), digit) / 50.0;
        let large = zoo_data::resize::resize(&dark, 280, 280, Filter::Bicubic).unwrap();
        let mut page = vec![255; 900 * 600];
        for (row, line) in large.pixels().chunks(280).enumerate() {
            page[(row + 33) * 900 + 500..][..280].copy_from_slice(line);
        }
        let page = Picture::new(900, 600, Channels::Grey, page).unwrap();
        enlarged += likeness(&prepare(&page, "x").unwrap(), digit) / 50.0;
    }
    assert!(inverted > 0.95 && enlarged > 0.93, "{inverted} {enlarged}");
}

#[test]
fn where_there_is_no_digit_none_is_found() {
    let flat = |value| Picture::new(200, 100, Channels::Grey, vec![value; 20_000]).unwrap();
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        200 + (state >> 28) as u8 + (state >> 20 & 15) as u8
    };
    let grain = Picture::new(200, 100, Channels::Grey, (0..20_000).map(|_| noise()).collect()).unwrap();
    let ramp: Vec<u8> = (0..20_000).map(|at| (100 + at % 200 / 2) as u8).collect();
    let ramp = Picture::new(200, 100, Channels::Grey, ramp).unwrap();
    let dot = Picture::new(1, 2, Channels::Grey, vec![7, 7]).unwrap();
    let black = Picture::new(28, 28, Channels::Grey, vec![0; 784]).unwrap();
    for picture in [flat(0), flat(128), flat(255), grain, ramp, dot, black] {
        let message = prepare(&picture, "page.jpg").unwrap_err().to_string();
        assert!(message.starts_with("page.jpg: no digit found") && message.contains("single"), "{message}");
    }
}

/// Whatever was decoded goes the whole way, and what wasn't, a decoder has judged and not died of.
fn use_up(picture: zoo_data::Result<Picture>) {
    let picture = match picture {
        Ok(picture) => picture,
        Err(error) => return assert!(!error.to_string().contains("broke down"), "{error}"),
    };
    let _ = prepare(&picture, "x");
    let input = preprocess::apply(&Preprocess::imagenet(48, 40), &picture).unwrap();
    assert_eq!(input.values.len(), 3 * 40 * 40);
    assert!(input.values.iter().all(|value| value.is_finite()));
}

/// The JPEGs among the samples.
static JPEGS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| SAMPLES.iter().filter(|bytes| bytes.starts_with(&[0xff, 0xd8])).cloned().collect());

/// The TIFFs among the samples.
static TIFFS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let is_tiff = |bytes: &&Vec<u8>| bytes.starts_with(b"II*") || bytes.starts_with(b"MM\0*");
    SAMPLES.iter().filter(is_tiff).cloned().collect()
});

/// Where the segments of a JPEG's header begin, the frame and the tables and scans, up to `limit` of them.
fn segments(bytes: &[u8], limit: usize) -> Vec<usize> {
    let marks = |pair: &[u8]| pair[0] == 0xff && matches!(pair[1], 0xc0..=0xcf | 0xda..=0xdd | 0xe0..=0xef);
    (0..bytes.len().saturating_sub(1)).filter(|&at| marks(&bytes[at..at + 2])).take(limit).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_pictures_do_no_harm(
        which in 0usize..1000,
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        early in any::<bool>(),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = SAMPLES[which % SAMPLES.len()].clone();
        for (place, value) in wounds {
            // Headers are where the interesting damage is.
            let place = place.index(if early { bytes.len().min(64) } else { bytes.len() });
            bytes[place] = value;
        }
        if early {
            bytes.truncate(end.index(bytes.len()) + 1);
        }
        use_up(Picture::decode(&bytes, "x"));
    }

    #[test]
    fn jpegs_with_other_frames_tables_and_scans_do_no_harm(
        which in 0usize..1000,
        wounds in prop::collection::vec((any::<prop::sample::Index>(), 0usize..24, any::<u8>()), 1..8),
        sampling in prop::option::of(prop::collection::vec(prop::sample::select(vec![0x11u8, 0x12, 0x14, 0x21, 0x22, 0x24, 0x41, 0x42, 0x44, 0x13, 0x31, 0x00, 0xff]), 4)),
        frame in prop::option::of(prop::sample::select(vec![0xc0u8, 0xc1, 0xc2, 0xc3, 0xc5, 0xc9, 0xca])),
    ) {
        let mut bytes = JPEGS[which % JPEGS.len()].clone();
        let starts = segments(&bytes, 24);
        for (segment, place, value) in wounds {
            let at = starts[segment.index(starts.len())] + place;
            if at < bytes.len() {
                bytes[at] = value;
            }
        }
        // The frame: its kind, and how finely each of its planes is sampled.
        if let Some(&at) = starts.iter().find(|&&at| matches!(bytes[at + 1], 0xc0..=0xc2)) {
            for (plane, value) in sampling.iter().flatten().enumerate() {
                if at + 11 + 3 * plane < bytes.len() {
                    bytes[at + 11 + 3 * plane] = *value;
                }
            }
            bytes[at + 1] = frame.unwrap_or(bytes[at + 1]);
        }
        use_up(Picture::decode(&bytes, "x"));
    }

    #[test]
    fn tiffs_with_other_tags_and_pieces_do_no_harm(
        which in 0usize..1000,
        wounds in prop::collection::vec((0usize..40, 0usize..12, any::<u8>()), 0..6),
        inside in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = TIFFS[which % TIFFS.len()].clone();
        let start: [u8; 4] = *bytes[4..].first_chunk().unwrap();
        let start = if bytes[0] == b'I' { u32::from_le_bytes(start) } else { u32::from_be_bytes(start) } as usize;
        for (entry, place, value) in wounds {
            let at = start + 2 + 12 * entry + place;
            if at < bytes.len() {
                bytes[at] = value;
            }
        }
        for (place, value) in inside {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        use_up(Picture::decode(&bytes, "x"));
    }

    #[test]
    fn noise_after_a_signature_does_no_harm(which in 0usize..1000, noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&SAMPLES[which % SAMPLES.len()][..16], &noise].concat();
        use_up(Picture::decode(&bytes, "x"));
    }

    #[test]
    fn idx_files_of_noise_do_no_harm(magic in prop::sample::select(vec![0x801u32, 0x803]), noise in prop::collection::vec(any::<u8>(), 0..64)) {
        let bytes = [&magic.to_be_bytes(), &noise[..]].concat();
        let _ = zoo_data::idx::read_labels(&bytes, "x");
        if let Ok(images) = zoo_data::idx::read_images(&bytes, "x") {
            prop_assert_eq!(images.pixels.len(), images.count * images.height * images.width);
        }
        let _ = zoo_data::idx::read_images(&[&[0x1f, 0x8b, 8, 0], &noise[..]].concat(), "x");
    }

    #[test]
    fn any_size_is_resampled_and_cut(
        width in 1usize..70, height in 1usize..70, side in 1usize..90, crop in (1usize..90, 1usize..90),
        filter in prop::sample::select(vec![Filter::Nearest, Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos]),
        white in any::<bool>(),
    ) {
        // One colour stays that colour, whatever the weights.
        let value = if white { 255 } else { 77 };
        let picture = Picture::new(width, height, Channels::Rgb, vec![value; width * height * 3]).unwrap();
        let how = Preprocess {
            input: [3, crop.0, crop.1],
            interpolation: filter,
            ..Preprocess::imagenet(side, crop.0)
        };
        let seen = preprocess::picture(&how, &picture).unwrap();
        prop_assert_eq!((seen.height(), seen.width()), crop);
        let short = width.min(height);
        let inside = (side * height / short).min(crop.0) * (side * width / short).min(crop.1);
        prop_assert_eq!(seen.pixels().iter().filter(|&&v| v == value).count(), inside * 3);
        prop_assert!(RgbImage::from_raw(crop.1 as u32, crop.0 as u32, seen.pixels().to_vec()).is_some());
    }
}
