//! What is worth saying of data that can be used all the same.

use std::fmt;

use crate::{LeftOut, Part};

/// Something about data that its owner should know: a sentence, and no error unless the caller is strict.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A folder among the classes in which no picture lies. It is no class.
    EmptyClass {
        /// The folder's name.
        class: String,
    },
    /// A folder beside the folders of the parts, which is none.
    NoPart {
        /// Its name.
        folder: String,
    },
    /// Something that is called like a picture and can't be taken.
    LeftOut(LeftOut),
    /// A class that has one picture: it can be learned from or tested on, not both.
    SinglePicture {
        /// The class.
        class: String,
        /// The picture.
        name: String,
    },
    /// A class of which a part has no picture.
    Missing {
        /// The class.
        class: String,
        /// The part without it.
        part: Part,
        /// How many pictures, or groups that stay together, it has in all.
        groups: usize,
    },
    /// One class has more than ten times the pictures of another.
    Imbalanced {
        /// The largest class and its pictures.
        most: (String, usize),
        /// The smallest class and its pictures.
        fewest: (String, usize),
    },
    /// Pictures whose names the pattern of groups doesn't match: each is a group of its own.
    Ungrouped {
        /// The pattern.
        pattern: String,
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// Groups that the data itself puts into two parts.
    Leak {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
        /// The parts in which it lies.
        parts: (Part, Part),
    },
    /// A picture that a split was made without: it isn't in the split's file, and goes to no part.
    Unsplit {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
}

/// The first findings, for the end of an error's sentence; nothing if there are none.
pub(crate) fn told(findings: &[Finding]) -> String {
    const TOLD: usize = 3;
    let mut told: String = findings.iter().take(TOLD).map(|finding| format!("; {finding}")).collect();
    if findings.len() > TOLD {
        told += &format!("; and {} more", findings.len() - TOLD);
    }
    told
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::EmptyClass { class } => {
                write!(f, "the folder {class} holds no picture, and is no class")
            }
            Finding::NoPart { folder } => {
                write!(
                    f,
                    "the folder {folder} lies beside the data's parts and is none of them: it is left out"
                )
            }
            Finding::LeftOut(left_out) => left_out.fmt(f),
            Finding::SinglePicture { class, name } => {
                write!(
                    f,
                    "class {class} has one picture, {name}: it can be learned from or tested on, not both"
                )
            }
            Finding::Missing { class, part, groups: 1 } => write!(
                f,
                "the {part} part has no picture of class {class}, whose pictures are one or stay together"
            ),
            Finding::Missing { class, part, groups } => {
                write!(f, "the {part} part has no picture of class {class}, which has {groups} to divide")
            }
            Finding::Imbalanced { most: (large, many), fewest: (small, few) } => write!(
                f,
                "class {large} has {many} pictures and class {small} {few}: weigh the classes (`weigh_classes` in a recipe), or \
                 draw them alike often (`balanced`)"
            ),
            Finding::Ungrouped { pattern, count, first } => write!(
                f,
                "{count} names don't match `{pattern}`, {first} for one: each of them is a group of its own"
            ),
            Finding::Leak { count, first, parts: (one, other) } => write!(
                f,
                "{count} groups lie in two parts, {first} for one in {one} and {other}: what is tested on was seen"
            ),
            Finding::Unsplit { count, first } => {
                write!(f, "{count} pictures are not in the split, {first} for one: they go to no part")
            }
        }
    }
}
