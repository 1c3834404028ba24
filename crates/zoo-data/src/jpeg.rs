//! JPEG, decoded bit for bit as libjpeg-turbo does, which is what Pillow and all the training pipelines use.
//!
//! The `image` crate's own decoder rounds its inverse transform and its chroma upsampling in another way: by up
//! to 6 levels on photographs.

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use libjpeg_turbo_rs::{ColorSpace, DecodeLimits, Decoder, JpegError, PixelFormat};

use crate::{Error, Result};

/// No encoder writes more scans; a file made to waste time has thousands over a large picture.
const MAX_SCANS: usize = 512;

/// Decodes to grey or RGB. `check_size` judges width and height before memory is taken for them.
pub(crate) fn decode(
    bytes: &[u8],
    name: &str,
    check_size: impl FnOnce((u32, u32)) -> Result<()>,
) -> Result<(DynamicImage, Orientation)> {
    let undecodable =
        |source: JpegError| Error::Undecodable { name: name.into(), format: "JPEG", source: source.into() };
    let limits = DecodeLimits { max_scans: MAX_SCANS, ..DecodeLimits::default() };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(undecodable)?;
    check_size((decoder.header().width.into(), decoder.header().height.into()))?;
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

/// Adobe writes inks inverted (255 is none), and every CMYK JPEG is taken for Adobe's, as Pillow takes it.
fn inverted_cmyk_to_rgb(pixels: &[u8]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<4>();
    let mix = |light: u8, black: u8| {
        let ink = u32::from(255 - light) * u32::from(black);
        black - ((ink + 127) / 255) as u8
    };
    pixels.iter().flat_map(|&[c, m, y, k]| [mix(c, k), mix(m, k), mix(y, k)]).collect()
}
