//! Names of files as they can be shown: whatever bytes they are of, in one line, and no two alike.

use std::fmt::Write;
use std::path::{MAIN_SEPARATOR, Path};

/// A path for messages and tables. What a terminal would obey instead of showing it, and bytes that are no text,
/// are written as escapes (`\n`, `\u{1b}`, `\xff`), so that two paths never look alike.
///
/// ```
/// use std::path::Path;
///
/// assert_eq!(zoo_data::shown(Path::new("Möwe 1.png")), "Möwe 1.png");
/// assert_eq!(zoo_data::shown(Path::new("a\nb\u{1b}[31m.png")), r"a\nb\u{1b}[31m.png");
/// ```
pub fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            // Where a backslash separates folders it can't be part of a name.
            if is_obeyed(letter) || (letter == '\\' && MAIN_SEPARATOR != '\\') {
                text.extend(letter.escape_default());
            } else {
                text.push(letter);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Control characters, and those that turn the direction of what stands around them.
fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn two_names_never_look_alike() {
        let names: [&[u8]; 7] = [b"a", b"a\xff", b"a\xfe", b"a\\xff", b"a\\n", b"a\n", b"a\xe2\x80\xae"];
        let mut all: Vec<String> =
            names.iter().map(|name| shown(Path::new(OsStr::from_bytes(name)))).collect();
        assert_eq!(all, ["a", r"a\xff", r"a\xfe", r"a\\xff", r"a\\n", r"a\n", r"a\u{202e}"]);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), names.len());
    }
}
