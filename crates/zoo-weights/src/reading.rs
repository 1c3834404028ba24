//! Values out of an opened file. What is read through its map stays in memory as long as the file is open, beside what is
//! made of it; so it is read from the disk, piece by piece, and put where it belongs.

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;

use crate::error::{IoContext, Result};
use crate::file::{Data, Entry};
use crate::{Dtype, Tensor, TensorFile};

/// Bytes that are read at once; a multiple of every element's size.
const PIECE: usize = 1 << 20;

impl TensorFile {
    /// A tensor's values as f32, as [`Tensor::to_f32`] gives them; beside them, little is in memory.
    ///
    /// # Errors
    /// [`Error::NotFloat`](crate::Error::NotFloat); [`Error::Io`](crate::Error::Io) if the file can't be read any more.
    pub fn values(&self, name: &str) -> Result<Option<Vec<f32>>> {
        let Some(entry) = self.entry(name) else { return Ok(None) };
        let Some((file, range, mut places)) = self.on_disk(entry) else {
            return self.view(entry).to_f32().map(Some);
        };
        let Some(places) = &mut places else {
            return self.in_order(file, range, entry.dtype).map(Some);
        };
        let mut some = Vec::with_capacity(PIECE / entry.dtype.size());
        // That the type has values at all is told of an empty tensor too.
        entry.dtype.decode_into(&[], &mut some)?;
        let mut values = vec![0.0; range.len() / entry.dtype.size()];
        self.pieces(file, range, |piece| {
            some.clear();
            entry.dtype.decode_into(piece, &mut some)?;
            some.iter().zip(places.by_ref()).for_each(|(value, place)| values[place] = *value);
            Ok(())
        })?;
        Ok(Some(values))
    }

    /// The same of some of its rows: of an index of its first side from the first to before the last. Of rows that it has
    /// not there are none.
    ///
    /// # Errors
    /// As [`TensorFile::values`].
    pub fn rows(&self, name: &str, rows: Range<usize>) -> Result<Option<Vec<f32>>> {
        let Some(entry) = self.entry(name) else { return Ok(None) };
        let Some((whole, rest)) = entry.shape.split_first() else { return Ok(None) };
        if rows.start > rows.end || rows.end > *whole {
            return Ok(None);
        }
        if rows.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let each = rest.iter().product::<usize>();
        let Some(part) = part(entry, &rows, each) else {
            // The axes that lie in the file are others than the tensor's.
            let values = self.view(entry).to_f32()?;
            return Ok(values.get(rows.start * each..rows.end * each).map(<[f32]>::to_vec));
        };
        if let (Some(file), Data::InFile(range)) = (self.disk().filter(|_| cfg!(unix)), &part.data) {
            return self.in_order(file, range.clone(), part.dtype).map(Some);
        }
        self.view(&part).to_f32().map(Some)
    }

    /// Values that lie on the disk in their order.
    fn in_order(&self, file: &File, range: Range<usize>, dtype: Dtype) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        // That the type has values at all is told of an empty tensor too.
        dtype.decode_into(&[], &mut values)?;
        values.reserve_exact(range.len() / dtype.size());
        self.pieces(file, range, |piece| dtype.decode_into(piece, &mut values))?;
        Ok(values)
    }

    /// A tensor by name as [`TensorFile::get`] gives it, but with bytes of its own.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the file can't be read any more.
    pub fn read(&self, name: &str) -> Result<Option<Tensor<'_>>> {
        let Some(entry) = self.entry(name) else { return Ok(None) };
        let Some((file, range, mut places)) = self.on_disk(entry) else {
            return Ok(Some(self.view(entry)));
        };
        let (length, size) = (range.len(), entry.dtype.size());
        let mut rows = Vec::new();
        match &mut places {
            None => {
                rows.reserve_exact(length);
                self.pieces(file, range, |piece| {
                    rows.extend_from_slice(piece);
                    Ok(())
                })?;
            }
            Some(places) => {
                rows.resize(length, 0);
                self.pieces(file, range, |piece| {
                    for (element, place) in piece.chunks_exact(size).zip(places.by_ref()) {
                        rows[place * size..][..size].copy_from_slice(element);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(Some(Tensor { dtype: entry.dtype, shape: Cow::Borrowed(&entry.shape), bytes: Cow::Owned(rows) }))
    }

    /// Where on the disk a tensor's bytes lie together, and where each of its elements belongs if that isn't the order in
    /// which they lie.
    fn on_disk(&self, entry: &Entry) -> Option<(&File, Range<usize>, Option<Places>)> {
        let file = self.disk().filter(|_| cfg!(unix))?;
        match &entry.data {
            Data::InFile(range) => Some((file, range.clone(), None)),
            Data::Strided { first, shape, strides } => {
                let places = Places::of(shape, strides)?;
                let length = shape.iter().product::<usize>() * entry.dtype.size();
                Some((file, *first..first + length, Some(places)))
            }
        }
    }

    fn pieces(
        &self,
        file: &File,
        range: Range<usize>,
        mut work: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut buffer = vec![0; PIECE.min(range.len())];
        for start in range.clone().step_by(PIECE) {
            let piece = &mut buffer[..PIECE.min(range.end - start)];
            read_at(file, piece, start).at("read", self.path())?;
            work(piece)?;
        }
        Ok(())
    }
}

/// The places, row by row, of elements that lie without gaps in an order of axes of their own, as they come.
struct Places {
    /// Of each axis that has steps, the outermost in the file first: its length, the step along it, and where it stands.
    axes: Vec<(usize, usize, usize)>,
    next: usize,
    left: usize,
}

impl Places {
    /// None if there are gaps between them, or some are shared.
    fn of(shape: &[usize], strides: &[usize]) -> Option<Self> {
        let mut row = 1;
        let mut axes = Vec::with_capacity(shape.len());
        for (&length, &stride) in shape.iter().zip(strides).rev() {
            if length != 1 {
                axes.push((stride, length, row));
            }
            row *= length;
        }
        axes.sort_unstable();
        let mut together = 1;
        for (stride, length, _) in &axes {
            if *stride != together {
                return None;
            }
            together *= length;
        }
        let axes = axes.into_iter().rev().map(|(_, length, row)| (length, row, 0)).collect();
        Some(Self { axes, next: 0, left: row })
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let place = self.next;
        for (length, row, at) in self.axes.iter_mut().rev() {
            *at += 1;
            self.next += *row;
            if *at < *length {
                break;
            }
            self.next -= *row * *length;
            *at = 0;
        }
        Some(place)
    }
}

/// Some of a tensor's rows, of `each` elements each, as a tensor of its own; none where the axes that lie in the file are
/// others than the tensor's. The tensor has these rows.
fn part(entry: &Entry, rows: &Range<usize>, each: usize) -> Option<Entry> {
    let size = entry.dtype.size();
    let of_rows = |shape: &[usize]| [&[rows.len()], shape.get(1..).unwrap_or_default()].concat();
    let data = match &entry.data {
        Data::InFile(range) => {
            Data::InFile(range.start + rows.start * each * size..range.start + rows.end * each * size)
        }
        // Of no rows there is nothing to gather.
        Data::Strided { .. } if rows.is_empty() => Data::InFile(0..0),
        Data::Strided { shape, .. } if shape.first() != entry.shape.first() => return None,
        Data::Strided { first, shape, strides } => Data::Strided {
            first: first + rows.start * strides.first()? * size,
            shape: of_rows(shape),
            strides: strides.clone(),
        },
    };
    Some(Entry { name: entry.name.clone(), dtype: entry.dtype, shape: of_rows(&entry.shape), data })
}

/// The bytes of a tensor, row by row: those in the file where they lie so, else a copy.
pub(crate) fn bytes_of<'a>(file: &'a [u8], entry: &Entry) -> Cow<'a, [u8]> {
    match &entry.data {
        Data::InFile(range) => Cow::Borrowed(&file[range.clone()]),
        Data::Strided { first, shape, strides } => {
            Cow::Owned(gather(&file[*first..], shape, strides, entry.dtype.size()))
        }
    }
}

/// Copies elements of `size` bytes that lie `strides` apart into rows. The shape has no zero.
fn gather(bytes: &[u8], shape: &[usize], strides: &[usize], size: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut rows = Vec::with_capacity(count * size);
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    for _ in 0..count {
        rows.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    rows
}

#[cfg(unix)]
fn read_at(file: &File, piece: &mut [u8], at: usize) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, piece, at as u64)
}

#[cfg(not(unix))]
fn read_at(_: &File, _: &mut [u8], _: usize) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_put_where_gathering_finds_them() {
        for (shape, strides, dense) in [
            (&[4, 3][..], &[1, 4][..], true),
            (&[5, 2, 3, 7], &[1, 5, 70, 10], true),
            (&[2, 1, 3], &[1, 99, 2], true),
            (&[6], &[1], true),
            (&[], &[], true),
            (&[2, 3], &[1, 4], false),
            (&[3, 3], &[1, 1], false),
            (&[4], &[0], false),
        ] {
            let places = Places::of(shape, strides);
            assert_eq!(places.is_some(), dense, "{shape:?} {strides:?}");
            let Some(places) = places else { continue };
            let count: usize = shape.iter().product();
            let bytes: Vec<u8> = (0..count as u16).flat_map(u16::to_le_bytes).collect();
            let gathered = gather(&bytes, shape, strides, 2);
            let mut put = vec![0; count * 2];
            let mut seen = 0;
            for (element, place) in bytes.chunks_exact(2).zip(places) {
                put[place * 2..][..2].copy_from_slice(element);
                seen += 1;
            }
            assert_eq!((put, seen), (gathered, count), "{shape:?} {strides:?}");
        }
    }
}
