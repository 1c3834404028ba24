//! The table of contents of a zip archive whose members are stored as they are.
//!
//! PyTorch and Keras store without compression, so that a member is a piece of the archive and needs no copy.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::Fault;

/// How every archive that has a first member begins.
pub(crate) const MAGIC: &[u8] = b"PK\x03\x04";

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const END_LEN: usize = 22;
const LOCATOR_64_LEN: usize = 20;
const CENTRAL_LEN: usize = 46;
const LOCAL_LEN: usize = 30;
/// The comment at the end of an archive has a length of 16 bits.
const MAX_COMMENT: usize = u16::MAX as usize;

/// Where each member of an archive lies, by name.
pub(crate) fn members(bytes: &[u8]) -> Result<HashMap<&str, Range<usize>>, Fault> {
    let (count, mut at) = directory(bytes)?;
    let mut members = HashMap::new();
    for _ in 0..count {
        let (name, range, next) = member(bytes, at)?;
        members.insert(name, range);
        at = next;
    }
    Ok(members)
}

/// Number of members and the place of the first record of the central directory.
fn directory(bytes: &[u8]) -> Result<(u64, usize), Fault> {
    let last = bytes.len().checked_sub(END_LEN).ok_or_else(cut)?;
    let first = last.saturating_sub(MAX_COMMENT);
    let end = (first..=last).rev().find(|&at| u32_at(bytes, at) == Some(END)).ok_or_else(cut)?;
    let count = u64::from(u16_at(bytes, end + 10).ok_or_else(cut)?);
    let offset = u64::from(u32_at(bytes, end + 16).ok_or_else(cut)?);
    let large = end.checked_sub(LOCATOR_64_LEN).filter(|&at| u32_at(bytes, at) == Some(LOCATOR_64));
    let (count, offset) = match large {
        Some(locator) => {
            let at = place(u64_at(bytes, locator + 8).ok_or_else(cut)?)?;
            if u32_at(bytes, at) != Some(END_64) {
                return Err(cut());
            }
            let count = u64_at(bytes, at.saturating_add(32)).ok_or_else(cut)?;
            (count, u64_at(bytes, at.saturating_add(48)).ok_or_else(cut)?)
        }
        None => (count, offset),
    };
    Ok((count, place(offset)?))
}

/// A record of the central directory: name, place of the data, place of the next record.
fn member(bytes: &[u8], at: usize) -> Result<(&str, Range<usize>, usize), Fault> {
    let record = bytes.get(at..).and_then(|rest| rest.get(..CENTRAL_LEN)).ok_or_else(cut)?;
    if u32_at(record, 0) != Some(CENTRAL) {
        return Err(cut());
    }
    let field = |at| u16_at(record, at).map(usize::from).ok_or_else(cut);
    let wide = |at| u32_at(record, at).map(u64::from).ok_or_else(cut);
    let (flags, method) = (field(8)?, field(10)?);
    let (name_len, extra_len, comment_len) = (field(28)?, field(30)?, field(32)?);
    let tail = &bytes[at + CENTRAL_LEN..];
    let name = tail.get(..name_len).ok_or_else(cut)?;
    let extra = tail.get(name_len..name_len + extra_len).ok_or_else(cut)?;
    let name = str::from_utf8(name).map_err(|_| Fault::malformed("a member's name is not UTF-8"))?;
    if method != 0 || flags & 1 != 0 {
        // TorchScript compresses its program.
        if name.contains("/code/") {
            return Err(Fault::Refused(crate::pth::TORCHSCRIPT.into()));
        }
        let how = if flags & 1 != 0 { "encrypted" } else { "compressed" };
        return Err(Fault::Refused(format!(
            "its member `{}` is {how}, which no program that writes weights does; unpack it and store it plain",
            name.escape_debug()
        )));
    }
    let (packed, unpacked, local) = (wide(20)?, wide(24)?, wide(42)?);
    let [unpacked, packed, local] = zip64([unpacked, packed, local], extra)?;
    if packed != unpacked {
        return Err(Fault::malformed(format!("its member `{}` has two sizes", name.escape_debug())));
    }
    // The local header repeats the name and has an extra field of its own, as padding.
    let local = place(local)?;
    let header = bytes.get(local..).and_then(|rest| rest.get(..LOCAL_LEN)).ok_or_else(cut)?;
    if u32_at(header, 0) != Some(LOCAL) {
        return Err(cut());
    }
    let skip = |at| u16_at(header, at).map(usize::from).ok_or_else(cut);
    let start = local + LOCAL_LEN + skip(26)? + skip(28)?;
    let end = start.checked_add(place(packed)?).filter(|&end| end <= bytes.len()).ok_or_else(cut)?;
    Ok((name, start..end, at + CENTRAL_LEN + name_len + extra_len + comment_len))
}

/// Sizes and offset that do not fit 32 bits are in an extra field, in this order, only those.
fn zip64(fields: [u64; 3], mut extra: &[u8]) -> Result<[u64; 3], Fault> {
    const ID: u16 = 1;
    const IN_EXTRA: u64 = u32::MAX as u64;
    let mut fields = fields;
    while let (Some(id), Some(len)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let body = extra.get(4..4 + usize::from(len)).ok_or_else(cut)?;
        if id == ID {
            let mut at = 0;
            for field in fields.iter_mut().filter(|field| **field == IN_EXTRA) {
                *field = u64_at(body, at).ok_or_else(cut)?;
                at += 8;
            }
        }
        extra = &extra[4 + usize::from(len)..];
    }
    Ok(fields)
}

fn place(offset: u64) -> Result<usize, Fault> {
    usize::try_from(offset).map_err(|_| cut())
}

fn cut() -> Fault {
    Fault::malformed("the zip archive's table of contents is damaged or cut off")
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}
