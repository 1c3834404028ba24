//! What can go wrong with data, each in a sentence that names the thing, both values and the way out.

mod picture;

use std::path::PathBuf;

pub use picture::PictureError;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with data. `name` is what the caller called the file: its path, or a word (`standard input`).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A picture that can't be read as one.
    #[error(transparent)]
    Picture(#[from] PictureError),

    /// A file or folder could not be read at all.
    #[error("{name}: {source}; check the path and that it may be read")]
    Io {
        /// The file or folder.
        name: String,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// A folder without the files that MNIST consists of.
    #[error(
        "{}: holds no {wanted}; put MNIST's IDX file there, plain or gzipped (`.gz`), under that name",
        crate::shown(folder)
    )]
    NoIdxFile {
        /// The folder searched.
        folder: PathBuf,
        /// The first name looked for.
        wanted: String,
    },

    /// The gzip stream around an IDX file is broken.
    #[error("{name}: the gzip stream is damaged ({source}); fetch or copy the file again")]
    Gzip {
        /// The file.
        name: String,
        /// What the decompressor said.
        source: std::io::Error,
    },

    /// An IDX file ends inside its header.
    #[error(
        "{name}: {found} bytes, but the header of an IDX file of {what} has {expected}; fetch or copy the file again"
    )]
    IdxHeader {
        /// The file.
        name: String,
        /// Images or labels.
        what: &'static str,
        /// Bytes of such a header.
        expected: usize,
        /// Bytes found.
        found: usize,
    },

    /// Not an IDX file of the wanted kind.
    #[error(
        "{name}: starts with {found:#010x}, but an IDX file of {what} starts with {expected:#010x}; \
         check that it is MNIST's own file and that images and labels are not swapped"
    )]
    IdxMagic {
        /// The file.
        name: String,
        /// Images or labels.
        what: &'static str,
        /// The magic number of that kind.
        expected: u32,
        /// The magic number found.
        found: u32,
    },

    /// An IDX header that promises another number of bytes than follow.
    #[error(
        "{name}: the header promises {promised} bytes of {what}, but {found} follow it; fetch or copy the file again"
    )]
    IdxLength {
        /// The file.
        name: String,
        /// Images or labels.
        what: &'static str,
        /// What the header promises.
        promised: u64,
        /// What there is, in words: a count, perhaps with "more than".
        found: String,
    },

    /// An IDX file without a single picture, or with pictures of no height or width.
    #[error(
        "{name}: the header promises {count} pictures of {height}x{width} pixels; at least one of 1x1 is needed"
    )]
    IdxEmpty {
        /// The file.
        name: String,
        /// Number of pictures.
        count: usize,
        /// Their height.
        height: usize,
        /// Their width.
        width: usize,
    },

    /// Images and labels that don't belong together.
    #[error(
        "{images_name} has {images} pictures, but {labels_name} has {labels} labels; \
         take both files from the same data set"
    )]
    CountsDiffer {
        /// The file of images.
        images_name: String,
        /// The file of labels.
        labels_name: String,
        /// How many images.
        images: usize,
        /// How many labels.
        labels: usize,
    },

    /// A label that is no digit.
    #[error(
        "{name}: label {index} is {label}, but a digit's label is 0 to 9; take MNIST's own file of labels"
    )]
    LabelRange {
        /// The file.
        name: String,
        /// Which label, from 0.
        index: usize,
        /// Its value.
        label: u8,
    },

    /// Pixels whose number doesn't fit the size that they are said to have.
    #[error(
        "{found} values, but {width}x{height} pixels of {channels} channels have {expected}; check the size"
    )]
    PixelCount {
        /// Width of the picture.
        width: usize,
        /// Height of the picture.
        height: usize,
        /// Values for each pixel.
        channels: usize,
        /// Values that it must have.
        expected: usize,
        /// Values given.
        found: usize,
    },

    /// A size that no picture can be scaled or cut to.
    #[error(
        "a picture can't become {width}x{height}: give sides of at least 1 and at most {limit} pixels in all"
    )]
    TargetSize {
        /// The wanted width.
        width: usize,
        /// The wanted height.
        height: usize,
        /// The limit.
        limit: u64,
    },

    /// A file of names of classes that can't be meant.
    #[error(
        "{name}: the names of classes can't be read from it: {why}; give a text file with one on each line"
    )]
    ClassNames {
        /// The file.
        name: String,
        /// What is wrong with it.
        why: String,
    },

    /// A folder or table of too few classes.
    #[error(
        "{}: pictures of {}, but at least 2 classes are needed{why}; \
         give a folder of pictures, or a label in a table, for each class",
        crate::shown(folder), if *found == 1 { "1 class".into() } else { format!("{found} classes") }
    )]
    TooFewClasses {
        /// The folder or table.
        folder: PathBuf,
        /// Classes with pictures.
        found: usize,
        /// What was left out, or nothing.
        why: String,
    },

    /// Two classes whose names are one but for the case of letters.
    #[error(
        "{name}: the classes {first} and {second} have one name but for case; \
         merge them, or give one another name"
    )]
    CaseTwins {
        /// The folder or table.
        name: String,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },

    /// A place beyond the end of a data set.
    #[error("there is no picture {index}: the data has {pictures}, counted from 0")]
    NoSuchPicture {
        /// The place.
        index: usize,
        /// How many there are.
        pictures: usize,
    },

    /// A label for which there is no class.
    #[error(
        "{name}: label {index} is {label}, but there are {classes} classes, counted from 0; \
         check the labels, or the names of the classes"
    )]
    LabelBeyond {
        /// The file.
        name: String,
        /// Which label, from 0.
        index: usize,
        /// Its value.
        label: usize,
        /// How many classes there are.
        classes: usize,
    },

    /// A class of the data that a network doesn't know.
    #[error(
        "class {class} is none of the network's {known} (the first is {first}); \
         name the data's classes as the network's are, or train it on this data"
    )]
    UnknownClass {
        /// The class.
        class: String,
        /// How many the network knows.
        known: usize,
        /// The first of them.
        first: String,
    },

    /// A class that is tested on and never learned.
    #[error(
        "class {class} has pictures in the {part} part and none in the train part; \
         add some to learn from, or take the class away"
    )]
    NothingToLearn {
        /// The class.
        class: String,
        /// The part that has it.
        part: crate::Part,
    },

    /// Shares that are none.
    #[error(
        "the shares {validation} for validation and {test} for testing can't be taken; \
         give numbers from 0 on whose sum is below 1"
    )]
    Shares {
        /// For validation.
        validation: f64,
        /// For testing.
        test: f64,
    },

    /// A pattern of groups without a group.
    #[error(
        "the pattern `{pattern}` has no group: put the part of the name that is the same for pictures that belong \
         together between one pair of parentheses, as in `*-(*).png`"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
    },

    /// A pattern that fits no name.
    #[error("the pattern `{pattern}` matches none of the {count} names; the first is {first}")]
    PatternUnmatched {
        /// The pattern.
        pattern: String,
        /// How many names there are.
        count: usize,
        /// The first name.
        first: String,
    },

    /// A split of other data.
    #[error(
        "the split names the picture {name}, which the data doesn't have; \
         give the data that was split, or split anew"
    )]
    SplitMismatch {
        /// The first picture that is missing.
        name: String,
    },

    /// A picture that a split puts into two parts.
    #[error("the split puts the picture {name} into two parts; split anew")]
    SplitTwice {
        /// The picture.
        name: String,
    },

    /// A table that can't be read as one.
    #[error("{name}: can't be read as a table ({source}); give CSV or TSV with a line of column names first")]
    Table {
        /// The file.
        name: String,
        /// What the reader said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A table without a column that is needed.
    #[error("{name}: has no column of {what} among {found}; call it one of {wanted} in the first line")]
    MissingColumn {
        /// The file.
        name: String,
        /// Paths or labels.
        what: &'static str,
        /// The columns that it has.
        found: String,
        /// The names that are understood.
        wanted: String,
    },

    /// A line of a table that can't be meant.
    #[error("{name}, line {line}: {why}")]
    TableLine {
        /// The file.
        name: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong, and the way out.
        why: String,
    },

    /// A path that holds nothing that is known as data.
    #[error(
        "{}: is no data set; give a folder with a sub-folder of pictures for each class, with pictures and their masks, \
         with MNIST's IDX files or with CIFAR's binary files, or a CSV or TSV table of paths and labels",
        crate::shown(path)
    )]
    NoDataset {
        /// The path.
        path: PathBuf,
    },

    /// A binary file of CIFAR with another length than pictures have.
    #[error(
        "{name}: {found} bytes are no whole number of pictures, which have {record} bytes each; \
         fetch or copy the file again"
    )]
    CifarLength {
        /// The file.
        name: String,
        /// Its length.
        found: usize,
        /// Bytes of a picture with its labels.
        record: usize,
    },

    /// A setting that can't be followed.
    #[error("{what} is {value}; it must be {allowed}")]
    Setting {
        /// Which.
        what: String,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },

    /// A picture of another size than the network's input.
    #[error(
        "a picture of {width}x{height} pixels comes out of the preparation, but the network takes {}x{}; \
         set the preparation's size or crop to that", wanted.1, wanted.0
    )]
    InputSize {
        /// Its height.
        height: usize,
        /// Its width.
        width: usize,
        /// Height and width of the input.
        wanted: (usize, usize),
    },

    /// A part of a data set whose pictures are larger or smaller than another part's.
    #[error(
        "{name}: its pictures are {}x{}, and those before them {}x{}; give parts of one data set", found.0, found.1,
        wanted.0, wanted.1
    )]
    PartSize {
        /// The part and where it is.
        name: String,
        /// Height and width of its pictures.
        found: (usize, usize),
        /// Of the others'.
        wanted: (usize, usize),
    },

    /// Data without a picture.
    #[error("there is no picture in this part of the data; give it some, or take a larger share for it")]
    NoPictures,

    /// A mask's.
    #[error(transparent)]
    Mask(#[from] crate::mask::MaskError),

    /// A thread that read pictures broke down.
    #[error("{name}: reading it broke down; take the picture out of the data, and tell the zoo's authors")]
    Broken {
        /// The picture.
        name: String,
    },
}
