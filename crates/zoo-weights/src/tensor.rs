//! A tensor as this crate knows it: a type, a shape and bytes.

use std::borrow::Cow;
use std::fmt;

use half::{bf16, f16};

use crate::{Error, Result};

/// Bytes that are cast at once; a multiple of every element's size.
const PIECE: usize = 1 << 16;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// Half precision.
    F16,
    /// Brain floating point: the upper half of an f32.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Signed byte.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned byte.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// One byte, zero or one.
    Bool,
}

impl Dtype {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Bool => "bool",
        })
    }
}

/// A tensor: its elements lie row by row, little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor<'a> {
    /// Type of the elements.
    pub dtype: Dtype,
    /// Shape; empty for a single value.
    pub shape: Cow<'a, [usize]>,
    /// `shape.product() * dtype.size()` bytes.
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> Tensor<'a> {
    /// A tensor of f32 values; borrows them where the machine's byte order is the file's.
    pub fn from_f32(shape: &'a [usize], values: &'a [f32]) -> Self {
        let bytes = if cfg!(target_endian = "little") {
            Cow::Borrowed(bytemuck::cast_slice(values))
        } else {
            Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
        };
        Self { dtype: Dtype::F32, shape: Cow::Borrowed(shape), bytes }
    }

    /// The values as f32: exact for f16, bf16 and f32, rounded for f64.
    ///
    /// # Errors
    /// [`Error::NotFloat`] for integers and booleans.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(self.bytes.len() / self.dtype.size());
        self.dtype.decode_into(&self.bytes, &mut values)?;
        Ok(values)
    }

    /// How many values are no numbers, or infinite; none of integers.
    pub fn not_finite(&self) -> usize {
        let bytes = self.bytes.as_ref();
        match self.dtype {
            Dtype::F16 => count(bytes, |raw| f16::from_le_bytes(raw).is_finite()),
            Dtype::Bf16 => count(bytes, |raw| bf16::from_le_bytes(raw).is_finite()),
            Dtype::F32 => count(bytes, |raw| f32::from_le_bytes(raw).is_finite()),
            // What is infinite as an f32 is of no use here.
            Dtype::F64 => count(bytes, |raw| (f64::from_le_bytes(raw) as f32).is_finite()),
            _ => 0,
        }
    }

    /// The same values as f16, bf16 or f32, rounded to the nearest.
    ///
    /// # Errors
    /// [`Error::NotFloat`] for integers and booleans, and for any other `dtype`; [`Error::TooLarge`] for a value
    /// that would become infinite.
    pub fn cast(&self, dtype: Dtype) -> Result<Tensor<'_>> {
        if dtype == self.dtype {
            return Ok(Tensor {
                dtype,
                shape: Cow::Borrowed(&self.shape),
                bytes: Cow::Borrowed(&self.bytes),
            });
        }
        let limit = match dtype {
            Dtype::F16 => f16::MAX.to_f32(),
            Dtype::Bf16 => bf16::MAX.to_f32(),
            Dtype::F32 => f32::MAX,
            dtype => return Err(Error::NotFloat { dtype }),
        };
        let mut bytes = Vec::with_capacity(self.bytes.len() / self.dtype.size() * dtype.size());
        let mut some = Vec::new();
        // That the type has values at all is told of an empty tensor too.
        self.dtype.decode_into(&[], &mut some)?;
        for piece in self.bytes.chunks(PIECE) {
            some.clear();
            self.dtype.decode_into(piece, &mut some)?;
            let fits = match dtype {
                Dtype::F16 => encode(&some, &mut bytes, |value| {
                    let near = f16::from_f32(value);
                    (near.to_le_bytes(), near.is_infinite())
                }),
                Dtype::Bf16 => encode(&some, &mut bytes, |value| {
                    let near = bf16::from_f32(value);
                    (near.to_le_bytes(), near.is_infinite())
                }),
                _ => encode(&some, &mut bytes, |value| (value.to_le_bytes(), value.is_infinite())),
            };
            if !fits {
                return Err(Error::TooLarge { dtype, limit });
            }
        }
        Ok(Tensor { dtype, shape: Cow::Borrowed(&self.shape), bytes: Cow::Owned(bytes) })
    }

    /// The same with bytes of its own where another type asks for others: as [`Tensor::cast`].
    ///
    /// # Errors
    /// As [`Tensor::cast`].
    pub fn into_dtype(self, dtype: Dtype) -> Result<Self> {
        if dtype == self.dtype {
            return Ok(self);
        }
        let bytes = self.cast(dtype)?.bytes.into_owned();
        Ok(Self { dtype, shape: self.shape, bytes: Cow::Owned(bytes) })
    }

    /// The bytes that a shape of this type asks for, if they can be counted.
    pub(crate) fn byte_len(dtype: Dtype, shape: &[usize]) -> Option<usize> {
        shape.iter().try_fold(dtype.size(), |len, &dim| len.checked_mul(dim))
    }
}

impl Dtype {
    /// Appends the values of elements as f32: exact for f16, bf16 and f32, rounded for f64.
    pub(crate) fn decode_into(self, bytes: &[u8], values: &mut Vec<f32>) -> Result<()> {
        match self {
            Self::F16 => decode(bytes, values, |raw| f16::from_le_bytes(raw).to_f32()),
            Self::Bf16 => decode(bytes, values, |raw| bf16::from_le_bytes(raw).to_f32()),
            Self::F32 => decode(bytes, values, f32::from_le_bytes),
            Self::F64 => decode(bytes, values, |raw| f64::from_le_bytes(raw) as f32),
            dtype => return Err(Error::NotFloat { dtype }),
        }
        Ok(())
    }
}

fn decode<const N: usize>(bytes: &[u8], values: &mut Vec<f32>, value: impl Fn([u8; N]) -> f32) {
    let (elements, _) = bytes.as_chunks::<N>();
    values.extend(elements.iter().map(|&raw| value(raw)));
}

/// Appends values as another type has them; false as soon as one becomes infinite that wasn't, which is the file's own
/// affair.
fn encode<const N: usize>(
    values: &[f32],
    bytes: &mut Vec<u8>,
    near: impl Fn(f32) -> ([u8; N], bool),
) -> bool {
    values.iter().all(|&value| {
        let (raw, is_infinite) = near(value);
        bytes.extend_from_slice(&raw);
        !is_infinite || value.is_infinite()
    })
}

fn count<const N: usize>(bytes: &[u8], is_finite: impl Fn([u8; N]) -> bool) -> usize {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().filter(|&&raw| !is_finite(raw)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(dtype: Dtype, bytes: Vec<u8>) -> Tensor<'static> {
        let shape = vec![bytes.len() / dtype.size()];
        Tensor { dtype, shape: Cow::Owned(shape), bytes: Cow::Owned(bytes) }
    }

    #[test]
    fn every_float_converts() {
        let values = [1.5f32, -0.25, 65504.0, 0.0];
        let f16s = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let bf16s = [1.5f32, -0.25].iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
        let f64s = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        assert_eq!(tensor(Dtype::F16, f16s).to_f32().unwrap(), values);
        assert_eq!(tensor(Dtype::Bf16, bf16s).to_f32().unwrap(), [1.5, -0.25]);
        assert_eq!(tensor(Dtype::F64, f64s).to_f32().unwrap(), values);
        assert_eq!(Tensor::from_f32(&[4], &values).to_f32().unwrap(), values);
    }

    #[test]
    fn floats_are_cast_and_what_does_not_fit_is_refused() {
        let values = [1.5f32, -0.25, 1e-3];
        let tensor = Tensor::from_f32(&[3], &values);
        let half = tensor.cast(Dtype::F16).unwrap();
        assert_eq!((half.dtype, half.bytes.len()), (Dtype::F16, 6));
        assert_eq!(half.to_f32().unwrap(), values.map(|value| f16::from_f32(value).to_f32()));
        assert_eq!(half.cast(Dtype::F32).unwrap().to_f32().unwrap(), half.to_f32().unwrap());
        assert_eq!(tensor.cast(Dtype::F32).unwrap(), tensor);
        let large = Tensor::from_f32(&[1], &[70_000.0]);
        let error = large.cast(Dtype::F16).unwrap_err().to_string();
        assert!(error.contains("65504") && error.contains("bf16"), "{error}");
        assert!(large.cast(Dtype::Bf16).is_ok() && large.cast(Dtype::I64).is_err());
        let infinite = Tensor::from_f32(&[1], &[f32::INFINITY]);
        assert!(infinite.cast(Dtype::F16).is_ok());
    }

    #[test]
    fn integers_are_no_weights() {
        let error = tensor(Dtype::I64, vec![0; 8]).to_f32().unwrap_err();
        assert!(error.to_string().contains("i64"), "{error}");
    }
}
