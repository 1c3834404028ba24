//! Pictures in batches, read, decoded and changed on threads of their own while the last batch is learned from.
//!
//! What a batch holds is a function of data, pipeline, seed and place; how many threads there are, and which of them is
//! first, changes nothing. So a run may be stopped anywhere and go on from there.

/// How pictures are put into batches.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderOptions {
    /// Pictures of a batch.
    pub batch_size: usize,
    /// What is left at the end of an epoch, fewer than a batch.
    pub remainder: Remainder,
    /// In which order pictures come.
    pub order: Order,
    /// What order, augmentation and mixing are drawn from.
    pub seed: u64,
    /// Pictures that are mixed with others of their batch.
    pub mix: Mix,
    /// Threads. 0 is as many as the machine has cores.
    pub workers: usize,
    /// Batches that may be ready or under way ahead of the one that is asked for.
    pub ahead: usize,
    /// Whether a picture that can't be read is an error. Otherwise its batch goes without, and it is counted.
    pub strict: bool,
}

/// What becomes of the pictures at the end of an epoch that don't fill a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remainder {
    /// They are left out of this epoch (if there is a whole batch at all): what is usual in training.
    Drop,
    /// They make a smaller batch: what is needed in testing.
    Keep,
}

/// In which order the pictures of an epoch come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One after the other, as in the data.
    Sequential,
    /// Shuffled anew in every epoch.
    Shuffled,
    /// As many draws as there are pictures, every class alike often; within a class, none is drawn again before all
    /// were.
    Balanced,
}

/// A place in a run: before the batch `step` of `epoch`, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Place {
    /// The epoch.
    pub epoch: usize,
    /// The batch in it.
    pub step: usize,
}

/// Pictures ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Which batch it is.
    pub place: Place,
    /// `n * c * h * w` values.
    pub values: Vec<f32>,
    /// (n, c, h, w).
    pub shape: [usize; 4],
    /// Where its pictures stand in the data.
    pub indices: Vec<usize>,
    /// The class of each.
    pub labels: Vec<usize>,
    /// If pictures were mixed: with which class, and how much.
    pub mixed: Option<Mixed>,
}

/// Reads a data set in batches.
#[derive(Debug)]
pub struct Loader {}

impl Loader {
    /// A loader of `data` through `pipeline`.
    pub fn new(data: Arc<dyn Dataset>, pipeline: Pipeline, options: LoaderOptions) -> Result<Loader>;
    /// Batches of an epoch.
    pub fn steps(&self) -> usize;
    /// The batches from `place` on, up to the end of epoch `epochs - 1`; threads begin at once.
    pub fn from(&self, place: Place, epochs: usize) -> Batches;
    /// The pictures of an epoch in the order in which they come: (index, how often it was drawn before in this epoch).
    pub fn order(&self, epoch: usize) -> Vec<..>;
}

/// The batches of a run, in order: `Iterator<Item = Result<Batch>>`. Dropping it stops its threads.
pub struct Batches {}
impl Batches {
    /// How long whoever asked for batches had to wait for them, in all.
    pub fn waited(&self) -> Duration;
    /// The pictures that could not be read so far, each once, by index.
    pub fn skipped(&self) -> Vec<Skipped /* { index, name, why: String } */>;
}
