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

use crate::{Error, Result};

/// No encoder writes more scans; a file made to waste time has thousands over a large picture.
const MAX_SCANS: usize = 512;

/// Decodes to grey or RGB. `check_size` judges width and height before memory is taken for them.
pub(crate) fn decode(
    bytes: &[u8],
    name: &str,
    check_size: impl FnOnce((u32, u32)) -> Result<()>,
) -> Result<(DynamicImage, Orientation)> {
    let guarded = catch_unwind(AssertUnwindSafe(|| decode_unguarded(bytes, name, check_size)));
    guarded.unwrap_or_else(|_| {
        Err(Error::Undecodable { name: name.into(), format: "JPEG", source: "the decoder broke down".into() })
    })
}

fn decode_unguarded(
    bytes: &[u8],
    name: &str,
    check_size: impl FnOnce((u32, u32)) -> Result<()>,
) -> Result<(DynamicImage, Orientation)> {
    let undecodable =
        |source: JpegError| Error::Undecodable { name: name.into(), format: "JPEG", source: source.into() };
    let limits = DecodeLimits { max_scans: MAX_SCANS, ..DecodeLimits::default() };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(undecodable)?;
    check_size((decoder.header().width.into(), decoder.header().height.into()))?;
    if !has_usual_planes(decoder.header()) {
        return Err(undecodable(JpegError::Unsupported("planes of unusual sizes".into())));
    }
    let orientation = decoder.exif_orientation().and_then(Orientation::from_exif);

    let format = match decoder.jpeg_color_space() {
        ColorSpace::Grayscale => PixelFormat::Grayscale,
        ColorSpace::Cmyk | ColorSpace::Ycck => PixelFormat::Cmyk,
        ColorSpace::YCbCr | ColorSpace::Rgb | ColorSpace::Unknown => PixelFormat::Rgb,
    };
    decoder.set_output_format(format);
    let decoded = decoder.decode_image().map_err(undecodable)?;
    let (width, height) = (decoded.width as u32, decoded.height as u32);
    let image = match decoded.pixel_format {
        PixelFormat::Grayscale => {
            GrayImage::from_raw(width, height, decoded.data).map(DynamicImage::ImageLuma8)
        }
        PixelFormat::Cmyk => {
            RgbImage::from_raw(width, height, inverted_cmyk_to_rgb(&decoded.data)).map(Into::into)
        }
        _ => RgbImage::from_raw(width, height, decoded.data).map(Into::into),
    };
    let short = || undecodable(JpegError::CorruptData("fewer pixels than promised".into()));
    Ok((image.ok_or_else(short)?, orientation.unwrap_or(Orientation::NoTransforms)))
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
        && factors.iter().all(|&(across, down)| known(across) && known(down))
        && match factors[..] {
            [_] => true,
            [first, second, third] => second == third && coarser(first, second),
            [first, second, third, fourth] => second == third && coarser(first, second) && fourth == first,
            _ => false,
        }
}

/// Adobe writes inks inverted (255 is none), and every CMYK JPEG is taken for Adobe's, as Pillow takes it.
fn inverted_cmyk_to_rgb(pixels: &[u8]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<4>();
    let mix = |light: u8, black: u8| {
        let ink = u32::from(255 - light) * u32::from(black);
        black - ((ink + 127) / 255) as u8
    };
    pixels.iter().flat_map(|&[c, m, y, k]| [mix(c, k), mix(m, k), mix(y, k)]).collect()
}
