//! Files that promise much and hold little cost little memory. A process of its own, so that its peak is theirs.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use zoo_data::{Picture, idx};

/// The most memory that this process has had, in MiB.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

/// A picture beside the goldens, with a size written over that of its header.
fn promising(file: &str, place: usize, size: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(file);
    let mut bytes = fs::read(path).unwrap();
    bytes[place..place + size.len()].copy_from_slice(size);
    bytes
}

#[test]
fn a_promise_takes_no_memory() {
    let big = 20_000u32;
    let le = [big.to_le_bytes(), big.to_le_bytes()].concat();
    let frame = |file| {
        let bytes = promising(file, 0, &[]);
        bytes.windows(2).position(|pair| pair[0] == 0xff && matches!(pair[1], 0xc0 | 0xc2)).unwrap() + 5
    };
    let pictures = [
        promising("plain.bmp", 18, &le),
        promising("palette.gif", 6, &[0xff; 4]),
        promising("plain.ppm", 3, b"99999 9999"),
        promising("420.jpg", frame("420.jpg"), &[0x4e, 0x20, 0x4e, 0x20]),
        promising("420-progressive.jpg", frame("420-progressive.jpg"), &[0x4e, 0x20, 0x10, 0x00]),
    ];
    for (index, bytes) in pictures.iter().enumerate() {
        assert!(Picture::decode(bytes, "x").is_err(), "picture {index}");
    }

    let header = [0x803u32, 60_000, 28_000, 28_000].map(u32::to_be_bytes).concat();
    assert!(idx::read_images(&header, "x").is_err());
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(&[0x803u32, 1, 1, 1].map(u32::to_be_bytes).concat()).unwrap();
    for _ in 0..512 {
        bomb.write_all(&[0; 1 << 20]).unwrap();
    }
    assert!(idx::read_images(&bomb.finish().unwrap(), "x").is_err());
    assert!(peak() < 100, "{} MiB", peak());
}
