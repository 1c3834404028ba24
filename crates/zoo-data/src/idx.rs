//! IDX, the format of MNIST's files: a magic number, the sizes, then one byte for each value.
//!
//! ```text
//! images: 0x00000803, count, height, width (big-endian u32 each), then count * height * width bytes
//! labels: 0x00000801, count,                                      then count bytes
//! ```
//!
//! The readers believe nothing: a header that promises more or less than follows is an error, and memory
//! is taken for bytes that are there, never for bytes that a header promises.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Grey pictures of one size, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// `count * height * width` values, row by row.
    pub pixels: Vec<u8>,
    /// How many pictures.
    pub count: usize,
    /// Rows of each.
    pub height: usize,
    /// Columns of each.
    pub width: usize,
}

/// Reads a file of images, gzipped or not. `name` is what errors call it.
///
/// # Errors
/// Another magic number, no picture in it, or a header that disagrees with the length.
pub fn read_images(bytes: &[u8], name: &str) -> Result<Images> {
    let (sizes, pixels) = read::<3>(bytes, name, "images", IMAGES_MAGIC)?;
    let [count, height, width] = sizes;
    if pixels.is_empty() {
        return Err(Error::IdxEmpty { name: name.into(), count, height, width });
    }
    Ok(Images { pixels, count, height, width })
}

/// Reads a file of labels, gzipped or not. `name` is what errors call it.
///
/// # Errors
/// Another magic number, or a header that disagrees with the length.
pub fn read_labels(bytes: &[u8], name: &str) -> Result<Vec<u8>> {
    Ok(read::<1>(bytes, name, "labels", LABELS_MAGIC)?.1)
}

/// Header and values of a file with `N` dimensions.
fn read<const N: usize>(
    bytes: &[u8],
    name: &str,
    what: &'static str,
    magic: u32,
) -> Result<([usize; N], Vec<u8>)> {
    if bytes.starts_with(&GZIP_MAGIC) {
        let damaged = |source| Error::Gzip { name: name.into(), source };
        return read_stream(MultiGzDecoder::new(bytes), name, what, magic, damaged);
    }
    read_stream(bytes, name, what, magic, |source| Error::Io { name: name.into(), source })
}

fn read_stream<const N: usize>(
    mut stream: impl Read,
    name: &str,
    what: &'static str,
    magic: u32,
    damaged: impl Fn(std::io::Error) -> Error,
) -> Result<([usize; N], Vec<u8>)> {
    let expected = 4 + 4 * N;
    let mut header = Vec::with_capacity(expected);
    (&mut stream).take(expected as u64).read_to_end(&mut header).map_err(&damaged)?;
    let mut words = header.chunks_exact(4).map(|word| word.iter().fold(0, |sum, &b| sum << 8 | u32::from(b)));

    // The magic number first: of a file of another kind it is the better answer than its length.
    let found = words.next().filter(|&found| found != magic);
    if let Some(found) = found {
        return Err(Error::IdxMagic { name: name.into(), what, expected: magic, found });
    }
    if header.len() < expected {
        return Err(Error::IdxHeader { name: name.into(), what, expected, found: header.len() });
    }
    let sizes: [usize; N] = std::array::from_fn(|_| words.next().unwrap_or(0) as usize);

    let promised = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size as u64));
    let promised = promised.unwrap_or(u64::MAX);
    let mut values = Vec::new();
    (&mut stream).take(promised).read_to_end(&mut values).map_err(&damaged)?;
    // One byte more is asked for: it must not be there, and asking makes gzip check its sum.
    let surplus = stream.take(1).read_to_end(&mut Vec::new()).map_err(&damaged)?;
    let found = match (values.len(), surplus) {
        (length, 0) if length as u64 == promised => return Ok((sizes, values)),
        (length, 0) => length.to_string(),
        _ => format!("more than {promised}"),
    };
    Err(Error::IdxLength { name: name.into(), what, promised, found })
}
