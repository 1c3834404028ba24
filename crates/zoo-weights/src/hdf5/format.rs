//! The part of HDF5 that Keras writes through h5py: groups as symbol tables, contiguous data sets, attributes.
//!
//! Every address in the file is checked, and every record that is visited is paid for out of a budget as large
//! as the file, so that neither a cycle nor a record that is named a thousand times leads anywhere.

use std::ops::Range;

use crate::Dtype;
use crate::error::Fault;

/// How every file of the format begins.
pub(crate) const MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

/// An address that says: nowhere.
const NOWHERE: u64 = u64::MAX;
const MAX_NAME: usize = 1024;
const MAX_RANK: usize = 8;
const SYMBOL_LEN: usize = 40;

/// Kinds of messages in an object's header.
const DATASPACE: u16 = 0x01;
const LINK_INFO: u16 = 0x02;
const DATATYPE: u16 = 0x03;
const LINK: u16 = 0x06;
const LAYOUT: u16 = 0x08;
const FILTERS: u16 = 0x0b;
const ATTRIBUTE: u16 = 0x0c;
const CONTINUATION: u16 = 0x10;
const SYMBOL_TABLE: u16 = 0x11;

/// An open file.
pub(super) struct File<'a> {
    bytes: &'a [u8],
    /// Records that may still be visited.
    budget: usize,
}

/// A group or a data set.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// Of a group, the addresses of its tree and its names.
    table: Option<(u64, u64)>,
    /// Of a data set.
    pub(super) data: Option<DataSet>,
    /// Attributes that are texts, one or many.
    pub(super) texts: Vec<(String, Vec<String>)>,
}

/// A contiguous data set.
#[derive(Debug, Clone)]
pub(super) struct DataSet {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) range: Range<usize>,
}

/// A type, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Number(Dtype),
    /// A text of so many bytes.
    Text(usize),
    /// A text in a heap.
    TextElsewhere,
    Other,
}

impl<'a> File<'a> {
    /// Opens a file; gives the address of its root group too.
    pub(super) fn open(bytes: &'a [u8]) -> Result<(Self, u64), Fault> {
        let file = Self { bytes, budget: bytes.len() / 8 };
        let version = file.u8_at(8)?;
        // Version 1 has four bytes more before the addresses.
        let addresses = match version {
            0 => 24,
            1 => 28,
            _ => return Err(newer()),
        };
        if file.take(13, 2)? != [8, 8] {
            return Err(Fault::Refused(
                "its addresses are not of 8 bytes, as Keras has them; save it again with Keras".into(),
            ));
        }
        if file.u64_at(addresses)? != 0 {
            return Err(Fault::malformed("its first byte is not where it says"));
        }
        let root = file.u64_at(addresses + 40)?;
        Ok((file, root))
    }

    /// Reads the header of an object.
    pub(super) fn object(&mut self, address: u64) -> Result<Object, Fault> {
        let at = place(address)?;
        if self.u8_at(at)? != 1 {
            return Err(newer());
        }
        let mut object = Object::default();
        let (mut dtype, mut shape, mut layout) = (None, None, None);
        let mut block = at + 16..end(at + 16, self.u32_at(at + 8)?.into())?;
        let mut continued = Vec::new();
        loop {
            while block.start.saturating_add(8) <= block.end {
                self.pay(1)?;
                let kind = self.u16_at(block.start)?;
                let len = usize::from(self.u16_at(block.start + 2)?);
                let body = self.take(block.start + 8, len)?;
                block.start += 8 + len;
                match kind {
                    DATASPACE => shape = Some(dataspace(body)?),
                    DATATYPE => dtype = Some(datatype(body)?),
                    LAYOUT => layout = Some(contiguous(body)?),
                    FILTERS => return Err(chunked()),
                    ATTRIBUTE => self.attribute(body, &mut object)?,
                    CONTINUATION => {
                        let start = place(u64_in(body, 0)?)?;
                        continued.push(start..end(start, u64_in(body, 8)?)?);
                    }
                    SYMBOL_TABLE => object.table = Some((u64_in(body, 0)?, u64_in(body, 8)?)),
                    LINK | LINK_INFO => return Err(newer()),
                    _ => {}
                }
            }
            let Some(next) = continued.pop() else { break };
            block = next;
        }
        if let (Some(Kind::Number(dtype)), Some(shape), Some((address, len))) = (dtype, shape, layout) {
            object.data = Some(self.data_set(dtype, shape, address, len)?);
        }
        Ok(object)
    }

    fn data_set(&self, dtype: Dtype, shape: Vec<usize>, address: u64, len: u64) -> Result<DataSet, Fault> {
        let wrong = || Fault::malformed("a data set is not wholly in the file");
        let size = crate::Tensor::byte_len(dtype, &shape).ok_or_else(wrong)?;
        if size == 0 {
            return Ok(DataSet { dtype, shape, range: 0..0 });
        }
        let range = place(address)?..end(place(address)?, len)?;
        if address == NOWHERE || range.len() != size || range.end > self.bytes.len() {
            return Err(wrong());
        }
        Ok(DataSet { dtype, shape, range })
    }

    /// The members of a group, by name; none of a data set.
    pub(super) fn members(&mut self, group: &Object) -> Result<Vec<(String, u64)>, Fault> {
        let Some((tree, heap)) = group.table else { return Ok(Vec::new()) };
        let heap = place(heap)?;
        self.expect(heap, b"HEAP")?;
        let names = place(self.u64_at(heap + 24)?)?;
        let mut members = Vec::new();
        let mut nodes = vec![tree];
        while let Some(node) = nodes.pop() {
            self.pay(1)?;
            let at = place(node)?;
            if self.take(at, 4)? == b"SNOD" {
                self.symbols(at, names, &mut members)?;
                continue;
            }
            self.expect(at, b"TREE")?;
            let count = usize::from(self.u16_at(at + 6)?);
            self.pay(count)?;
            // Keys and children take turns, a key first; the last child is read first, so it is pushed last.
            for child in (0..count).rev() {
                nodes.push(self.u64_at(at + 24 + 8 + child * 16)?);
            }
        }
        Ok(members)
    }

    fn symbols(&mut self, at: usize, names: usize, members: &mut Vec<(String, u64)>) -> Result<(), Fault> {
        let count = usize::from(self.u16_at(at + 6)?);
        // Each is 40 bytes, and costs as many.
        self.pay(count * SYMBOL_LEN / 8)?;
        for symbol in 0..count {
            let entry = at + 8 + symbol * SYMBOL_LEN;
            let offset = place(self.u64_at(entry)?)?;
            let start = names.checked_add(offset).ok_or_else(cut)?;
            let tail = self.bytes.get(start..).ok_or_else(cut)?;
            let name = until_zero(&tail[..tail.len().min(MAX_NAME)]);
            members.push((utf8(name)?, self.u64_at(entry + 8)?));
        }
        Ok(())
    }

    /// Keeps an attribute if it is text.
    fn attribute(&mut self, body: &[u8], object: &mut Object) -> Result<(), Fault> {
        let version = *body.first().ok_or_else(cut)?;
        let sizes = [2, 4, 6].map(|at| u16_in(body, at).map(usize::from));
        let [name_len, type_len, space_len] = sizes;
        // The first version pads every part to 8 bytes; the third has one byte more in front.
        let (mut at, pad) = match version {
            1 => (8, 8),
            2 => (8, 1),
            3 => (9, 1),
            _ => return Err(newer()),
        };
        let mut part = |len: Result<usize, Fault>| -> Result<&[u8], Fault> {
            let len = len?;
            let part = body.get(at..).and_then(|rest| rest.get(..len)).ok_or_else(cut)?;
            at += len.next_multiple_of(pad);
            Ok(part)
        };
        let name = utf8(until_zero(part(name_len)?))?;
        let kind = datatype(part(type_len)?)?;
        let shape = dataspace(part(space_len)?)?;
        let size = match kind {
            Kind::Text(size) if size > 0 => size,
            Kind::TextElsewhere => 16,
            _ => return Ok(()),
        };
        let data = body.get(at..).unwrap_or_default();
        let count = shape.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim)).ok_or_else(cut)?;
        let items = count.checked_mul(size).and_then(|len| data.get(..len)).ok_or_else(cut)?;
        self.pay(items.len() / 8)?;
        let mut texts = Vec::with_capacity(count);
        for item in items.chunks_exact(size) {
            texts.push(match kind {
                Kind::TextElsewhere => self.text_elsewhere(item)?,
                _ => utf8(until_zero(item))?,
            });
        }
        object.texts.push((name, texts));
        Ok(())
    }

    /// A text in a heap: its length, the heap's address, and its number there.
    fn text_elsewhere(&mut self, item: &[u8]) -> Result<String, Fault> {
        let len = place(u32_in(item, 0)?.into())?;
        let heap = u64_in(item, 4)?;
        let number = u32_in(item, 12)?;
        if len == 0 {
            return Ok(String::new());
        }
        let heap = place(heap)?;
        self.expect(heap, b"GCOL")?;
        let stop = end(heap, self.u64_at(heap + 8)?)?;
        let mut at = heap + 16;
        while at.saturating_add(16) <= stop {
            self.pay(1)?;
            let index = u32::from(self.u16_at(at)?);
            let size = self.u64_at(at + 8)?;
            if index == number {
                if len as u64 > size {
                    return Err(cut());
                }
                // A model's description may be long; each copy of it is paid for.
                self.pay(len / 8)?;
                return utf8(self.take(at + 16, len)?);
            }
            if index == 0 {
                break;
            }
            at = end(at + 16, size)?.checked_next_multiple_of(8).ok_or_else(cut)?;
        }
        Err(cut())
    }

    /// Pays for so many records, or as many bytes of text in eights.
    pub(super) fn pay(&mut self, records: usize) -> Result<(), Fault> {
        let left = self.budget.checked_sub(records);
        self.budget = left.ok_or_else(|| Fault::malformed("its records lead in circles"))?;
        Ok(())
    }

    fn take(&self, at: usize, len: usize) -> Result<&'a [u8], Fault> {
        self.bytes.get(at..).and_then(|rest| rest.get(..len)).ok_or_else(cut)
    }

    fn expect(&self, at: usize, signature: &[u8]) -> Result<(), Fault> {
        if self.take(at, signature.len())? == signature {
            return Ok(());
        }
        Err(Fault::malformed(format!("at byte {at} there is no {}", signature.escape_ascii())))
    }

    fn u8_at(&self, at: usize) -> Result<u8, Fault> {
        Ok(self.take(at, 1)?[0])
    }

    fn u16_at(&self, at: usize) -> Result<u16, Fault> {
        u16_in(self.bytes, at)
    }

    fn u32_at(&self, at: usize) -> Result<u32, Fault> {
        u32_in(self.bytes, at)
    }

    fn u64_at(&self, at: usize) -> Result<u64, Fault> {
        u64_in(self.bytes, at)
    }
}

fn dataspace(body: &[u8]) -> Result<Vec<usize>, Fault> {
    let (version, rank) = (u8_in(body, 0)?, usize::from(u8_in(body, 1)?));
    let start = if version == 1 { 8 } else { 4 };
    if rank > MAX_RANK {
        return Err(Fault::malformed(format!("a data set has {rank} axes")));
    }
    (0..rank).map(|axis| place(u64_in(body, start + axis * 8)?)).collect()
}

fn datatype(body: &[u8]) -> Result<Kind, Fault> {
    let class = u8_in(body, 0)? & 0x0f;
    let flags = u8_in(body, 1)?;
    let size = u32_in(body, 4)?;
    let little_endian = flags & 1 == 0;
    let signed = flags & 8 != 0;
    let exponent_bits = body.get(13).copied();
    Ok(match (class, size) {
        (0 | 1, _) if !little_endian => {
            return Err(Fault::Refused(
                "its numbers are big-endian; save it again on a little-endian machine".into(),
            ));
        }
        (0, 1) => Kind::Number(if signed { Dtype::I8 } else { Dtype::U8 }),
        (0, 2) => Kind::Number(if signed { Dtype::I16 } else { Dtype::U16 }),
        (0, 4) => Kind::Number(if signed { Dtype::I32 } else { Dtype::U32 }),
        (0, 8) => Kind::Number(if signed { Dtype::I64 } else { Dtype::U64 }),
        (1, 2) if exponent_bits == Some(5) => Kind::Number(Dtype::F16),
        (1, 2) if exponent_bits == Some(8) => Kind::Number(Dtype::Bf16),
        (1, 4) => Kind::Number(Dtype::F32),
        (1, 8) => Kind::Number(Dtype::F64),
        (3, size) => Kind::Text(place(size.into())?),
        (9, 16) if flags & 0x0f == 1 => Kind::TextElsewhere,
        _ => Kind::Other,
    })
}

/// Address and length of the data.
fn contiguous(body: &[u8]) -> Result<(u64, u64), Fault> {
    match (u8_in(body, 0)?, u8_in(body, 1)?) {
        (3, 1) => Ok((u64_in(body, 2)?, u64_in(body, 10)?)),
        _ => Err(chunked()),
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn utf8(bytes: &[u8]) -> Result<String, Fault> {
    str::from_utf8(bytes).map(String::from).map_err(|_| Fault::malformed("a name is not UTF-8"))
}

fn place(address: u64) -> Result<usize, Fault> {
    // Half the range, so that the sum of an address and a small offset can't overflow.
    usize::try_from(address)
        .ok()
        .filter(|&at| at <= usize::MAX / 2 || address == NOWHERE)
        .map_or_else(|| Err(cut()), |at| Ok(at.min(usize::MAX / 2)))
}

fn end(start: usize, len: u64) -> Result<usize, Fault> {
    start.checked_add(place(len)?).ok_or_else(cut)
}

fn cut() -> Fault {
    Fault::malformed("a record lies beyond the end of the file, or is cut off")
}

fn newer() -> Fault {
    Fault::Refused(
        "it has the layout of a newer HDF5 than Keras writes; open it with h5py and save it with libver='earliest'".into(),
    )
}

fn chunked() -> Fault {
    Fault::Refused(
        "its data sets are in chunks or compressed, which Keras does not do; save it again with Keras".into(),
    )
}

fn u8_in(bytes: &[u8], at: usize) -> Result<u8, Fault> {
    bytes.get(at).copied().ok_or_else(cut)
}

fn u16_in(bytes: &[u8], at: usize) -> Result<u16, Fault> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map(u16::from_le_bytes).ok_or_else(cut)
}

fn u32_in(bytes: &[u8], at: usize) -> Result<u32, Fault> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map(u32::from_le_bytes).ok_or_else(cut)
}

fn u64_in(bytes: &[u8], at: usize) -> Result<u64, Fault> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map(u64::from_le_bytes).ok_or_else(cut)
}
