//! Why a picture's bytes give no picture.

/// Why a picture can't be read, or shows nothing.
///
/// `name` is what the caller called the file: its path, or a word such as `standard input`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// A picture's file without a byte in it.
    #[error("{name}: is empty; save or download the picture again")]
    Empty {
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
}

impl PictureError {
    /// [`Undecodable`](Self::Undecodable).
    pub(crate) fn undecodable(
        name: &str,
        format: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self::Undecodable { name: name.into(), format, source }
    }
}
