//! What can go wrong between a name and an answer.

use std::path::PathBuf;

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
    /// A part of the geometry that this network leaves no choice of.
    #[error("the {option} of `{model}` can't be chosen: {families} leave the choice")]
    Geometry {
        /// The network.
        model: String,
        /// What was to be chosen.
        option: &'static str,
        /// Who has it.
        families: &'static str,
    },
    /// Weights are published, but not here.
    #[error(
        "the weights of `{model}` ({tag}) are not here; fetch them with `cargo xtask fetch-weights {tag}`, or give a \
         file with `--weights FILE`"
    )]
    NotHere {
        /// The network.
        model: String,
        /// What would be fetched.
        tag: String,
    },
    /// Nobody published weights.
    #[error("no weights are published for `{model}`; give a file of your own with `--weights FILE`")]
    NoWeights {
        /// The network.
        model: String,
    },
    /// Weights that could not be fetched.
    #[error(transparent)]
    Fetch(#[from] zoo_weights::FetchError),
    /// A tag that nobody published.
    #[error(transparent)]
    Manifest(#[from] zoo_weights::ManifestError),
    /// A file given instead of a model's name does not say whose weights it holds.
    #[error(
        "{}: its metadata does not name its architecture; give the model's name and `--weights` with this file",
        file.display()
    )]
    NoCard {
        /// The file.
        file: PathBuf,
    },
    /// A file's metadata that is not as this program writes it.
    #[error("{}: its metadata under `zoo` can't be read ({source}); was it written by another program?", file.display())]
    Card {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A file that says it holds another network's weights.
    #[error("{} holds the weights of `{theirs}`, not of `{wanted}`; give the other name or another file", file.display())]
    OtherModel {
        /// The file.
        file: PathBuf,
        /// Whose weights it says it holds.
        theirs: String,
        /// Whose were wanted.
        wanted: String,
    },
    /// A file whose tensors are not the network's.
    #[error("{}: {source}; is it another network's file?", file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// What does not fit, by name.
        source: zoo_layers::Error,
    },
    /// A network for whose pictures there is no usual preparation.
    #[error("`{model}` takes {input}, for which no preparation of pictures is known; give prepared tensors")]
    NoPreparation {
        /// The network.
        model: String,
        /// Its input.
        input: String,
    },
    /// A picture or data set that can't be used.
    #[error(transparent)]
    Data(#[from] zoo_data::Error),
    /// A file of weights that can't be read.
    #[error(transparent)]
    Weights(#[from] zoo_weights::Error),
    /// A graph that can't be built, loaded or run.
    #[error(transparent)]
    Layers(#[from] zoo_layers::Error),
}
