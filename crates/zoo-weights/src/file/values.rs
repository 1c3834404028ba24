//! Reading a file's tensors as f32, whole or some rows, without keeping what was read.

use std::{fs::File, ops::Range};

use super::{Data, Entry, TensorFile};
use crate::{
    Dtype, Tensor,
    error::{IoContext, Result},
};

impl TensorFile {
    /// A tensor's values as f32, as [`Tensor::to_f32`] gives them, read from the disk piece by piece: what is read
    /// through the map would stay in memory beside the values.
    ///
    /// # Errors
    /// [`Error::NotFloat`]; [`Error::Io`] if the file can't be read any more.
    pub fn values(&self, name: &str) -> Result<Option<Vec<f32>>> {
        let Some(&i) = self.index.get(name) else { return Ok(None) };
        let entry = &self.entries[i];
        match (&self.file, &entry.data) {
            (Some(file), Data::InFile(range)) if cfg!(unix) => {
                self.read_values(file, entry.dtype, range).map(Some)
            }
            _ => self.view(entry).to_f32().map(Some),
        }
    }

    /// The same of some of its rows: of an index of its first side from the first to before the last.
    ///
    /// # Errors
    /// As [`TensorFile::values`]. Of rows that it has not there are none.
    pub fn rows(&self, name: &str, rows: Range<usize>) -> Result<Option<Vec<f32>>> {
        let Some(&i) = self.index.get(name) else { return Ok(None) };
        let entry = &self.entries[i];
        let each = entry.shape.iter().skip(1).product::<usize>().saturating_mul(entry.dtype.size());
        let (from, to) = (rows.start.saturating_mul(each), rows.end.saturating_mul(each));
        match (&self.file, &entry.data) {
            (Some(file), Data::InFile(range)) if cfg!(unix) => {
                if from > to || to > range.len() {
                    return Ok(None);
                }
                self.read_values(file, entry.dtype, &(range.start + from..range.start + to)).map(Some)
            }
            // In another order: only the rows' own elements are gathered.
            (_, Data::Strided { first, shape, strides })
                if shape.first() == entry.shape.first() && rows.start < rows.end =>
            {
                let ([whole, rest @ ..], [step, ..]) = (shape.as_slice(), strides.as_slice()) else {
                    return Ok(None);
                };
                if rows.end > *whole {
                    return Ok(None);
                }
                let shape = [&[rows.len()], rest].concat();
                let first = first + rows.start * step * entry.dtype.size();
                let part = Entry {
                    shape: shape.clone(),
                    data: Data::Strided { first, shape, strides: strides.clone() },
                    ..entry.clone()
                };
                self.view(&part).to_f32().map(Some)
            }
            _ => {
                let Tensor { bytes, dtype, .. } = self.view(entry);
                let Some(bytes) = bytes.get(from..to) else { return Ok(None) };
                let mut values = Vec::with_capacity(bytes.len() / dtype.size());
                dtype.decode_into(bytes, &mut values)?;
                Ok(Some(values))
            }
        }
    }

    fn read_values(&self, file: &File, dtype: Dtype, range: &Range<usize>) -> Result<Vec<f32>> {
        // A multiple of every element's size.
        const PIECE: usize = 1 << 20;
        let mut values = Vec::with_capacity(range.len() / dtype.size());
        let mut buffer = vec![0; PIECE.min(range.len())];
        for start in range.clone().step_by(PIECE) {
            let piece = &mut buffer[..PIECE.min(range.end - start)];
            read_at(file, piece, start).at("read", &self.path)?;
            dtype.decode_into(piece, &mut values)?;
        }
        if range.is_empty() {
            dtype.decode_into(&[], &mut values)?;
        }
        Ok(values)
    }
}

#[cfg(unix)]
fn read_at(file: &File, piece: &mut [u8], at: usize) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, piece, at as u64)
}

#[cfg(not(unix))]
fn read_at(_: &File, _: &mut [u8], _: usize) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
