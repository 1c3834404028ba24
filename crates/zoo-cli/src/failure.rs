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

/// Whether the call was wrong: an error marked so, or one of a library's that is so wherever it comes up, since the
/// same files, data and network with other words would have done.
pub(crate) fn is_wrong_call(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<WrongCall>()
            || cause.downcast_ref().is_some_and(of_models)
            || cause.downcast_ref().is_some_and(of_weights)
            || cause.downcast_ref().is_some_and(of_data)
            || cause.downcast_ref().is_some_and(of_training)
    })
}

fn of_models(error: &zoo::Error) -> bool {
    use zoo::Error as E;
    match error {
        E::Weights(error) => of_weights(error),
        E::Data(error) => of_data(error),
        error => matches!(
            error,
            E::ClassNames { .. }
                | E::Ending { .. }
                | E::Manifest(_)
                | E::Nameless { .. }
                | E::NoAuxiliary { .. }
                | E::NoChoice { .. }
                | E::NoSuchLayer { .. }
                | E::NotAModel { .. }
                | E::SameFile { .. }
                | E::Several { .. }
                | E::UnknownModel { .. }
        ),
    }
}

fn of_weights(error: &zoo_weights::Error) -> bool {
    matches!(error, zoo_weights::Error::NoKey { .. } | zoo_weights::Error::Several { .. })
}

fn of_data(error: &zoo_data::Error) -> bool {
    use zoo_data::Error as E;
    matches!(error, E::Setting { .. } | E::Shares { .. } | E::PatternUnmatched { .. })
}

fn of_training(error: &zoo_train::Error) -> bool {
    match error {
        zoo_train::Error::Data(error) => of_data(error),
        error => matches!(error, zoo_train::Error::Recipe { .. } | zoo_train::Error::Toml { .. }),
    }
}

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
        let cause = hints::flags(&cause);
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
