//! Reading and writing safetensors.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use safetensors::tensor::{Dtype as Stored, Metadata, SafeTensors, TensorInfo};
use serde_json::Value;

use crate::error::{Fault, IoContext, Result};
use crate::file::{Contents, Data, Entry};
use crate::{Destination, Dtype, Error, Format, Tensor};

/// The header's length comes first, as a little-endian u64.
const LENGTH_BYTES: usize = 8;

/// Reads the header of a safetensors file; the bytes stay where they are.
pub(crate) fn read(bytes: &[u8]) -> std::result::Result<Contents, Fault> {
    let (header, described) =
        SafeTensors::read_metadata(bytes).map_err(|error| Fault::malformed(error.to_string()))?;
    let start = LENGTH_BYTES + header;
    let names = described.offset_keys();
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        let Some(info) = described.info(&name) else { continue };
        let dtype = dtype(info.dtype).ok_or_else(|| {
            Fault::Refused(format!(
                "tensor `{name}` is of type {}, which no network here has; save the file without it",
                info.dtype
            ))
        })?;
        let (from, to) = info.data_offsets;
        let data = Data::InFile(start + from..start + to);
        entries.push(Entry { shape: info.shape.clone(), name, dtype, data });
    }
    let metadata = described.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(Contents { entries, metadata, ..Contents::default() })
}

/// Writes tensors to a safetensors file, in the order given, whole or not at all: [`Destination`] says how, and what
/// becomes of paths that are no regular files.
///
/// `metadata` is one key and the value whose JSON, with sorted keys, is kept under it. One key, because the
/// format's own reader and writer keep metadata in a hash map: with two, the order would differ from run to
/// run. The same input gives the same bytes.
///
/// # Errors
/// [`Error::Io`]; [`Error::WrongLength`] for a tensor whose bytes are not its shape's;
/// [`Error::Malformed`] for two tensors of one name.
pub fn save<N: AsRef<str>>(
    path: impl AsRef<Path>,
    tensors: &[(N, Tensor<'_>)],
    metadata: Option<(&str, &Value)>,
) -> Result<()> {
    for (name, tensor) in tensors {
        check(name.as_ref(), tensor)?;
    }
    let described: Vec<_> =
        tensors.iter().map(|(name, tensor)| (name.as_ref(), tensor.dtype, tensor.shape.to_vec())).collect();
    let borrowed = |at: usize| {
        let (_, Tensor { dtype, shape, bytes }) = &tensors[at];
        Ok(Tensor { dtype: *dtype, shape: Cow::Borrowed(shape), bytes: Cow::Borrowed(bytes) })
    };
    save_each(path, &described, metadata, borrowed)
}

/// The same for tensors of these names, types and shapes, whose bytes `tensor` gives, each by its place, when it is to be
/// written: one is in memory at a time.
///
/// # Errors
/// As [`save`]; those of `tensor`, and a tensor that isn't as described.
pub fn save_each<'t, N: AsRef<str>, E: From<Error>>(
    path: impl AsRef<Path>,
    described: &[(N, Dtype, Vec<usize>)],
    metadata: Option<(&str, &Value)>,
    mut tensor: impl FnMut(usize) -> Result<Tensor<'t>, E>,
) -> Result<(), E> {
    let path = path.as_ref();
    let header = header(path, described, metadata)?;
    let destination = Destination::of(path).at("write", path)?;
    // The destination knows the system's errors only.
    let mut fault = None;
    let written = destination.write(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for (at, (name, dtype, shape)) in described.iter().enumerate() {
            let given = tensor(at).and_then(|tensor| {
                if tensor.dtype != *dtype || *tensor.shape != shape[..] {
                    return Err(Error::OtherTensor {
                        name: name.as_ref().into(),
                        described: (*dtype, shape.clone()),
                        given: (tensor.dtype, tensor.shape.to_vec()),
                    }
                    .into());
                }
                let as_described = Tensor {
                    dtype: *dtype,
                    shape: Cow::Borrowed(shape),
                    bytes: Cow::Borrowed(&tensor.bytes),
                };
                check(name.as_ref(), &as_described)?;
                Ok(tensor)
            });
            match given {
                Ok(tensor) => out.write_all(&tensor.bytes)?,
                Err(error) => {
                    fault = Some(error);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        out.flush()
    });
    match fault {
        Some(error) => Err(error),
        None => Ok(written.at("write", path)?),
    }
}

/// That a tensor has the bytes that its type and shape ask for.
fn check(name: &str, tensor: &Tensor<'_>) -> Result<()> {
    let expected = Tensor::byte_len(tensor.dtype, &tensor.shape).unwrap_or(usize::MAX);
    match tensor.bytes.len() {
        found if found == expected => Ok(()),
        found => Err(Error::WrongLength { name: name.into(), shape: tensor.shape.to_vec(), expected, found }),
    }
}

fn header<N: AsRef<str>>(
    path: &Path,
    described: &[(N, Dtype, Vec<usize>)],
    metadata: Option<(&str, &Value)>,
) -> Result<Vec<u8>> {
    let malformed =
        |why: String| Error::Malformed { path: path.to_path_buf(), format: Format::Safetensors, why };
    let mut offset = 0_usize;
    let mut infos = Vec::with_capacity(described.len());
    let mut seen = HashMap::with_capacity(described.len());
    for (name, dtype, shape) in described {
        let name = name.as_ref();
        if seen.insert(name, ()).is_some() {
            return Err(malformed(format!("two tensors are called `{name}`")));
        }
        let end = Tensor::byte_len(*dtype, shape).and_then(|length| offset.checked_add(length));
        let end =
            end.ok_or_else(|| malformed(format!("`{name}` of shape {shape:?} has more bytes than can be")))?;
        let info = TensorInfo { dtype: stored(*dtype), shape: shape.clone(), data_offsets: (offset, end) };
        offset = end;
        infos.push((name.to_string(), info));
    }
    let metadata = metadata.map(|(key, value)| HashMap::from([(key.to_string(), sorted(value).to_string())]));
    let described = Metadata::new(metadata, infos).map_err(|error| malformed(error.to_string()))?;
    let mut header = serde_json::to_vec(&described).map_err(|error| malformed(error.to_string()))?;
    // The data starts at a multiple of 8, so that a mapped f64 is aligned.
    header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
    Ok(header)
}

/// The same value with the keys of every object in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            Value::Object(pairs.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn dtype(stored: Stored) -> Option<Dtype> {
    Some(match stored {
        Stored::F16 => Dtype::F16,
        Stored::BF16 => Dtype::Bf16,
        Stored::F32 => Dtype::F32,
        Stored::F64 => Dtype::F64,
        Stored::I8 => Dtype::I8,
        Stored::I16 => Dtype::I16,
        Stored::I32 => Dtype::I32,
        Stored::I64 => Dtype::I64,
        Stored::U8 => Dtype::U8,
        Stored::U16 => Dtype::U16,
        Stored::U32 => Dtype::U32,
        Stored::U64 => Dtype::U64,
        Stored::BOOL => Dtype::Bool,
        _ => return None,
    })
}

fn stored(dtype: Dtype) -> Stored {
    match dtype {
        Dtype::F16 => Stored::F16,
        Dtype::Bf16 => Stored::BF16,
        Dtype::F32 => Stored::F32,
        Dtype::F64 => Stored::F64,
        Dtype::I8 => Stored::I8,
        Dtype::I16 => Stored::I16,
        Dtype::I32 => Stored::I32,
        Dtype::I64 => Stored::I64,
        Dtype::U8 => Stored::U8,
        Dtype::U16 => Stored::U16,
        Dtype::U32 => Stored::U32,
        Dtype::U64 => Stored::U64,
        Dtype::Bool => Stored::BOOL,
    }
}
