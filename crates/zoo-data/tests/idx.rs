//! IDX files, whole, spelt in several ways, and broken in every way that a file can be.

use std::fs;
use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use zoo_data::{Digits, Error, Part, digits, idx};

fn header(magic: u32, sizes: &[u32]) -> Vec<u8> {
    [&[magic], sizes].concat().iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn images(count: u32, height: u32, width: u32, pixels: &[u8]) -> Vec<u8> {
    [&header(0x803, &[count, height, width]), pixels].concat()
}

fn labels(values: &[u8]) -> Vec<u8> {
    [&header(0x801, &[values.len() as u32]), values].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_bundled_digits_are_whole() {
    let (train, test) = digits::bundled().unwrap();
    for (part, count) in [(&train, 8000), (&test, 1000)] {
        assert_eq!((part.len(), part.height, part.width), (count, 28, 28));
        assert_eq!(part.images.len(), count * 784);
        let per_class = |class| part.labels.iter().filter(|&&label| label == class).count();
        assert!((0..10).all(|class| per_class(class) > count / 13), "every digit is there often enough");
    }
    let train_pictures: std::collections::HashSet<&[u8]> = (0..8000).map(|i| train.image(i)).collect();
    assert!((0..1000).all(|i| !train_pictures.contains(test.image(i))), "no test digit is trained on");
}

#[test]
fn every_spelling_is_found_and_plain_comes_first() {
    for (images_name, labels_name) in [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte.gz"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: Vec<u8>| {
            let bytes = if name.ends_with(".gz") { gzip(&bytes) } else { bytes };
            fs::write(folder.path().join(name), bytes).unwrap();
        };
        write(images_name, images(2, 2, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
        write(labels_name, labels(&[3, 9]));
        let digits = Digits::read(folder.path(), Part::Train).unwrap();
        assert_eq!((digits.height, digits.width, digits.labels.as_slice()), (2, 3, &[3, 9][..]));
        assert_eq!(digits.image(1), [7, 8, 9, 10, 11, 12]);
        assert_eq!(digits.select(&[1]).images, [7, 8, 9, 10, 11, 12]);

        let message = Digits::read(folder.path(), Part::Test).unwrap_err().to_string();
        assert!(message.contains("t10k-images-idx3-ubyte") && message.contains(".gz"), "{message}");
    }
    let message = Digits::read("/no/such/folder".as_ref(), Part::Train).unwrap_err().to_string();
    assert!(message.starts_with("/no/such/folder: "), "{message}");
}

#[test]
fn a_file_that_lies_is_refused_with_both_values() {
    let sixteen = images(2, 2, 4, &[0; 16]);
    let huge = images(u32::MAX, u32::MAX, u32::MAX, &[0; 16]);
    let cases: [(Vec<u8>, &[&str]); 9] = [
        (sixteen[..31].to_vec(), &["promises 16 bytes", "15 follow"]),
        ([&sixteen[..], &[0]].concat(), &["promises 16 bytes", "more than 16"]),
        (huge.clone(), &["16 follow"]),
        (gzip(&huge), &["16 follow"]),
        (sixteen[..9].to_vec(), &["9 bytes", "has 16"]),
        (Vec::new(), &["0 bytes", "has 16"]),
        (labels(&[1, 2, 3]), &["0x00000801", "0x00000803", "swapped"]),
        (images(0, 28, 28, &[]), &["0 pictures of 28x28"]),
        (b"\x89PNG\r\n\x1a\n and more".to_vec(), &["0x89504e47"]),
    ];
    for (bytes, parts) in cases {
        let message = idx::read_images(&bytes, "some/file").unwrap_err().to_string();
        assert!(message.starts_with("some/file: "), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn a_damaged_gzip_stream_is_refused() {
    let whole = gzip(&images(2, 2, 4, &[7; 16]));
    assert_eq!(idx::read_images(&whole, "x").unwrap().pixels, [7; 16]);
    for end in 2..whole.len() {
        let error = idx::read_images(&whole[..end], "x").unwrap_err();
        assert!(matches!(error, Error::Gzip { .. }), "cut at {end}: {error}");
    }
    let mut wrong_sum = whole.clone();
    let place = whole.len() - 6;
    wrong_sum[place] ^= 1;
    assert!(matches!(idx::read_images(&wrong_sum, "x").unwrap_err(), Error::Gzip { .. }));
}

#[test]
fn a_gzip_bomb_is_not_unpacked_beyond_its_promise() {
    let bomb = gzip(&images(1, 2, 2, &vec![0; 64 << 20]));
    let message = idx::read_images(&bomb, "x").unwrap_err().to_string();
    assert!(message.contains("more than 4"), "{message}");
}

#[test]
fn images_and_labels_must_belong_together() {
    let pictures = images(2, 1, 1, &[0, 255]);
    let join = |labels: &[u8]| Digits::from_idx((&pictures, "a"), (labels, "b")).unwrap_err().to_string();
    let message = join(&labels(&[1, 2, 3]));
    assert!(message.contains("a has 2 pictures") && message.contains("b has 3 labels"), "{message}");
    let message = join(&labels(&[1, 10]));
    assert!(message.contains("b: label 1 is 10"), "{message}");
}
