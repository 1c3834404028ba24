//! Where a GIF ends: the decoder is content once it has a picture's pixels, whatever the file still owes.

/// Whether the file ends within the first picture's data. What ends behind it, without its last block, is whole enough.
pub(crate) fn is_cut(bytes: &[u8]) -> bool {
    skip_to_end(bytes).is_none()
}

/// What follows the first picture's data.
fn skip_to_end(bytes: &[u8]) -> Option<&[u8]> {
    let flags = *bytes.get(10)?;
    let mut rest = bytes.get(13 + table(flags)..)?;
    loop {
        rest = match *rest.first()? {
            // An extension: what kind it is, and its data.
            b'!' => data(rest.get(2..)?)?,
            // A picture: its place and size, its own colours, the size of a code, and its data.
            b',' => return data(rest.get(10 + table(*rest.get(9)?) + 1..)?),
            // Something else, which is the decoder's to judge.
            _ => return Some(rest),
        }
    }
}

/// Bytes of the table of colours that a field of flags tells of.
fn table(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// What follows blocks that each begin with their length, up to an empty one or the end of the file.
fn data(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some((&length, behind)) = rest.split_first() {
        rest = behind.get(usize::from(length)..)?;
        if length == 0 {
            break;
        }
    }
    Some(rest)
}
