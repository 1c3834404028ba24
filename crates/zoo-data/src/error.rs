//! What can go wrong with data, each in a sentence that names the thing, both values and the way out.

use std::path::PathBuf;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with data.
///
/// `name` is what the caller called the file: its path, or a word such as `standard input`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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

    /// A picture's file without a byte in it.
    #[error("{name}: is empty; save or download the picture again")]
    EmptyPicture {
        /// The file.
        name: String,
    },

    /// A file that is no picture of a known kind.
    #[error("{name}: is no picture of a known kind; PNG, JPEG, WebP, GIF, BMP, TIFF and PNM are read")]
    UnknownFormat {
        /// The file.
        name: String,
    },

    /// A file larger than any picture that is read.
    #[error(
        "{name}: holds {bytes} bytes or more, but at most {limit} are read of a picture; make it smaller"
    )]
    FileTooLarge {
        /// The file.
        name: String,
        /// Its size, at least.
        bytes: u64,
        /// The limit.
        limit: u64,
    },

    /// A picture that begins as one and can't be decoded.
    #[error("{name}: can't be decoded as {format} ({source}); open it in a viewer and save it anew")]
    Undecodable {
        /// The file.
        name: String,
        /// Its kind, by its first bytes.
        format: &'static str,
        /// What the decoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A picture with more pixels than are read.
    #[error("{name}: {width}x{height} pixels, but at most {limit} pixels are read; scale it down first")]
    TooManyPixels {
        /// The file.
        name: String,
        /// Its width, as its header says.
        width: u32,
        /// Its height, as its header says.
        height: u32,
        /// The limit.
        limit: u64,
    },

    /// A header that promises far more pixels than so few bytes can hold.
    #[error(
        "{name}: its header promises {width}x{height} pixels, which {bytes} bytes can't hold; \
         download or save the picture again"
    )]
    Implausible {
        /// The file.
        name: String,
        /// Its width, as its header says.
        width: u32,
        /// Its height, as its header says.
        height: u32,
        /// The file's size.
        bytes: usize,
    },

    /// A picture of a single pixel, or none.
    #[error("{name}: {width}x{height} pixels show nothing; give a picture of at least two pixels")]
    TooFewPixels {
        /// The file.
        name: String,
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
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

    /// A picture in which no digit stands out.
    #[error(
        "{name}: no digit found in {width}x{height} pixels ({why}); give a single dark digit on light paper, or light on dark"
    )]
    NoDigit {
        /// The file.
        name: String,
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
        /// What it is instead.
        why: &'static str,
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

    /// A folder that is no data set of classes.
    #[error(
        "{}: pictures of {found} classes, but at least 2 are needed; \
         give a folder that holds a sub-folder of pictures for each class",
        crate::shown(folder)
    )]
    TooFewClasses {
        /// The folder.
        folder: PathBuf,
        /// Sub-folders with pictures in them.
        found: usize,
    },
}
