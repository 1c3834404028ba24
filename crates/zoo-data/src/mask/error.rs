//! What can go wrong with a mask, in a sentence that names its file, the value and the way out.

/// What can go wrong with a mask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// A picture without a mask.
    #[error("{picture}: has no mask; add {wanted}, or take the picture away")]
    Missing {
        /// The picture.
        picture: String,
        /// Where its mask was looked for.
        wanted: String,
    },

    /// A picture that a list names and that isn't there.
    #[error("{list}, line {line}: there is no picture {wanted}; add it, or take the line away")]
    Unlisted {
        /// The list.
        list: String,
        /// Its line, from 1.
        line: usize,
        /// What was looked for.
        wanted: String,
    },

    /// A mask of another size than its picture.
    #[error(
        "{name}: the mask has {}x{} pixels, but its picture has {}x{}; give both one size",
        found.0, found.1, wanted.0, wanted.1
    )]
    Size {
        /// The mask.
        name: String,
        /// Its width and height.
        found: (usize, usize),
        /// Those of its picture.
        wanted: (usize, usize),
    },

    /// A label for which there is no class.
    #[error(
        "{name}: label {label} at column {x}, row {y}, but there are {classes} classes, 0 to {}, and 255 for pixels \
         that don't count; correct the mask, or name more classes in classes.txt", classes - 1
    )]
    Label {
        /// The mask.
        name: String,
        /// The label.
        label: u8,
        /// Column of the first such pixel, from 0.
        x: usize,
        /// Its row.
        y: usize,
        /// How many classes there are.
        classes: usize,
    },

    /// A mask in colours, one of which stands for nothing.
    #[error(
        "{name}: the colour {},{},{} at column {x}, row {y} is none of PASCAL VOC's palette; save the mask as a PNG of \
         indices (with a palette, or grey), a class's number for each pixel", colour[0], colour[1], colour[2]
    )]
    Colour {
        /// The mask.
        name: String,
        /// Red, green, blue.
        colour: [u8; 3],
        /// Column of the first such pixel, from 0.
        x: usize,
        /// Its row.
        y: usize,
    },

    /// A mask of more than 8 bits, whose labels can't be below 256.
    #[error(
        "{name}: has 16 bits for each value; save the mask as a PNG of 8 bits, a class's number for each pixel"
    )]
    Deep {
        /// The mask.
        name: String,
    },

    /// A mask in which nothing counts.
    #[error("{name}: all {pixels} pixels are 255, which don't count; label some, or take the picture away")]
    NothingCounts {
        /// The mask.
        name: String,
        /// How many pixels.
        pixels: usize,
    },

    /// More classes than a mask's bytes can tell apart.
    #[error("{file}: names {classes} classes, and a mask tells at most 255 apart; name fewer")]
    Classes {
        /// The file that names them.
        file: String,
        /// How many.
        classes: usize,
    },

    /// A folder that has masks, and no picture with one.
    #[error(
        "{folder}: holds no picture with a mask; put pictures into {pictures} and masks of their names, PNG, into {masks}"
    )]
    NonePaired {
        /// The folder.
        folder: String,
        /// Where pictures belong.
        pictures: &'static str,
        /// Where masks belong.
        masks: &'static str,
    },

    /// Pictures whose pixels have classes, mixed.
    #[error(
        "pictures with masks can't be mixed with others (`mix`): a pixel has one class; leave `mix` out of the recipe"
    )]
    Mixed,
}
