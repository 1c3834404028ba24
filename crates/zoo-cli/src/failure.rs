//! Why a command stops, and with which exit code.

use std::fmt;

use crate::hints;

/// The call itself was wrong: an unknown model, flag or value, an impossible size. Exit code 2.
///
/// Every other error is work that failed: files, weights, network, data. Exit code 1.
#[derive(Debug)]
pub(crate) struct WrongCall(pub(crate) anyhow::Error);

impl fmt::Display for WrongCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sentence(&self.0))
    }
}

impl std::error::Error for WrongCall {}

/// Marks an error as the caller's.
pub(crate) trait OrWrongCall<T> {
    fn or_wrong_call(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrWrongCall<T> for Result<T, E> {
    fn or_wrong_call(self) -> anyhow::Result<T> {
        self.map_err(|error| WrongCall(error.into()).into())
    }
}

/// The work was done in part: what was done is printed, and the exit code is 1 all the same.
#[derive(Debug)]
pub(crate) struct InPart {
    pub(crate) printed: String,
    pub(crate) error: anyhow::Error,
}

impl fmt::Display for InPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sentence(&self.error))
    }
}

impl std::error::Error for InPart {}

/// Whoever read the output has seen enough (`zoo predict … | head`). No failure: the work ends without a word.
#[derive(Debug)]
pub(crate) struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output any more")
    }
}

impl std::error::Error for ReaderGone {}

/// An error with its causes, each told once: many messages have their cause in them already.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.downcast_ref().and_then(hints::told).unwrap_or_else(|| cause.to_string());
        match (told.is_empty(), told.contains(&cause)) {
            (true, _) => cause,
            (_, true) => told,
            _ => format!("{told}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let missing = zoo::model("nowhere.safetensors").unwrap_err().into();
        assert_eq!(sentence(&missing).matches("No such file").count(), 1, "{missing:#}");
        let wrapped = anyhow::anyhow!("inner").context("outer");
        assert_eq!(sentence(&wrapped), "outer: inner");
    }
}
