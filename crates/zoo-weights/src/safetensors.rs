//! Reading and writing safetensors.

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
    let path = path.as_ref();
    let header = header(path, tensors, metadata)?;
    let destination = Destination::of(path).at("write", path)?;
    destination.write(|out| write(out, &header, tensors)).at("write", path)
}

fn write<N: AsRef<str>>(file: &mut impl Write, header: &[u8], tensors: &[(N, Tensor<'_>)]) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header)?;
    for (_, tensor) in tensors {
        out.write_all(&tensor.bytes)?;
    }
    out.flush()
}

fn header<N: AsRef<str>>(
    path: &Path,
    tensors: &[(N, Tensor<'_>)],
    metadata: Option<(&str, &Value)>,
) -> Result<Vec<u8>> {
    let malformed =
        |why: String| Error::Malformed { path: path.to_path_buf(), format: Format::Safetensors, why };
    let mut offset = 0;
    let mut infos = Vec::with_capacity(tensors.len());
    let mut seen = HashMap::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let name = name.as_ref();
        if seen.insert(name, ()).is_some() {
            return Err(malformed(format!("two tensors are called `{name}`")));
        }
        let expected = Tensor::byte_len(tensor.dtype, &tensor.shape).unwrap_or(usize::MAX);
        let found = tensor.bytes.len();
        if expected != found {
            return Err(Error::WrongLength {
                name: name.into(),
                shape: tensor.shape.to_vec(),
                expected,
                found,
            });
        }
        let info = TensorInfo {
            dtype: stored(tensor.dtype),
            shape: tensor.shape.to_vec(),
            data_offsets: (offset, offset + found),
        };
        offset += found;
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
