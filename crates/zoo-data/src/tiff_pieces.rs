//! The pixels of TIFFs whose strips or tiles are JPEGs of their own, as scanners, maps and slides have them.

use std::io::Cursor;

use tiff::decoder::{ChunkType, Decoder};
use tiff::tags::Tag;

use crate::jpeg::{Planes, decode_piece};
use crate::picture::MAX_PIXELS;
use crate::tiff::Judged;

/// The number of this compression. (6 is an older one, whose tables stand anywhere in the file.)
pub(crate) const JPEG: u16 = 7;

/// All values of the first picture, pixel by pixel, and how many each pixel has.
pub(crate) fn values(
    reader: &mut Decoder<Cursor<&[u8]>>,
    bytes: &[u8],
    planes: Planes,
) -> Judged<(Vec<u8>, usize)> {
    let (width, height) = reader.dimensions()?;
    let samples: usize = reader.find_tag_unsigned(Tag::SamplesPerPixel)?.unwrap_or(1);
    if !matches!(samples, 1..=4) {
        return Err(format!("{samples} values for each pixel, where 1 to 4 are expected").into());
    }
    let are_apart = reader.find_tag_unsigned(Tag::PlanarConfiguration)?.unwrap_or(1u16) == 2;
    let (layers, together) = if are_apart { (samples, 1) } else { (1, samples) };
    let [starts, lengths] = match reader.get_chunk_type() {
        ChunkType::Strip => [Tag::StripOffsets, Tag::StripByteCounts],
        ChunkType::Tile => [Tag::TileOffsets, Tag::TileByteCounts],
    };
    let starts: Vec<usize> = reader.find_tag_unsigned_vec(starts)?.unwrap_or_default();
    let lengths: Vec<usize> = reader.find_tag_unsigned_vec(lengths)?.unwrap_or_default();
    let tables = reader.find_tag(Tag::JPEGTables)?.map(tiff::decoder::ifd::Value::into_u8_vec).transpose()?;

    // The last row of strips has what is left; tiles are all of one size.
    let (wide, high) = reader.chunk_dimensions();
    let (wide, high) = (wide.max(1), high.clamp(1, height.next_multiple_of(16)));
    let (across, down) = (width.div_ceil(wide), height.div_ceil(high));
    let covered = u64::from(across) * u64::from(wide) * u64::from(down) * u64::from(high);
    let pieces = across as usize * down as usize * layers;
    if covered > MAX_PIXELS || starts.len() < pieces || lengths.len() < pieces {
        return Err(
            format!("{} pieces of {wide}x{high} pixels, where {pieces} are needed", starts.len()).into()
        );
    }
    let mut values = vec![0; width as usize * height as usize * samples];
    for (index, (&start, &length)) in starts.iter().zip(&lengths).take(pieces).enumerate() {
        let piece = start.checked_add(length).and_then(|end| bytes.get(start..end));
        let piece = piece.ok_or("it ends before all of it is there")?;
        let (layer, index) = (index / (pieces / layers), (index % (pieces / layers)) as u32);
        let (left, top) = (index % across * wide, index / across * high);
        let (columns, rows) = (wide.min(width - left), high.min(height - top));
        let found = decode_piece(tables.as_deref().unwrap_or_default(), piece, planes, (wide, high))?;
        if found.0 < columns || found.1 < rows || found.2.len() != (found.0 * found.1) as usize * together {
            return Err(format!(
                "a piece of {}x{} pixels and {} values, where {columns}x{rows} of {together} each are needed",
                found.0,
                found.1,
                found.2.len()
            )
            .into());
        }
        let lines = found.2.chunks_exact(found.0 as usize * together).take(rows as usize);
        for (y, line) in (top as usize..).zip(lines) {
            let place = (y * width as usize + left as usize) * samples;
            let pixels = values[place..].chunks_exact_mut(samples).zip(line.chunks_exact(together));
            for (pixel, value) in pixels.take(columns as usize) {
                pixel[layer..layer + together].copy_from_slice(value);
            }
        }
    }
    Ok((values, samples))
}
