//! JPEG, decoded bit for bit as libjpeg-turbo does, which is what Pillow and all the training pipelines use.
//!
//! The `image` crate's own decoder rounds its inverse transform and its chroma upsampling in another way: by up
//! to 6 levels on photographs. The port that is used here is young. It is built without its vector
//! code, which leaves little `unsafe` in it; layouts of planes that no encoder writes, and for which it isn't
//! prepared, are refused beforehand; and should it panic all the same, that is an error like another.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use libjpeg_turbo_rs::{ColorSpace, DecodeLimits, Decoder, FrameHeader, JpegError, PixelFormat};

use crate::resize::Region;
use crate::{PictureError, Result};

/// No encoder writes more scans; a file made to waste time has thousands over a large picture.
const MAX_SCANS: usize = 512;

/// Decodes to grey or RGB. `check_size` judges width and height before memory is taken for them.
pub(crate) fn decode(
    bytes: &[u8],
    name: &str,
    check_size: impl FnOnce((u32, u32)) -> Result<()>,
) -> Result<(DynamicImage, Orientation)> {
    let whole = |size| check_size(size).map(|()| None);
    match decode_part(bytes, name, whole)? {
        Some((image, orientation, _)) => Ok((image, orientation)),
        None => Err(PictureError::undecodable(name, "JPEG", "all of it was wanted".into()).into()),
    }
}

/// A picture, how it has to be turned, and where in it the part lies that was wanted.
type Decoded = (DynamicImage, Orientation, Option<Region>);

/// Decodes what is needed of a picture: `choose` judges width and height, and says which part is wanted, or all of it.
/// Gives a picture that holds the part, bit for bit as in the whole, and where the part lies in it. Of a picture that has
/// to be turned, or can't be cut, no part is to be had: nothing, before it is decoded.
pub(crate) fn decode_part(
    bytes: &[u8],
    name: &str,
    choose: impl FnOnce((u32, u32)) -> Result<Option<Region>>,
) -> Result<Option<Decoded>> {
    let guarded = catch_unwind(AssertUnwindSafe(|| decode_unguarded(bytes, name, choose)));
    let broken = || PictureError::undecodable(name, "JPEG", "the decoder broke down".into());
    guarded.unwrap_or_else(|_| Err(broken().into()))
}

fn decode_unguarded(
    bytes: &[u8],
    name: &str,
    choose: impl FnOnce((u32, u32)) -> Result<Option<Region>>,
) -> Result<Option<Decoded>> {
    let undecodable = |source: JpegError| PictureError::undecodable(name, "JPEG", source.into());
    let limits = DecodeLimits { max_scans: MAX_SCANS, ..DecodeLimits::default() };
    let short = || undecodable(JpegError::CorruptData("fewer pixels than promised".into()));
    let padded = padded(bytes).ok_or_else(short)?;
    let mut decoder = Decoder::new_with_limits(&padded, limits).map_err(undecodable)?;
    let size = (decoder.header().width, decoder.header().height);
    let part = choose((size.0.into(), size.1.into()))?;
    if !has_usual_planes(decoder.header()) {
        return Err(undecodable(JpegError::Unsupported("planes of unusual sizes".into())).into());
    }
    let orientation = decoder.exif_orientation().and_then(Orientation::from_exif);

    let format = match decoder.jpeg_color_space() {
        ColorSpace::Grayscale => PixelFormat::Grayscale,
        ColorSpace::Cmyk | ColorSpace::Ycck => PixelFormat::Cmyk,
        ColorSpace::YCbCr | ColorSpace::Rgb | ColorSpace::Unknown => PixelFormat::Rgb,
    };
    decoder.set_output_format(format);
    let can_cut = orientation.is_none_or(|turn| turn == Orientation::NoTransforms)
        && format != PixelFormat::Cmyk
        && can_be_cut(decoder.header());
    if part.is_some() && !can_cut {
        return Ok(None);
    }
    let part = part.map(|part| {
        let around = surrounding(part, (size.0.into(), size.1.into()));
        decoder.set_crop_region(around.x, around.y, around.width, around.height);
        Region { x: part.x - around.x, y: part.y - around.y, ..part }
    });
    let decoded = decoder.decode_image().map_err(undecodable)?;
    let (width, height) = (decoded.width as u32, decoded.height as u32);
    let image = match decoded.pixel_format {
        PixelFormat::Grayscale => {
            GrayImage::from_raw(width, height, decoded.data).map(DynamicImage::ImageLuma8)
        }
        PixelFormat::Cmyk => {
            let (pixels, _) = decoded.data.as_chunks();
            let pixels = pixels.iter().flat_map(|&inks| cmyk_to_rgb(inks)).collect();
            RgbImage::from_raw(width, height, pixels).map(Into::into)
        }
        _ => RgbImage::from_raw(width, height, decoded.data).map(Into::into),
    };
    Ok(Some((image.ok_or_else(short)?, orientation.unwrap_or(Orientation::NoTransforms), part)))
}

/// A part with so much around it that its pixels are those of the whole picture: colours are interpolated from their
/// neighbours, and a decoder begins with whole blocks.
fn surrounding(part: Region, (width, height): (usize, usize)) -> Region {
    /// As wide and high as blocks of colour become.
    const BLOCK: usize = 32;
    let grown = |start: usize, length: usize, whole: usize| {
        let first = start.saturating_sub(BLOCK) / BLOCK * BLOCK;
        let last = (start + length + BLOCK).min(whole);
        (first, last - first)
    };
    let (x, columns) = grown(part.x, part.width, width);
    let (y, rows) = grown(part.y, part.height, height);
    Region { x, y, width: columns, height: rows }
}

/// How the three or four values of a pixel are to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planes {
    /// As they are.
    Plain,
    /// As luma and two chromas, that become red, green, blue.
    LumaChroma,
}

/// Decodes a piece of another kind of file: what tables all its pieces share (an own beginning and end around them, or
/// nothing), the piece, and the most columns and rows that it may have. Gives columns, rows and values of each pixel.
pub(crate) fn decode_piece(
    tables: &[u8],
    piece: &[u8],
    planes: Planes,
    most: (u32, u32),
) -> std::result::Result<(u32, u32, Vec<u8>), Box<dyn std::error::Error + Send + Sync>> {
    let guarded = catch_unwind(AssertUnwindSafe(|| {
        let whole = joined(tables, piece, planes).ok_or("a piece of it is no JPEG")?;
        let padded = padded(&whole).ok_or("a piece of it ends too soon")?;
        let limits = DecodeLimits { max_scans: MAX_SCANS, ..DecodeLimits::default() };
        let mut decoder = Decoder::new_with_limits(&padded, limits)?;
        let (width, height) = (decoder.header().width.into(), decoder.header().height.into());
        if width > most.0 || height > most.1 {
            return Err(
                format!("a piece of {width}x{height} pixels, where {}x{} are left", most.0, most.1).into()
            );
        }
        if !has_usual_planes(decoder.header()) {
            return Err("planes of unusual sizes".into());
        }
        decoder.set_output_format(match decoder.header().components.len() {
            1 => PixelFormat::Grayscale,
            3 => PixelFormat::Rgb,
            _ => PixelFormat::Cmyk,
        });
        Ok((width, height, decoder.decode_image()?.data))
    }));
    guarded.unwrap_or_else(|_| Err("the decoder broke down".into()))
}

/// A picture of its own from shared tables and a piece, with a mark of Adobe's that says how its planes are to be taken
/// in the place of what applications wrote into it.
fn joined(tables: &[u8], piece: &[u8], planes: Planes) -> Option<Vec<u8>> {
    let transform = u8::from(planes == Planes::LumaChroma);
    let mut whole = vec![0xff, 0xd8, 0xff, 0xee, 0, 14];
    whole.extend(b"Adobe\0\x64\0\0\0\0");
    whole.push(transform);
    for part in [tables, piece].into_iter().filter(|part| !part.is_empty()) {
        let mut at = 2;
        while let Some(found) = part.get(at..)?.windows(2).position(is_mark) {
            at += found;
            let kind = part[at + 1];
            if kind == 0xd9 {
                break;
            }
            let length = part.get(at + 2..at + 4)?;
            let end = at + 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
            let segment = part.get(at..end)?;
            match kind {
                // Of applications, and comments.
                0xe0..=0xef | 0xfe => {}
                // Behind a scan's head come its pixels, and then nothing that would be taken otherwise.
                0xda => {
                    whole.extend(&part[at..]);
                    break;
                }
                _ => whole.extend(segment),
            }
            at = end;
        }
    }
    Some(whole)
}

/// The same picture with bits behind each part of its pixels that no code begins with; nothing if the file stops
/// before its end mark, or before every plane is there with all its refinements.
///
/// Where the data of a scan ends too soon, the decoder goes on with zeros, which are codes, and makes the rest of
/// the picture up. A code of ones alone is forbidden: a decoder that reaches these stops with an error, and one
/// that has all its pixels never reads them.
fn padded(bytes: &[u8]) -> Option<Vec<u8>> {
    const ONES: [u8; 8] = [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0];
    let mut result = Vec::with_capacity(bytes.len() + 64);
    let mut refinements = Refinements::default();
    let mut is_arithmetic = false;
    let mut at = 2;
    result.extend(bytes.get(..at)?);
    loop {
        // Between the segments: what stands before a mark is passed over, as by every decoder.
        let start = at + bytes.get(at..)?.windows(2).position(|pair| is_mark(pair) && pair[1] != 0x01)?;
        let kind = bytes[start + 1];
        // The end, a restart and a second beginning have no length and no contents.
        if matches!(kind, 0xd0..=0xd9) {
            result.extend(&bytes[at..start + 2]);
            at = start + 2;
            match kind {
                0xd9 => return refinements.are_complete().then_some(result),
                _ => continue,
            }
        }
        let length = bytes.get(start + 2..start + 4)?;
        let end = start + 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
        let contents = bytes.get(start + 4..end)?;
        result.extend(&bytes[at..end]);
        at = end;
        match kind {
            // These three begin no frame.
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => {
                refinements = Refinements::of_frame(kind, contents)?;
                // These code their pixels arithmetically, for which no bits are forbidden.
                is_arithmetic = kind > 0xc8;
            }
            0xda => {
                refinements.add(contents)?;
                let mut mark = 0xd0;
                while matches!(mark, 0xd0..=0xd7) {
                    let length = bytes.get(at..)?.windows(2).position(is_mark)?;
                    mark = bytes[at + length + 1];
                    result.extend(&bytes[at..at + length]);
                    at += length;
                    if !is_arithmetic {
                        result.extend(ONES);
                    }
                    if matches!(mark, 0xd0..=0xd7) {
                        result.extend([0xff, mark]);
                        at += 2;
                    }
                }
            }
            _ => {}
        }
    }
}

/// How far each of a frame's planes has come.
#[derive(Default)]
struct Refinements {
    is_progressive: bool,
    /// A plane's number, and of each coefficient how many bits are still to come.
    planes: Vec<(u8, [u8; 64])>,
}

impl Refinements {
    const UNSEEN: u8 = u8::MAX;

    /// From a frame's header: precision, height, width, and three bytes for each plane after their count.
    fn of_frame(kind: u8, contents: &[u8]) -> Option<Refinements> {
        let planes = contents.get(6..)?.chunks_exact(3).map(|plane| (plane[0], [Self::UNSEEN; 64]));
        Some(Refinements { is_progressive: matches!(kind, 0xc2 | 0xca), planes: planes.collect() })
    }

    /// A scan's header: two bytes for each of its planes after their count, the coefficients from and to, and how
    /// many bits of them come later.
    fn add(&mut self, contents: &[u8]) -> Option<()> {
        let count = usize::from(*contents.first()?);
        let [from, to, bits] = *contents.get(1 + 2 * count..)?.first_chunk()?;
        for plane in contents[1..].chunks_exact(2).take(count) {
            let (_, coefficients) = self.planes.iter_mut().find(|(number, _)| *number == plane[0])?;
            match self.is_progressive {
                true => coefficients.get_mut(usize::from(from)..=usize::from(to))?.fill(bits & 15),
                false => coefficients.fill(0),
            }
        }
        Some(())
    }

    fn are_complete(&self) -> bool {
        !self.planes.is_empty() && self.planes.iter().all(|(_, coefficients)| *coefficients == [0; 64])
    }
}

/// Whether a mark begins here, and not a byte of 255 among the data, or one that fills up.
fn is_mark(pair: &[u8]) -> bool {
    pair[0] == 0xff && !matches!(pair[1], 0 | 0xff)
}

/// Whether the planes are laid out as encoders do it: 8 bits, the first plane the finest, the colours sampled
/// alike at every pixel, every second or every fourth, black as the first.
fn has_usual_planes(frame: &FrameHeader) -> bool {
    let factors: Vec<(u8, u8)> =
        frame.components.iter().map(|plane| (plane.horizontal_sampling, plane.vertical_sampling)).collect();
    let divides = |part: u8, full: u8| full.is_multiple_of(part.max(1));
    let coarser = |full: (u8, u8), part: (u8, u8)| divides(part.0, full.0) && divides(part.1, full.1);
    let known = |factor: u8| matches!(factor, 1 | 2 | 4);
    frame.precision == 8
        && !frame.is_lossless
        && (factors.len() == 1 || factors.iter().all(|&(across, down)| known(across) && known(down)))
        && match factors[..] {
            // A single plane is stored the same whatever its factors.
            [_] => true,
            [first, second, third] => second == third && coarser(first, second),
            [first, second, third, fourth] => second == third && coarser(first, second) && fourth == first,
            _ => false,
        }
}

/// Whether the decoder gives a part as it is in the whole: of planes with odd factors, and of inks, it doesn't.
fn can_be_cut(frame: &FrameHeader) -> bool {
    let usual = |factor: u8| matches!(factor, 1 | 2 | 4);
    frame.components.iter().all(|plane| usual(plane.horizontal_sampling) && usual(plane.vertical_sampling))
}

/// Adobe writes inks inverted (255 is none), and every CMYK JPEG is taken for Adobe's, as Pillow takes it.
pub(crate) fn cmyk_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|light| {
        let ink = u32::from(255 - light) * u32::from(black);
        black - ((ink + 127) / 255) as u8
    })
}
