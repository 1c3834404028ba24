//! What crates that don't know each other have in common, so that it stands once.
//!
//! | module | what it gives |
//! |---|---|
//! | [`preprocess`] | how a network wants its pictures, as files say it |
//! | [`random`] | random numbers that are a function of seed, purpose and index |
//! | [`size`] | amounts of memory as people read them |
//! | [`nearest`] | what a mistyped name may have meant |
//!
//! Nothing here knows a network, a picture's pixels, a file's bytes or candle.

pub mod preprocess;
pub mod random;
pub mod size;

/// The names nearest to a mistyped one, at most four, the nearest first: those that at most half of the longer name's letters
/// are to be changed for.
///
/// ```
/// let known = ["resnet50", "resnet18", "vgg16"];
/// assert_eq!(zoo_base::nearest("resnet5O", known), ["resnet50", "resnet18"]);
/// ```
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let letters = |name: &str| name.chars().count();
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .map(|other| (strsim::levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= letters(name).max(letters(other)).div_ceil(2))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(4).map(|(_, name)| name).collect()
}
