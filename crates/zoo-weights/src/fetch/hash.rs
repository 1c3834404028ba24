//! Checksums of bytes as they pass.

use std::fmt::Write;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::Digest;

/// Counts a file's checksums while it passes: SHA-256 always, MD5 where a publisher gives no better.
pub(super) struct Hasher {
    sha256: Sha256,
    md5: Option<Md5>,
}

/// The checksums of a whole file.
pub(super) struct Sums {
    pub(super) sha256: String,
    md5: Option<String>,
}

impl Hasher {
    pub(super) fn new(expected: Option<&Digest>) -> Self {
        Self { sha256: Sha256::new(), md5: matches!(expected, Some(Digest::Md5(_))).then(Md5::new) }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    pub(super) fn finish(self) -> Sums {
        Sums { sha256: hex(&self.sha256.finalize()), md5: self.md5.map(|md5| hex(&md5.finalize())) }
    }
}

impl Sums {
    /// Whether these are the sums of the file that is meant; else both values, as a sentence.
    pub(super) fn check(&self, expected: &Digest) -> Result<(), String> {
        let (kind, expected, found) = match expected {
            Digest::Sha256(prefix) => ("SHA-256", prefix, Some(&self.sha256)),
            Digest::Md5(whole) => ("MD5", whole, self.md5.as_ref()),
        };
        match found {
            Some(found) if found.starts_with(expected.as_str()) => Ok(()),
            found => Err(format!(
                "its {kind} should begin with {expected} and is {}",
                found.map_or("not known", String::as_str)
            )),
        }
    }
}

/// Whether a text can be a whole SHA-256.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// The start of the SHA-256 of a text, for a name that stands for it.
pub(super) fn short(text: &str) -> String {
    hex(&Sha256::digest(text)[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_checked_by_prefix() {
        let md5 = Digest::Md5("900150983cd24fb0d6963f7d28e17f72".into());
        let mut hasher = Hasher::new(Some(&md5));
        hasher.update(b"a");
        hasher.update(b"bc");
        let sums = hasher.finish();
        assert_eq!(sums.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(sums.check(&md5).is_ok());
        assert!(sums.check(&Digest::Sha256("ba7816bf".into())).is_ok());
        let error = sums.check(&Digest::Sha256("ba7816b0".into())).unwrap_err();
        assert!(error.contains("ba7816b0") && error.contains("ba7816bf8f"), "{error}");
        assert!(is_sha256(&sums.sha256) && !is_sha256("ba7816bf"));
    }
}
