//! The one set of options: in what a network differs from the architecture whose name it has.

use serde::{Deserialize, Serialize};

/// In what a network differs from its architecture: what a caller asks for ([`crate::Model`] has a method for most),
/// what a file's card stores, and what is told from the shapes of a file that has no card. What is not known here would
/// be computed wrongly, and is an error; what an architecture does not have is refused by name.
///
/// ```
/// use zoo::Options;
///
/// let options = Options { num_classes: Some(7), in_channels: Some(4), ..Options::default() };
/// let graph = zoo::find("resnet18")?.graph_for(&options)?;
/// assert_eq!((graph.input().to_string(), graph.layer("fc")?.output.to_string()), ("4x224x224".into(), "7".into()));
///
/// let dense = Options { output_stride: Some(8), ..Options::default() };
/// let graph = zoo::find("seresnet50")?.graph_for(&dense)?;
/// assert_eq!(graph.layer("layer4.2.add")?.output.to_string(), "2048x28x28");
/// let refused = zoo::find("vgg16")?.graph_for(&dense).unwrap_err().to_string();
/// assert!(refused.contains("`vgg16`") && refused.contains("ResNet"));
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
    /// Height and width of its pictures, where they aren't the architecture's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_size: Option<[usize; 2]>,
    /// Picture pixels for one pixel of the last map: 32, or 16 or 8 with strides traded for dilation; with a small stem
    /// 8, 4 or 2. No weight tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_stride: Option<usize>,
    /// A 3×3 stem without a pool, for pictures of 32×32.
    #[serde(default, skip_serializing_if = "is_false")]
    pub small_stem: bool,
    /// Dense layers as the convolutions that they are: it slides over larger pictures, and what it says of one is the
    /// mean over all places (Simonyan and Zisserman 2014, section 3.2).
    #[serde(default, skip_serializing_if = "is_false")]
    pub convolutional: bool,
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
    /// Only what these layers, scopes or outputs need; they are its outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
}

impl Options {
    /// These, and where they leave a choice, those of `base`: a caller's wishes over what a file says.
    pub(crate) fn over(&self, base: &Self) -> Self {
        Self {
            num_classes: self.num_classes.or(base.num_classes),
            in_channels: self.in_channels.or(base.in_channels),
            input_size: self.input_size.or(base.input_size),
            output_stride: self.output_stride.or(base.output_stride),
            small_stem: self.small_stem || base.small_stem,
            convolutional: self.convolutional || base.convolutional,
            // Whoever asks for classes asks for a head.
            no_head: self.no_head || (base.no_head && self.num_classes.is_none()),
            no_auxiliary: self.no_auxiliary || base.no_auxiliary,
            least_squeezed: self.least_squeezed.or(base.least_squeezed),
            centred_shortcut: self.centred_shortcut || base.centred_shortcut,
            mean_classifier: self.mean_classifier || base.mean_classifier,
            at: if self.at.is_empty() { base.at.clone() } else { self.at.clone() },
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}
