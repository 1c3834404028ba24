//! TIFF of grey, palette and RGB pixels, with or without transparency, of whole numbers or floating ones.
//!
//! The `image` crate reads the usual half of these; palettes, grey with transparency, few bits, floating grey and most
//! of what is compressed as JPEG are refused by it, and colours that were multiplied with their opacity are taken for
//! plain ones. What is of no kind that is known here goes to it all the same.

use std::borrow::Cow;
use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::{ByteOrder, PhotometricInterpretation as Kind, Tag};

use crate::jpeg::{Planes, cmyk_to_rgb};
use crate::picture::{DECODER_BYTES, MAX_PIXELS};
use crate::{PictureError, Result, tiff_pieces, tiff_tags};

/// Why a file isn't read, before it has a name.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Judged<T> = std::result::Result<T, Fault>;

/// Decodes the kinds that are read here; nothing of the others.
pub(crate) fn decode(
    bytes: &[u8],
    name: &str,
    check_size: impl FnOnce((u32, u32)) -> Result<()>,
) -> Result<Option<(DynamicImage, Orientation)>> {
    let undecodable = |source: Fault| PictureError::undecodable(name, "TIFF", source);
    let head = Head::read(bytes).map_err(undecodable)?;
    check_size(head.size)?;
    match head.colours {
        Some(colours) => Ok(Some((head.pixels(bytes, colours).map_err(undecodable)?, head.orientation))),
        None => Ok(None),
    }
}

/// What the first picture of a file says of itself.
struct Head {
    size: (u32, u32),
    kind: Option<Kind>,
    /// Values of colour for each pixel; none of kinds that aren't read here.
    colours: Option<usize>,
    /// What the values beyond the colours are.
    extra: Vec<u16>,
    bits: u16,
    compression: u16,
    /// Where the tags stand.
    directory: u64,
    order: ByteOrder,
    palette: Vec<u16>,
    orientation: Orientation,
}

fn reader(bytes: &[u8]) -> Judged<Decoder<Cursor<&[u8]>>> {
    tiff_tags::check_rows(bytes)?;
    let mut limits = Limits::default();
    limits.decoding_buffer_size = (8 * MAX_PIXELS) as usize;
    limits.intermediate_buffer_size = DECODER_BYTES as usize;
    limits.ifd_value_size = DECODER_BYTES as usize;
    Ok(Decoder::new(Cursor::new(bytes))?.with_limits(limits))
}

impl Head {
    fn read(bytes: &[u8]) -> Judged<Head> {
        let mut reader = reader(bytes)?;
        let kind = reader.find_tag_unsigned(Tag::PhotometricInterpretation)?.and_then(Kind::from_u16);
        let compression = reader.find_tag_unsigned(Tag::Compression)?.unwrap_or(1);
        if let Some(name) = unread(compression) {
            return Err(format!("its compression is {name}, which isn't read here").into());
        }
        let is_jpeg = compression == tiff_pieces::JPEG;
        let colours = match kind {
            Some(Kind::WhiteIsZero | Kind::BlackIsZero | Kind::RGBPalette) => Some(1),
            Some(Kind::RGB) => Some(3),
            Some(Kind::YCbCr) if is_jpeg => Some(3),
            Some(Kind::CMYK) => Some(4),
            _ => None,
        };
        if colours.is_some() && reader.find_tag_unsigned(Tag::FillOrder)?.unwrap_or(1) != 1 {
            return Err("the bits of its bytes stand in the other order".into());
        }
        let bits: Option<Vec<u16>> = reader.find_tag_unsigned_vec(Tag::BitsPerSample)?;
        let samples: usize = reader.find_tag_unsigned(Tag::SamplesPerPixel)?.unwrap_or(1);
        let extra = reader.find_tag_unsigned_vec(Tag::ExtraSamples)?.unwrap_or_default();
        // Four values of a picture in three colours, of which nothing is said, are those and their opacity.
        let extra = if extra.is_empty() && (colours, samples) == (Some(3), 4) { vec![2] } else { extra };
        Ok(Head {
            size: reader.dimensions()?,
            kind,
            colours,
            extra,
            bits: bits.and_then(|bits| bits.first().copied()).unwrap_or(1),
            compression,
            directory: reader.ifd_pointer().ok_or("it has no directory")?.0,
            order: reader.byte_order(),
            palette: reader.find_tag_unsigned_vec(Tag::ColorMap)?.unwrap_or_default(),
            orientation: reader
                .find_tag_unsigned(Tag::Orientation)?
                .and_then(Orientation::from_exif)
                .unwrap_or(Orientation::NoTransforms),
        })
    }

    fn pixels(&self, bytes: &[u8], colours: usize) -> Judged<DynamicImage> {
        let is_palette = self.kind == Some(Kind::RGBPalette);
        let numbers = if is_palette { Cow::Owned(self.as_grey(bytes)?) } else { Cow::Borrowed(bytes) };
        let (values, stride) = self.values(&numbers)?;
        if stride < colours {
            return Err(format!("{stride} values of each pixel, where {colours} make its colour").into());
        }
        let (width, height) = self.size;
        // 1 is an opacity that the colours were multiplied with, 2 one that they weren't, 999 an old program's 2.
        let multiplied = self.extra.first() == Some(&1);
        let are_inks = self.kind == Some(Kind::CMYK);
        let opacity = stride > colours && !are_inks && matches!(self.extra.first(), Some(1 | 2 | 999));
        let mut values = values.values(is_palette.then_some(self.bits), stride, colours, opacity)?;
        if is_palette {
            values = self.looked_up(&values, opacity)?;
        } else if are_inks {
            let inks = values.as_chunks().0.iter();
            values = inks.flat_map(|inks| cmyk_to_rgb(inks.map(|ink| 255 - ink))).collect();
        } else if multiplied && opacity {
            divide_by_opacity(&mut values, colours + 1);
        }
        let colours = if is_palette || are_inks { 3 } else { colours };
        let image = match (colours, opacity) {
            (1, false) => GrayImage::from_raw(width, height, values).map(DynamicImage::from),
            (1, true) => GrayAlphaImage::from_raw(width, height, values).map(DynamicImage::from),
            (_, false) => RgbImage::from_raw(width, height, values).map(DynamicImage::from),
            (_, true) => RgbaImage::from_raw(width, height, values).map(DynamicImage::from),
        };
        image.ok_or_else(|| "fewer pixels than promised".into())
    }

    /// All values, pixel by pixel, and how many each pixel has.
    fn values(&self, bytes: &[u8]) -> Judged<(Values, usize)> {
        let mut reader = reader(bytes)?;
        if self.compression == tiff_pieces::JPEG {
            return self.values_of_pieces(&mut reader, bytes);
        }
        let mut result = DecodingResult::U8(Vec::new());
        let layout = reader.read_image_to_buffer(&mut result)?;
        let pixels = self.size.0 as usize * self.size.1 as usize;
        let values = match result {
            DecodingResult::U8(values) if self.bits < 8 => {
                if layout.planes > 1 || !matches!(self.bits, 1 | 2 | 4) {
                    return Err(format!("values of {} bits in this layout", self.bits).into());
                }
                Values::Few(unpacked(&values, self.bits, self.size.0 as usize, pixels), self.bits)
            }
            DecodingResult::U8(values) if self.bits == 8 => Values::Bytes(values),
            DecodingResult::U16(values) if self.bits == 16 => Values::Words(values),
            DecodingResult::F16(values) => {
                Values::Floats(values.iter().map(|value| value.to_f32()).collect())
            }
            DecodingResult::F32(values) => Values::Floats(values),
            DecodingResult::F64(values) => Values::Floats(values.iter().map(|&value| value as f32).collect()),
            _ => return Err(format!("whole numbers of {} bits, or with signs", self.bits).into()),
        };
        let stride = values.len() / pixels.max(1);
        if stride == 0 || stride * pixels != values.len() {
            return Err(format!("{} values of {pixels} pixels", values.len()).into());
        }
        Ok((if layout.planes > 1 { values.interleaved(pixels) } else { values }, stride))
    }

    /// All values of a picture in pieces that are JPEGs.
    fn values_of_pieces(&self, reader: &mut Decoder<Cursor<&[u8]>>, bytes: &[u8]) -> Judged<(Values, usize)> {
        if self.bits != 8 {
            return Err(format!("JPEG of {} bits, where 8 are expected", self.bits).into());
        }
        let planes = if self.kind == Some(Kind::YCbCr) { Planes::LumaChroma } else { Planes::Plain };
        let (mut values, stride) = tiff_pieces::values(reader, bytes, planes)?;
        if self.kind == Some(Kind::WhiteIsZero) {
            values.iter_mut().for_each(|value| *value = 255 - *value);
        }
        Ok((Values::Bytes(values), stride))
    }

    /// The same file with its numbers of colours taken for grey, since the decoder knows no palettes.
    fn as_grey(&self, bytes: &[u8]) -> Judged<Vec<u8>> {
        let little = matches!(self.order, ByteOrder::LittleEndian);
        let number = |at: usize, length: usize| -> Option<u64> {
            let digits = bytes.get(at..at.checked_add(length)?)?;
            let step = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
            Some(if little { digits.iter().rev().fold(0, step) } else { digits.iter().fold(0, step) })
        };
        // How many bytes the number of entries has, an entry has, and stand in it before its value.
        let (head, entry, before) = if number(2, 2) == Some(43) { (8, 20, 12) } else { (2, 12, 8) };
        let found = || -> Option<usize> {
            let start = usize::try_from(self.directory).ok()?;
            let count = usize::try_from(number(start, head)?).ok()?;
            let mut entries = (0..count).map_while(|index| start.checked_add(head + index * entry));
            let wanted = u64::from(Tag::PhotometricInterpretation.to_u16());
            let at = entries.find(|&at| number(at, 2).is_none_or(|tag| tag == wanted))?;
            // 3 is a number of two bytes.
            (number(at + 2, 2)? == 3 && at + before + 2 <= bytes.len()).then_some(at + before)
        };
        let at = found().ok_or("its tags can't be followed")?;
        let mut bytes = bytes.to_vec();
        bytes[at..at + 2].copy_from_slice(&if little { [1, 0] } else { [0, 1] });
        Ok(bytes)
    }

    /// The colours that the numbers stand for.
    fn looked_up(&self, numbers: &[u8], opacity: bool) -> Judged<Vec<u8>> {
        let count = self.palette.len() / 3;
        // Old programs wrote bytes where words of 16 bits belong.
        let shift = if self.palette.iter().all(|&value| value < 256) { 0 } else { 8 };
        let colour = |number: u8| {
            let number = usize::from(number);
            (number < count)
                .then(|| [0, 1, 2].map(|channel| (self.palette[channel * count + number] >> shift) as u8))
        };
        let mut values = Vec::with_capacity(3 * numbers.len());
        for pixel in numbers.chunks_exact(if opacity { 2 } else { 1 }) {
            let missing = || format!("colour {} of a palette of {count}", pixel[0]);
            values.extend(colour(pixel[0]).ok_or_else(missing)?);
            values.extend(&pixel[1..]);
        }
        Ok(values)
    }
}

/// What compressions are called that nobody reads here.
fn unread(compression: u16) -> Option<String> {
    Some(match compression {
        1 | 4 | 5 | tiff_pieces::JPEG | 8 | 32_773 | 32_946 => return None,
        2 | 3 => "an older fax's".into(),
        6 => "the older of TIFF's two kinds of JPEG".into(),
        34_712 | 33_003..=33_005 => "JPEG 2000".into(),
        34_925 => "LZMA".into(),
        50_000 => "Zstandard".into(),
        50_001 => "WebP".into(),
        other => format!("number {other}"),
    })
}

/// Values as a file has them.
enum Values {
    /// Of 1, 2 or 4 bits.
    Few(Vec<u8>, u16),
    Bytes(Vec<u8>),
    Words(Vec<u16>),
    Floats(Vec<f32>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::Few(values, _) | Values::Bytes(values) => values.len(),
            Values::Words(values) => values.len(),
            Values::Floats(values) => values.len(),
        }
    }

    /// One plane after the other becomes pixel after pixel.
    fn interleaved(self, pixels: usize) -> Values {
        fn woven<T: Copy>(values: &[T], pixels: usize) -> Vec<T> {
            let planes: Vec<&[T]> = values.chunks_exact(pixels).collect();
            (0..pixels).flat_map(|pixel| planes.iter().map(move |plane| plane[pixel])).collect()
        }
        match self {
            Values::Few(values, bits) => Values::Few(woven(&values, pixels), bits),
            Values::Bytes(values) => Values::Bytes(woven(&values, pixels)),
            Values::Words(values) => Values::Words(woven(&values, pixels)),
            Values::Floats(values) => Values::Floats(woven(&values, pixels)),
        }
    }

    /// Each pixel's colours, and its opacity if it has one, in 8 bits. Numbers into a palette of so many bits stay
    /// what they are.
    fn values(self, palette: Option<u16>, stride: usize, colours: usize, opacity: bool) -> Judged<Vec<u8>> {
        let bytes = match self {
            Values::Few(values, _) if palette.is_some() => values,
            Values::Few(values, bits) => {
                let most = (1u16 << bits) - 1;
                values.iter().map(|&value| (u16::from(value) * 255 / most) as u8).collect()
            }
            Values::Bytes(values) => values,
            _ if palette.is_some() => return Err("a palette of more than 256 colours".into()),
            Values::Words(values) => {
                values.iter().map(|&value| ((u32::from(value) + 128) / 257) as u8).collect()
            }
            Values::Floats(values) => levels(&values)?,
        };
        let kept = colours + usize::from(opacity);
        Ok(match stride {
            _ if stride == kept => bytes,
            _ => bytes.chunks_exact(stride).flat_map(|pixel| &pixel[..kept]).copied().collect(),
        })
    }
}

/// Values of a few bits, of which a row begins at a whole byte.
fn unpacked(bytes: &[u8], bits: u16, width: usize, pixels: usize) -> Vec<u8> {
    let per_byte = usize::from(8 / bits);
    let row = width.div_ceil(per_byte).max(1);
    let mut values = Vec::with_capacity(pixels);
    for line in bytes.chunks(row) {
        let places = (0..width).filter_map(|x| Some((line.get(x / per_byte)?, x % per_byte)));
        values.extend(
            places.map(|(byte, place)| {
                byte >> (8 - usize::from(bits) * (place + 1)) & ((1u16 << bits) - 1) as u8
            }),
        );
    }
    values
}

/// Floating values: from 0 to 1 as most programs write them, or from 0 to 255 as Pillow takes them, which then are
/// cut to whole numbers as there. Others have no level that all would agree on.
fn levels(values: &[f32]) -> Judged<Vec<u8>> {
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        return Err(format!("the value {value}, where 0 to 1 or 0 to 255 are expected").into());
    }
    let (least, most) =
        values.iter().fold((0f32, 0f32), |(least, most), &value| (least.min(value), most.max(value)));
    if least < 0.0 || most > 255.0 {
        return Err(format!("values from {least} to {most}, where 0 to 1 or 0 to 255 are expected").into());
    }
    Ok(match most <= 1.0 {
        true => values.iter().map(|value| (value * 255.0).round() as u8).collect(),
        false => values.iter().map(|&value| value as u8).collect(),
    })
}

/// Colours that were multiplied with the opacity behind them, as they were before.
fn divide_by_opacity(values: &mut [u8], stride: usize) {
    for pixel in values.chunks_exact_mut(stride) {
        let Some((&mut alpha, colours)) = pixel.split_last_mut() else { continue };
        for colour in colours {
            *colour = (255 * u32::from(*colour)).checked_div(u32::from(alpha)).unwrap_or(0).min(255) as u8;
        }
    }
}
