//! What can go wrong between a name and an answer.

use std::path::PathBuf;

use zoo_base::size::bytes;
use zoo_weights::LoadReport;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no network, or no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No architecture has that name.
    #[error("there is no model named `{name}`{hint}; `zoo::ARCHITECTURES` lists all")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// The nearest names, as a sentence, or nothing.
        hint: String,
    },
    /// An option that this network does not have.
    #[error("the {option} of `{model}` can't be chosen: {families} leave the choice")]
    NoChoice {
        /// The network.
        model: String,
        /// What was to be chosen.
        option: &'static str,
        /// Who has it.
        families: &'static str,
    },
    /// A file of weights that does not name its network, given as a model.
    #[error(
        "{name} is a file, and only a .safetensors says whose weights it holds; give the model's name and the file to \
         `Model::weights`, or make a model of it with a `Conversion`"
    )]
    NotAModel {
        /// What was asked for.
        name: String,
    },
    /// Weights are published, but not here.
    #[error(
        "the weights of `{model}` ({tag}) are not here; fetch them with `Model::pretrained_or_fetch`, or give a file \
         to `Model::weights`"
    )]
    NotHere {
        /// The network.
        model: String,
        /// What would be fetched.
        tag: String,
    },
    /// Nobody published weights.
    #[error(
        "no weights are published for `{model}`; give a file of your own to `Model::weights`, or begin with `Model::fresh`"
    )]
    NoWeights {
        /// The network.
        model: String,
    },
    /// A file that has nothing for a network that should begin with it.
    #[error(
        "{} has no tensor that `{model}` could begin with (it has {tensors}); give a file of its family, or begin anew",
        zoo_data::shown(file)
    )]
    NothingFits {
        /// The file.
        file: PathBuf,
        /// The network.
        model: String,
        /// What it has.
        tensors: String,
    },
    /// A network that doesn't give each pixel a class, where that is wanted.
    #[error(
        "`{model}` makes {output} of a picture of {input}, no class for each pixel; take a network for segmentation: \
         `fcn8s`, `fcn_resnet50` or `fcn_digits`"
    )]
    NotASegmenter {
        /// The network.
        model: String,
        /// The shape of its answer.
        output: String,
        /// The shape of its picture.
        input: String,
    },
    /// More classes than a mask's bytes can tell apart.
    #[error("`{model}` tells {classes} classes apart, and a mask at most 255; train it for fewer")]
    TooManyClasses {
        /// The network.
        model: String,
        /// How many classes.
        classes: usize,
    },
    /// A picture whose answer doesn't fit into the memory that is allowed, not even in tiles.
    #[error(
        "a picture of {}x{} pixels takes `{model}` {} beside the weights, {} in the smallest tiles, and {} are allowed; \
         allow more, or give a smaller picture", size[1], size[0], bytes(*whole), bytes(*least), bytes(*memory)
    )]
    Narrow {
        /// The network.
        model: String,
        /// Height and width.
        size: [usize; 2],
        /// What the whole would take, in bytes.
        whole: u64,
        /// What a tile would take.
        least: u64,
        /// What is allowed.
        memory: u64,
    },
    /// Weights that could not be fetched.
    #[error(transparent)]
    Fetch(#[from] zoo_weights::FetchError),
    /// A tag that nobody published.
    #[error(transparent)]
    Manifest(#[from] zoo_weights::ManifestError),
    /// A file given instead of a model's name does not say whose weights it holds.
    #[error(
        "{}: its metadata does not name its architecture; give the model's name and this file to `Model::weights`, or \
         make a model of it with a `Conversion`",
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
    /// A file's metadata that asks for what can't be.
    #[error("{}: its metadata under `zoo` asks for {why}; was it written by another program?", file.display())]
    OddCard {
        /// The file.
        file: PathBuf,
        /// What it asks for.
        why: String,
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
    /// A file with more than one network that fits.
    #[error(
        "{} holds {} that fit `{model}`: {}; say with `Model::under` which is meant",
        file.display(), several.len(), several.join(", ")
    )]
    Several {
        /// The file.
        file: PathBuf,
        /// The network.
        model: String,
        /// What the names of each begin with.
        several: Vec<String>,
    },
    /// Weights that are no numbers.
    #[error(
        "{}: {count} of the {of} values of `{name}` are not finite (NaN or infinite), and so would be every answer: the \
         training diverged, or the file was spoilt; take an earlier state of it",
        file.display()
    )]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The first tensor that has such values.
        name: String,
        /// How many it has.
        count: usize,
        /// Of how many.
        of: usize,
    },
    /// Answers that are no numbers.
    #[error(
        "`{model}` gives {what} that are not finite (NaN or infinite), though its weights are: is the input?"
    )]
    NoNumbers {
        /// The network.
        model: String,
        /// What was asked of it.
        what: String,
    },
    /// A network that has no classifier.
    #[error(
        "`{model}` has no classifier here: `Network::net` gives its features, or draw one with `Model::classes`"
    )]
    Headless {
        /// The network.
        model: String,
    },
    /// A file whose tensors are not the network's.
    #[error(
        "{} does not fit `{model}`: {report}; {advice}",
        file.display()
    )]
    Unfit {
        /// The file.
        file: PathBuf,
        /// The network.
        model: String,
        /// What fits and what does not, by name.
        report: Box<LoadReport>,
        /// What can be done.
        advice: String,
    },
    /// A tensor whose values can't be used.
    #[error("{}: `{name}`: {source}", file.display())]
    Tensor {
        /// The file.
        file: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        source: zoo_weights::Error,
    },
    /// A file to be converted that says nothing of its network.
    #[error(
        "{} does not say whose weights it holds; name the architecture or the tag with `Conversion::model`", file.display()
    )]
    Nameless {
        /// The file.
        file: PathBuf,
    },
    /// A conversion onto itself.
    #[error("{} would be replaced by its own conversion; give another name for the result", file.display())]
    SameFile {
        /// The file.
        file: PathBuf,
    },
    /// A result whose name does not say what it is.
    #[error("{} is to be a .safetensors, and is known as a model by that ending; add it to the name", file.display())]
    Ending {
        /// The file to write.
        file: PathBuf,
    },
    /// Names of classes that are not one for each output.
    #[error(
        "{names} names were given for the {classes} {} of {}; give one for each, or two for a single output",
        if *classes == 1 { "output" } else { "classes" }, file.display()
    )]
    ClassNames {
        /// The file.
        file: PathBuf,
        /// How many names.
        names: usize,
        /// How many classes.
        classes: usize,
    },
    /// A node of an auxiliary head, asked of weights without one.
    #[error(
        "`{node}` is of an auxiliary head of `{model}`, and {} was saved without it, since only training needs one: name \
         another node, or give a file that holds `{head}`",
        file.display()
    )]
    NoAuxiliary {
        /// The file.
        file: PathBuf,
        /// The network.
        model: String,
        /// What was asked for.
        node: String,
        /// What the names of the head's parameters begin with.
        head: String,
    },
    /// A layer to be drawn anew that the network has not.
    #[error("`{model}` has no parameters under `{name}`{hint}")]
    NoSuchLayer {
        /// The network.
        model: String,
        /// What was asked for.
        name: String,
        /// The nearest names, as a sentence, or nothing.
        hint: String,
    },
    /// A network that gives no classes for a whole picture.
    #[error(
        "`{model}` answers for every pixel ({output} for {input}), not for the whole picture; `Network::net` \
         gives what it answers"
    )]
    NotAClassifier {
        /// The network.
        model: String,
        /// Its output.
        output: String,
        /// Its input.
        input: String,
    },
    /// A network for whose pictures there is no usual preparation.
    #[error("`{model}` takes {input}, for which no preparation of pictures is known; give prepared tensors")]
    NoPreparation {
        /// The network.
        model: String,
        /// Its input.
        input: String,
    },
    /// A network whose tensors were made and are not there.
    #[error(
        "the tensors of `{model}` were made and are gone; load the network again, and please report how this came"
    )]
    NotMade {
        /// The network.
        model: String,
    },
    /// A thread that read pictures and panicked.
    #[error("a thread that reads pictures broke down")]
    Broken,
    /// A picture or data set that can't be used.
    #[error(transparent)]
    Data(#[from] zoo_data::Error),
    /// A file of weights that can't be read.
    #[error(transparent)]
    Weights(#[from] zoo_weights::Error),
    /// A graph that can't be built, loaded or run.
    #[error(transparent)]
    Layers(#[from] zoo_layers::Error),
    /// A network that can't be compiled for a CPU.
    #[error(transparent)]
    Engine(zoo_engine::Error),
}

/// What a plan refuses is the same whoever runs it.
impl From<zoo_engine::Error> for Error {
    fn from(error: zoo_engine::Error) -> Self {
        match error {
            zoo_engine::Error::Plan(error) => Self::Layers(error),
            other => Self::Engine(other),
        }
    }
}
