//! Masks: a class for each pixel of a picture.
//!
//! A mask is a grey [`Picture`] of the same size whose values are the numbers of the classes; [`IGNORED`] says that a
//! pixel doesn't count. It is stored as a PNG of indices: with a palette, whose colours mean nothing, or grey. A mask in
//! colours is read by [PASCAL VOC's palette](voc_palette).

mod error;
mod folder;
mod font;
mod overlay;
mod palette;

use std::io::{Cursor, Write};
use std::path::Path;

use png::{BitDepth, ColorType, Transformations};

pub use error::MaskError;
pub use folder::MaskFolder;
pub use overlay::{is_background, overlay};
pub(crate) use palette::class_of;
pub use palette::{Colour, voc_palette};

use crate::picture::{self, check_size};
use crate::{Channels, Picture, PictureError, Result, shown};

/// The label of pixels that don't count, neither for the loss nor for what is measured.
pub const IGNORED: u8 = 255;

/// Reads a mask's file.
///
/// # Errors
/// A file that can't be read, or as [`decode`].
pub fn open(path: &Path) -> Result<Picture> {
    decode(&picture::read(path)?, &shown(path))
}

/// Decodes a mask: a grey picture of labels. `name` is what errors call it.
///
/// # Errors
/// Bytes that are no PNG, a broken one, a colour that stands for no class, 16 bits for a value.
pub fn decode(bytes: &[u8], name: &str) -> Result<Picture> {
    let broken = |source: png::DecodingError| PictureError::undecodable(name, "a mask (PNG)", source.into());
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (columns, rows) = reader.info().size();
    check_size((columns, rows), bytes.len(), name)?;
    let (colour, depth) = reader.output_color_type();
    if depth == BitDepth::Sixteen {
        return Err(MaskError::Deep { name: name.into() }.into());
    }
    let size = reader.output_buffer_size().unwrap_or_default();
    let mut data = vec![0; size];
    let frame = reader.next_frame(&mut data).map_err(broken)?;
    let (width, height) = (columns as usize, rows as usize);
    let lines = data.chunks_exact(frame.line_size.max(1)).take(height);
    let labels: Vec<u8> = match colour {
        ColorType::Indexed | ColorType::Grayscale => {
            lines.flat_map(|line| unpacked(line, width, depth as u8)).collect()
        }
        ColorType::GrayscaleAlpha => lines.flat_map(|line| line.iter().step_by(2).copied()).collect(),
        ColorType::Rgb | ColorType::Rgba => {
            let mut labels = Vec::with_capacity(width * height);
            for (y, line) in lines.enumerate() {
                for (x, pixel) in line.chunks_exact(colour.samples()).take(width).enumerate() {
                    let colour = [pixel[0], pixel[1], pixel[2]];
                    let unknown = || MaskError::Colour { name: name.into(), colour, x, y };
                    labels.push(class_of(colour).ok_or_else(unknown)?);
                }
            }
            labels
        }
    };
    Picture::new(width, height, Channels::Grey, labels)
}

/// The values of a line that are `depth` bits each.
fn unpacked(line: &[u8], width: usize, depth: u8) -> impl Iterator<Item = u8> + '_ {
    let each = usize::from(8 / depth.max(1)).max(1);
    let most = ((1_u16 << depth) - 1) as u8;
    (0..width).map(move |x| {
        let shift = 8 - depth as usize * (x % each + 1);
        (line[x / each] >> shift) & most
    })
}

/// That a mask can be learned from: as large as its picture, of these classes, with a pixel that counts.
///
/// # Errors
/// [`MaskError::Size`], [`MaskError::Label`], [`MaskError::NothingCounts`]; `name` is what they call the mask.
pub fn check(mask: &Picture, picture: (usize, usize), classes: usize, name: &str) -> Result<()> {
    let found = (mask.width(), mask.height());
    if found != picture {
        return Err(MaskError::Size { name: name.into(), found, wanted: picture }.into());
    }
    let beyond = |&label: &u8| label != IGNORED && usize::from(label) >= classes;
    if let Some(place) = mask.pixels().iter().position(beyond) {
        let (label, x, y) = (mask.pixels()[place], place % found.0, place / found.0);
        return Err(MaskError::Label { name: name.into(), label, x, y, classes }.into());
    }
    if mask.pixels().iter().all(|&label| label == IGNORED) {
        return Err(MaskError::NothingCounts { name: name.into(), pixels: found.0 * found.1 }.into());
    }
    Ok(())
}

/// Writes labels as a PNG of indices in PASCAL VOC's palette.
///
/// # Errors
/// What the writer says.
pub fn write(labels: &Picture, out: impl Write) -> std::io::Result<()> {
    let side = |side: usize| u32::try_from(side).map_err(std::io::Error::other);
    let mut encoder = png::Encoder::new(out, side(labels.width())?, side(labels.height())?);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(voc_palette().concat());
    let mut writer = encoder.write_header().map_err(std::io::Error::other)?;
    writer.write_image_data(labels.pixels()).map_err(std::io::Error::other)?;
    writer.finish().map_err(std::io::Error::other)
}

/// How many pixels of each class masks have, and how many of them don't count.
pub fn counts<'a>(masks: impl IntoIterator<Item = &'a Picture>, classes: usize) -> (Vec<usize>, usize) {
    let mut all = [0; 256];
    for mask in masks {
        mask.pixels().iter().for_each(|&label| all[usize::from(label)] += 1);
    }
    (all[..classes.min(255)].to_vec(), all[usize::from(IGNORED)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(colour: ColorType, depth: BitDepth, width: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let height = 2;
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == ColorType::Indexed {
            // The palette says nothing: its colours are all alike.
            encoder.set_palette(vec![7; 3 * 16]);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(data).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn indices_are_read_whatever_their_bits_and_colours() {
        let read = |colour, depth, width, data: &[u8]| {
            decode(&encoded(colour, depth, width, data), "m.png").unwrap().pixels().to_vec()
        };
        let four = [0x12, 0x30, 0x4f, 0x50];
        assert_eq!(read(ColorType::Indexed, BitDepth::Four, 3, &four), [1, 2, 3, 4, 15, 5]);
        assert_eq!(
            read(ColorType::Indexed, BitDepth::Two, 3, &[0b0001_1000, 0b1100_0100]),
            [0, 1, 2, 3, 0, 1]
        );
        assert_eq!(
            read(ColorType::Grayscale, BitDepth::One, 3, &[0b1010_0000, 0b0110_0000]),
            [1, 0, 1, 0, 1, 1]
        );
        assert_eq!(read(ColorType::Grayscale, BitDepth::Eight, 2, &[0, 20, 255, 3]), [0, 20, 255, 3]);
        assert_eq!(read(ColorType::GrayscaleAlpha, BitDepth::Eight, 1, &[4, 255, 5, 0]), [4, 5]);
        let colours = [[128, 0, 0], [0, 0, 0], [224, 224, 192], [192, 128, 128]].concat();
        assert_eq!(read(ColorType::Rgb, BitDepth::Eight, 2, &colours), [1, 0, 255, 15]);
    }

    #[test]
    fn what_is_written_is_read() {
        let labels = Picture::new(3, 2, Channels::Grey, vec![0, 1, 20, 255, 11, 3]).unwrap();
        let mut bytes = Vec::new();
        write(&labels, &mut bytes).unwrap();
        assert_eq!(decode(&bytes, "m.png").unwrap(), labels);
        // A viewer shows VOC's colours.
        let shown = Picture::decode(&bytes, "m.png").unwrap();
        assert_eq!(shown.pixels()[3..6], [128, 0, 0]);
    }

    #[test]
    fn bad_masks_are_told() {
        let said = |colour, depth, data: &[u8]| {
            decode(&encoded(colour, depth, 2, data), "m.png").unwrap_err().to_string()
        };
        let colours = [[128, 0, 0], [0, 0, 0], [9, 8, 7], [192, 128, 128]].concat();
        let colour = said(ColorType::Rgb, BitDepth::Eight, &colours);
        assert!(colour.starts_with("m.png: the colour 9,8,7 at column 0, row 1 is none of"), "{colour}");
        assert!(said(ColorType::Grayscale, BitDepth::Sixteen, &[0; 8]).contains("16 bits"));
        let none = decode(b"GIF89a", "m.png").unwrap_err().to_string();
        assert!(none.contains("can't be decoded as a mask (PNG)"), "{none}");

        let mask = |labels: &[u8]| Picture::new(2, 2, Channels::Grey, labels.to_vec()).unwrap();
        let said = |labels: &[u8], size| check(&mask(labels), size, 3, "m.png").unwrap_err().to_string();
        assert!(check(&mask(&[0, 2, 255, 1]), (2, 2), 3, "m.png").is_ok());
        assert!(said(&[0; 4], (3, 2)).contains("mask has 2x2 pixels, but its picture has 3x2"));
        let label = said(&[0, 1, 2, 7], (2, 2));
        assert!(label.contains("label 7 at column 1, row 1, but there are 3 classes, 0 to 2"), "{label}");
        assert!(said(&[255; 4], (2, 2)).contains("all 4 pixels are 255"));
        assert_eq!(counts([&mask(&[0, 2, 255, 2])], 3), (vec![1, 0, 2], 1));
    }
}
