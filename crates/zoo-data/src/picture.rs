//! Pictures: any file that shows one becomes grey or RGB bytes, upright and on white, within limits.
//!
//! The rules, in their order:
//! 1. The header is read and judged before memory is taken: at most [`MAX_PIXELS`], and no more than so many
//!    bytes can hold.
//! 2. 16-bit values are divided by 257 and rounded.
//! 3. The orientation that a camera wrote (EXIF) is applied, so that a portrait stands upright.
//! 4. What is transparent shows white paper.
//!
//! Of an animation the first frame counts. Colour profiles are ignored, as everybody's training did.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::resize::Region;
use crate::{Error, PictureError, Result, gif, jpeg, shown, tiff};

/// The most pixels of a picture that is read: 2^27, a camera's 134 megapixels.
pub const MAX_PIXELS: u64 = 1 << 27;

/// The most bytes of a picture's file.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Up to so many pixels, any file is believed. Beyond them, its size must make the promise plausible.
const ALWAYS_BELIEVED: u64 = 1 << 24;

/// More pixels than this for each byte occur in no honest large picture: deflate, the strongest of the usual
/// compressors, makes 1,032 bytes of one, which are 8,256 pixels of one bit.
const PIXELS_PER_BYTE: u64 = 8256;

/// What a decoder may take beside the pixels themselves.
pub(crate) const DECODER_BYTES: u64 = 64 << 20;

/// Grey or RGB, 8 bits for each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// One value for each pixel.
    Grey,
    /// Red, green, blue.
    Rgb,
}

impl Channels {
    /// Values for each pixel: 1 or 3.
    pub const fn count(self) -> usize {
        match self {
            Channels::Grey => 1,
            Channels::Rgb => 3,
        }
    }
}

/// A picture: at least one pixel, row by row, the channels of a pixel side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    channels: Channels,
    pixels: Vec<u8>,
}

impl Picture {
    /// A picture of pixels at hand.
    ///
    /// # Errors
    /// If there is no pixel, or the number of values isn't `width * height * channels`.
    pub fn new(width: usize, height: usize, channels: Channels, pixels: Vec<u8>) -> Result<Picture> {
        let expected = width.saturating_mul(height).saturating_mul(channels.count());
        if expected == 0 || pixels.len() != expected {
            let (channels, found) = (channels.count(), pixels.len());
            return Err(Error::PixelCount { width, height, channels, expected, found });
        }
        Ok(Picture { width, height, channels, pixels })
    }

    /// Reads a picture's file.
    ///
    /// # Errors
    /// A file that can't be read, or as [`decode`](Self::decode).
    pub fn open(path: impl AsRef<Path>) -> Result<Picture> {
        let path = path.as_ref();
        Picture::decode(&read(path)?, &shown(path))
    }

    /// Reads a picture's file, of any size.
    ///
    /// # Errors
    /// A file that can't be read, or as [`decode_any`](Self::decode_any).
    pub fn open_any(path: impl AsRef<Path>) -> Result<Picture> {
        let path = path.as_ref();
        Picture::decode_any(&read(path)?, &shown(path))
    }

    /// Decodes a picture's bytes, whatever its format. `name` is what errors call it.
    ///
    /// # Errors
    /// Bytes that are no picture, a broken one, or one that is too large or a single pixel.
    pub fn decode(bytes: &[u8], name: &str) -> Result<Picture> {
        let picture = Picture::decode_any(bytes, name)?;
        check_shows(picture.width, picture.height, name)?;
        Ok(picture)
    }

    /// The same of any size: a single pixel shows nothing, but may well be given a class.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_any(bytes: &[u8], name: &str) -> Result<Picture> {
        if bytes.is_empty() {
            return Err(PictureError::Empty { name: name.into() }.into());
        }
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(PictureError::FileTooLarge {
                name: name.into(),
                bytes: bytes.len() as u64,
                limit: MAX_FILE_BYTES,
            }
            .into());
        }
        let Ok(format) = image::guess_format(bytes) else {
            return Err(PictureError::UnknownFormat { name: name.into() }.into());
        };
        let check_size = |size| check_size(size, bytes.len(), name);
        let (mut image, orientation) = match format {
            ImageFormat::Jpeg => jpeg::decode(bytes, name, check_size)?,
            ImageFormat::Tiff => match tiff::decode(bytes, name, check_size)? {
                Some(decoded) => decoded,
                None => decode(bytes, name, format, check_size)?,
            },
            ImageFormat::WebP if is_cut_webp(bytes) => return Err(cut(name, format)),
            ImageFormat::Gif if gif::is_cut(bytes) => return Err(cut(name, format)),
            _ => decode(bytes, name, format, check_size)?,
        };
        image.apply_orientation(orientation);
        Ok(on_white(image))
    }

    /// Decodes a part of a JPEG, that is chosen by its width and height: a picture that holds the part, and where in it.
    /// Nothing for other formats, and for a picture that has to be turned.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub(crate) fn decode_part(
        bytes: &[u8],
        name: &str,
        choose: impl FnOnce(usize, usize) -> Region,
    ) -> Result<Option<(Picture, Region)>> {
        if image::guess_format(bytes).ok() != Some(ImageFormat::Jpeg) || bytes.len() as u64 > MAX_FILE_BYTES {
            return Ok(None);
        }
        let choose = |size: (u32, u32)| {
            check_size(size, bytes.len(), name)?;
            check_shows(size.0 as usize, size.1 as usize, name)?;
            Ok(Some(choose(size.0 as usize, size.1 as usize)))
        };
        Ok(match jpeg::decode_part(bytes, name, choose)? {
            Some((image, _, Some(part))) => Some((on_white(image), part)),
            _ => None,
        })
    }

    /// Writes it as a PNG, grey or RGB.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_png(&self, out: impl Write) -> io::Result<()> {
        let side = |side: usize| u32::try_from(side).map_err(io::Error::other);
        let mut encoder = png::Encoder::new(out, side(self.width)?, side(self.height)?);
        encoder.set_color(match self.channels {
            Channels::Grey => png::ColorType::Grayscale,
            Channels::Rgb => png::ColorType::Rgb,
        });
        let mut writer = encoder.write_header().map_err(io::Error::other)?;
        writer.write_image_data(&self.pixels).map_err(io::Error::other)?;
        writer.finish().map_err(io::Error::other)
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Grey or RGB.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// The values: row by row, the channels of a pixel side by side.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub(crate) fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The picture in grey or in RGB.
    #[must_use]
    pub fn into_channels(self, channels: Channels) -> Picture {
        match channels {
            Channels::Grey => self.into_grey(),
            Channels::Rgb => self.into_rgb(),
        }
    }

    /// The picture in RGB: a grey one with its value three times.
    #[must_use]
    pub fn into_rgb(self) -> Picture {
        match self.channels {
            Channels::Rgb => self,
            Channels::Grey => Picture {
                channels: Channels::Rgb,
                pixels: self.pixels.iter().flat_map(|&value| [value; 3]).collect(),
                ..self
            },
        }
    }

    /// The picture in grey: the luma of ITU-R 601, in 16-bit fixed point as Pillow has it.
    #[must_use]
    pub fn into_grey(self) -> Picture {
        let luma = |rgb: &[u8]| {
            let weighted = rgb.iter().zip([19_595, 38_470, 7_471]).map(|(&v, weight)| u32::from(v) * weight);
            ((weighted.sum::<u32>() + 0x8000) >> 16) as u8
        };
        match self.channels {
            Channels::Grey => self,
            Channels::Rgb => Picture {
                channels: Channels::Grey,
                pixels: self.pixels.chunks_exact(3).map(luma).collect(),
                ..self
            },
        }
    }
}

/// The bytes of a picture's file: no more than one over what is decoded.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |source| Error::Io { name: shown(path), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Whether fewer bytes are there than the header says. (The decoder is content if the first picture of a film is.)
fn is_cut_webp(bytes: &[u8]) -> bool {
    let promised = bytes.get(4..8).and_then(|size| size.first_chunk()).map(|size| u32::from_le_bytes(*size));
    promised.is_none_or(|promised| (bytes.len() as u64) < 8 + u64::from(promised))
}

fn cut(name: &str, format: ImageFormat) -> Error {
    let source = "it ends before all of it is there".into();
    PictureError::undecodable(name, format_name(format), source).into()
}

/// Decodes everything but JPEG.
fn decode(
    bytes: &[u8],
    name: &str,
    format: ImageFormat,
    check_size: impl FnOnce((u32, u32)) -> Result<()>,
) -> Result<(DynamicImage, Orientation)> {
    let undecodable =
        |source: ImageError| PictureError::undecodable(name, format_name(format), source.into());
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(8 * MAX_PIXELS + DECODER_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    check_size(decoder.dimensions())?;
    let orientation = decoder.orientation().map_err(undecodable)?;
    Ok((DynamicImage::from_decoder(decoder).map_err(undecodable)?, orientation))
}

/// Judges a header before a decoder takes memory for what it promises.
pub(crate) fn check_size((width, height): (u32, u32), bytes: usize, name: &str) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return Err(
            PictureError::TooManyPixels { name: name.into(), width, height, limit: MAX_PIXELS }.into()
        );
    }
    if pixels > ALWAYS_BELIEVED.max(PIXELS_PER_BYTE * bytes as u64) {
        return Err(PictureError::Implausible { name: name.into(), width, height, bytes }.into());
    }
    if pixels == 0 {
        let (width, height) = (width as usize, height as usize);
        return Err(PictureError::TooFewPixels { name: name.into(), width, height }.into());
    }
    Ok(())
}

/// That a picture has more than a single pixel.
fn check_shows(width: usize, height: usize, name: &str) -> Result<()> {
    match width * height {
        0 | 1 => Err(PictureError::TooFewPixels { name: name.into(), width, height }.into()),
        _ => Ok(()),
    }
}

/// 8 bits, grey or RGB, on white paper where it is transparent.
fn on_white(image: DynamicImage) -> Picture {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (channels, pixels) = match (image.color().has_color(), image.color().has_alpha()) {
        (false, false) => (Channels::Grey, image.into_luma8().into_raw()),
        (false, true) => (Channels::Grey, blend::<2>(&image.into_luma_alpha8())),
        (true, false) => (Channels::Rgb, image.into_rgb8().into_raw()),
        (true, true) => (Channels::Rgb, blend::<4>(&image.into_rgba8())),
    };
    Picture { width, height, channels, pixels }
}

/// Lays pixels, whose last channel says how opaque they are, over white, rounded to the nearest.
fn blend<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    let over = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let (pixels, _) = pixels.as_chunks::<N>();
    pixels.iter().flat_map(|pixel| pixel[..N - 1].iter().map(|&value| over(value, pixel[N - 1]))).collect()
}

fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Pnm => "PNM",
        _ => "a kind that isn't read here",
    }
}
