//! Files that are something else, by their first bytes: named for what they are, with what to do.

/// Bytes of a file that are looked at.
pub(crate) const HEAD: usize = 512;

/// What a file is that is no weights, as a sentence with the way out; `None` for weights and for what is not known.
pub(crate) fn named(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(HEAD)];
    let text = head.trim_ascii_start();
    // A byte-order mark stands before many pages.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    let lower = text.to_ascii_lowercase();
    let begins = |start: &[u8]| lower.starts_with(start);
    let what = if begins(b"<!doctype html") || begins(b"<html") || begins(b"<head") {
        "it is a web page (HTML), a login's or an error's; open the address in a browser, and fetch the file itself"
    } else if begins(b"<?xml") || begins(b"<error") {
        "it is an XML text, as storage servers send for an error; read it, and fetch the file itself"
    } else if begins(b"version https://git-lfs") {
        "it is a Git LFS pointer, which only names the file; run `git lfs pull` in its repository, or fetch the file \
         itself"
    } else if text.starts_with(b"{") && contains(head, b"\"weight_map\"") {
        "it is the index of a network that lies in several files; load those it names, and save their tensors in one file"
    } else if text.starts_with(b"{") && !is_binary(head) {
        "it is a JSON text, as servers send for an error; read it, and fetch the file itself"
    } else if head.starts_with(b"\x93NUMPY") {
        "it is a NumPy array (.npy), one tensor without a name; save a state dict with torch.save or safetensors"
    } else if is_npz(head) {
        "it is a NumPy archive (.npz), whose names no architecture here has; save a state dict with torch.save or \
         safetensors"
    } else if matches!(head, [8, version, 0x12, length, ..] if (3..32).contains(version) && *length < 64) {
        "it is an ONNX file, a program with its weights inside; give the weights that it was made from"
    } else if head.get(4..8) == Some(b"TFL3") {
        "it is a TensorFlow Lite file, a program with its weights inside; give the weights that it was made from"
    } else if head.starts_with(b"\x1f\x8b") {
        "it is packed with gzip; unpack it first: gunzip"
    } else if head.get(257..262) == Some(b"ustar") {
        "it is a tar archive; unpack it first: tar -xf (a .pth of PyTorch before 0.1.10 is one too: save it again)"
    } else if head.starts_with(b"BZh") || head.starts_with(b"\xfd7zXZ\0") || head.starts_with(b"7z\xbc\xaf") {
        "it is a packed archive; unpack it first"
    } else {
        return None;
    };
    Some(what.into())
}

fn contains(head: &[u8], word: &[u8]) -> bool {
    head.windows(word.len()).any(|part| part == word)
}

/// A header of safetensors stands behind its length, so that eight bytes in a row are no text.
fn is_binary(head: &[u8]) -> bool {
    head.iter().any(|&byte| byte < b'\t')
}

/// Whether a zip archive's first member is a NumPy array; NumPy compresses some, and PyTorch none.
fn is_npz(head: &[u8]) -> bool {
    let len = |at: usize| head.get(at..at + 2).map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])));
    let name = || head.get(30..30 + len(26)?);
    head.starts_with(crate::zip::MAGIC) && name().is_some_and(|name| name.ends_with(b".npy"))
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn what_is_no_weights_is_named_for_what_it_is() {
        for (bytes, what) in [
            (&b"<!DOCTYPE html><html>"[..], "HTML"),
            (b"\xef\xbb\xbf\n <HTML lang=en>", "HTML"),
            (
                b"{\"metadata\": {\"total_size\": 1}, \"weight_map\": {\"a\": \"1-of-2.safetensors\"}}",
                "several files",
            ),
            (b"\x08\x08\x12\x07pytorch\x1a\x032.1", "ONNX"),
            (b"\x1c\0\0\0TFL3\0\0", "TensorFlow Lite"),
            (b"<?xml version='1.0'?><Error>", "XML"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
            (b"{\"error\": \"Invalid username or password.\"}", "JSON"),
            (b"\x93NUMPY\x01\0v\0{'descr'", ".npy"),
            (b"PK\x03\x04\x14\0\0\0\0\0\0\0!\0AAAABBBBCCCC\x09\0\x14\0arr_0.npy\x01\0", ".npz"),
            (b"\x1f\x8b\x08\0", "gunzip"),
        ] {
            let said = named(bytes).unwrap_or_default();
            assert!(said.contains(what), "{}: {said}", bytes.escape_ascii());
        }
        assert_eq!(named(b"\x10\0\0\0\0\0\0\0{\"a\""), None);
        assert_eq!(named(b"{\0\0\0\0\0\0\0{\"a\""), None, "a header of 123 bytes");
        assert_eq!(named(b""), None);
    }
}
