//! From a picture to a network's input, when it learns and when it answers.

use serde::{Deserialize, Serialize};
use zoo_base::random::Stream;

use crate::augment::{Augment, Erase};
use crate::{Channels, Input, Picture, Preprocess, Result};

/// How a network's inputs are made of pictures.
///
/// The augmentations come one after the other. Where [`RandomResizedCrop`](Augment::RandomResizedCrop) stands, the
/// picture gets the size that the network takes; without one, it is scaled and cut before all augmentations, as it is
/// for an answer. Then bytes become numbers, as for an answer, and at last pieces are erased.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Grey or RGB inputs. Of the mean and deviation of `prepare`, a grey one takes the first.
    pub channels: Channels,
    /// How pictures are prepared for an answer.
    pub prepare: Preprocess,
    /// What is changed at random before that when learning.
    pub augment: Vec<Augment>,
    /// Height and width of the inputs.
    pub size: (usize, usize),
}
impl Pipeline {
    /// A picture as it is for an answer: no augmentation.
    pub fn plain(channels: Channels, prepare: Preprocess, size: (usize, usize)) -> Pipeline;
    /// Makes an input of a picture, drawing from `stream`.
    pub fn apply(&self, picture: &Picture, stream: &mut Stream) -> Result<Input>;
    /// The same of a stored picture: of a JPEG, only what is needed is decoded.
    pub fn apply_stored(&self, stored: Stored, name: &str, stream: &mut Stream) -> Result<Input>;
}
