//! What can go wrong between a name and an answer.

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no network, or no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No architecture has that name.
    #[error("there is no model named `{name}`{hint}; `zoo list` shows all")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// The nearest names, as a sentence, or nothing.
        hint: String,
    },
    /// A graph that can't be built, loaded or run.
    #[error(transparent)]
    Layers(#[from] zoo_layers::Error),
}
