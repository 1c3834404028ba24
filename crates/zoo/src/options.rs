//! In what a network differs from the architecture whose name it has.

use serde::{Deserialize, Serialize};

/// In what a network differs from its architecture, as a file's card has it and as it is told from the shapes of a file
/// that has no card. What is not known here would be computed wrongly, and is an error.
///
/// ```
/// use zoo::Options;
///
/// let options = Options { num_classes: Some(7), in_channels: Some(4), ..Options::default() };
/// let graph = zoo::find("resnet18")?.graph_for(&options)?;
/// assert_eq!((graph.input().to_string(), graph.layer("fc")?.output.to_string()), ("4x224x224".into(), "7".into()));
/// # Ok::<(), zoo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// How many classes it tells apart; the architecture's own number if it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_classes: Option<usize>,
    /// Channels of its pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_channels: Option<usize>,
    /// Picture pixels for one pixel of the last map. No weight tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_stride: Option<usize>,
    /// A 3×3 stem without a pool, for pictures of 32×32.
    #[serde(default, skip_serializing_if = "is_false")]
    pub small_stem: bool,
    /// No classifier: it answers with the features that one would read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_head: bool,
    /// No auxiliary heads, which only training needs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_auxiliary: bool,
    /// Of an SENet: channels that a squeezed vector has at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_squeezed: Option<usize>,
    /// Of a CIFAR ResNet: a shortcut's new channels on both sides of the old ones. No weight tells it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub centred_shortcut: bool,
    /// Of a VGG: the mean over the last map and one linear layer instead of three.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mean_classifier: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}
