//! Reading what `torch.save` writes: since PyTorch 1.6 a zip archive, before that pickles and raw storages
//! one after another.

mod global;
mod pickle;
mod state_dict;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use pickle::{Pickle, Storage, Strided, Value, broken};

use crate::Tensor;
use crate::error::Fault;
use crate::file::{Contents, Data, Entry};

/// The older format starts with the pickle of a magic number.
const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// What is said of a TorchScript archive.
pub(crate) const TORCHSCRIPT: &str = "it is a TorchScript archive, a program with its weights inside; save the weights \
                                      alone: torch.save(torch.jit.load(path).state_dict(), new_path)";

/// Whether the bytes begin as a file of the older format.
pub(crate) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(LEGACY_MAGIC)
}

/// Reads a `.pth` file in the zip format, given where its members lie.
pub(crate) fn read_zip(
    bytes: &[u8],
    members: &HashMap<&str, Range<usize>>,
    key: Option<&str>,
) -> Result<Contents, Fault> {
    const PROGRAM: &str = "/data.pkl";
    if members.keys().any(|name| name.ends_with("/constants.pkl") || name.contains("/code/")) {
        return Err(Fault::Refused(TORCHSCRIPT.into()));
    }
    let mut programs: Vec<_> = members.iter().filter(|(name, _)| name.ends_with(PROGRAM)).collect();
    programs.sort_by_key(|(name, _)| **name);
    let (name, range) = match programs[..] {
        [program] => program,
        [] => return Err(Fault::malformed("the archive has no member data.pkl")),
        [(one, _), (other, _), ..] => {
            return Err(Fault::malformed(format!(
                "the archive has several members data.pkl, `{}` and `{}`",
                one.escape_debug(),
                other.escape_debug()
            )));
        }
    };
    let folder = &name[..name.len() - PROGRAM.len()];
    if let Some(order) = members.get(format!("{folder}/byteorder").as_str())
        && &bytes[order.clone()] != b"little"
    {
        return Err(big_endian());
    }
    let pickle = Pickle::load(&bytes[range.clone()])?;
    contents(&pickle, key, |storage| members.get(format!("{folder}/data/{}", storage.key).as_str()).cloned())
}

/// Reads a `.pth` file in the format before the zip archives: the pickles of a magic number, a protocol
/// version, the machine's properties, the object, and the keys of the storages; then these, each with its
/// number of elements before it.
pub(crate) fn read_legacy(bytes: &[u8], key: Option<&str>) -> Result<Contents, Fault> {
    let mut at = LEGACY_MAGIC.len();
    let mut next = || -> Result<Pickle<'_>, Fault> {
        let pickle = Pickle::load(&bytes[at..])?;
        at += pickle.len;
        Ok(pickle)
    };
    let _version = next()?;
    let machine = next()?;
    if let Value::Dict(dict) = machine.root
        && machine.entry(dict, "little_endian") == Some(Value::Bool(false))
    {
        return Err(big_endian());
    }
    let object = next()?;
    let keys = next()?;
    let element_sizes: HashMap<_, _> = object.storages.iter().map(|s| (s.key, s.dtype.size())).collect();
    let mut storages = HashMap::new();
    for &key in keys.sequence(keys.root).ok_or_else(|| broken("has no list of storages"))? {
        let Value::Str(key) = key else { return Err(broken("numbers a storage by no text")) };
        let cut = || Fault::malformed(format!("it ends before storage {}", key.escape_debug()));
        let size = element_sizes.get(key).ok_or_else(|| broken("has a storage that no tensor uses"))?;
        let count =
            bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map(u64::from_le_bytes).ok_or_else(cut)?;
        let len = usize::try_from(count).ok().and_then(|count| count.checked_mul(*size)).ok_or_else(cut)?;
        let start = at + size_of::<u64>();
        let end = start.checked_add(len).filter(|&end| end <= bytes.len()).ok_or_else(cut)?;
        storages.insert(key, start..end);
        at = end;
    }
    contents(&object, key, |storage| storages.get(storage.key).cloned())
}

fn contents<'a>(
    pickle: &Pickle<'a>,
    key: Option<&str>,
    place: impl Fn(&Storage<'a>) -> Option<Range<usize>>,
) -> Result<Contents, Fault> {
    let chosen = state_dict::choose(pickle, key)?;
    let mut entries = Vec::with_capacity(chosen.tensors.len());
    // Before names are copied: a pickle may give one large name a million times.
    let mut names = HashSet::with_capacity(chosen.tensors.len());
    for &(name, tensor) in &chosen.tensors {
        if !names.insert(name) {
            return Err(Fault::malformed(format!("it names tensor `{}` twice", name.escape_debug())));
        }
        let storage = &tensor.storage;
        if repeats(tensor) {
            return Err(Fault::Refused(format!(
                "tensor `{}` of shape {:?} repeats the {} values that are stored of it; save it with .contiguous()",
                name.escape_debug(),
                tensor.shape,
                storage.len
            )));
        }
        let data = place(storage).and_then(|bytes| locate(tensor, bytes)).ok_or_else(|| {
            Fault::malformed(format!("tensor `{}` is not wholly in the file", name.escape_debug()))
        })?;
        entries.push(Entry {
            name: name.to_string(),
            dtype: storage.dtype,
            shape: tensor.shape.clone(),
            data,
        });
    }
    let state_dict::Chosen { notes, key_used, keys, .. } = chosen;
    Ok(Contents { entries, notes, key_used, keys, ..Contents::default() })
}

/// Whether a tensor's elements are more than its storage's: a view that repeats some, and never a weight.
fn repeats(tensor: &Strided<'_>) -> bool {
    tensor.shape.iter().zip(&tensor.strides).any(|(&length, &stride)| length > 1 && stride == 0)
}

/// Where a tensor's elements lie, given the bytes of its storage; `None` if they don't lie in it.
fn locate(tensor: &Strided<'_>, storage: Range<usize>) -> Option<Data> {
    let Strided { storage: Storage { dtype, start, len, .. }, offset, shape, strides } = tensor;
    let size = dtype.size();
    let byte_len = Tensor::byte_len(*dtype, shape)?;
    let first = storage.start.checked_add(start.checked_add(*offset)?.checked_mul(size)?)?;
    if byte_len == 0 {
        return Some(Data::InFile(storage.start..storage.start));
    }
    let reach =
        |from: usize, (&dim, &stride): (&usize, &usize)| from.checked_add((dim - 1).checked_mul(stride)?);
    let last = shape.iter().zip(strides).try_fold(*offset, reach)?;
    // A tensor of more elements than its storage repeats some; that is a view, never a weight.
    if last >= *len || byte_len / size > *len || start.checked_add(*len)?.checked_mul(size)? > storage.len() {
        return None;
    }
    let mut expected = 1;
    let row_by_row = shape.iter().zip(strides).rev().all(|(&dim, &stride)| {
        let fits = dim == 1 || stride == expected;
        expected *= dim;
        fits
    });
    Some(if row_by_row {
        Data::InFile(first..first + byte_len)
    } else {
        // The step along an axis of one element is never taken, and may be any number.
        let strides = shape.iter().zip(strides).map(|(&dim, &stride)| if dim == 1 { 0 } else { stride });
        Data::Strided { first, shape: shape.clone(), strides: strides.collect() }
    })
}

fn big_endian() -> Fault {
    Fault::Refused("it was written on a big-endian machine; save it again on a little-endian one".into())
}
