//! From a picture to a network's input, when it learns.

use zoo_base::random::Stream;

use crate::augment::Augment;
use crate::{
    Channels, Error, Input, Picture, Preprocess, Result, Stored, Views, handwriting, mask, preprocess, resize,
};

/// How a network's inputs are made of pictures.
///
/// The augmentations come one after the other. Where [`RandomResizedCrop`](Augment::RandomResizedCrop) stands, the
/// picture gets the size that the network takes; without one, it is scaled and cut before all of them, as for an answer.
/// Then bytes become numbers, as for an answer, and at last pieces are erased.
///
/// ```
/// use zoo_base::random::Stream;
/// use zoo_data::augment::{Augment, Flip};
/// use zoo_data::{Channels, Picture, Pipeline, Preprocess};
///
/// let photo = Picture::new(640, 427, Channels::Rgb, vec![128; 640 * 427 * 3])?;
/// let mut pipeline = Pipeline::plain(Preprocess::imagenet(256, 224));
/// pipeline.augment = vec![Augment::RandomResizedCrop(Default::default()), Augment::Flip(Flip::default())];
/// let input = pipeline.apply(&photo, &Stream::new(1, "example"))?;
/// assert_eq!((input.height, input.width, input.values.len()), (224, 224, 3 * 224 * 224));
/// # Ok::<(), zoo_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// How pictures are prepared for an answer, and what inputs have to be: grey or RGB, of one size.
    pub prepare: Preprocess,
    /// What changes them at random, when learning.
    pub augment: Vec<Augment>,
    /// Whether a picture file is searched for a handwritten digit first ([`handwriting`]), as for an answer.
    /// What a data set holds as numbers is one already.
    pub handwriting: bool,
    /// Which pieces of a picture are inputs, each on its own; only the centre where a random piece is taken.
    pub views: Views,
}

impl Pipeline {
    /// As for an answer: nothing is changed at random.
    pub const fn plain(prepare: Preprocess) -> Pipeline {
        Pipeline { prepare, augment: Vec::new(), handwriting: false, views: Views::Centre }
    }

    /// Grey or RGB inputs.
    pub const fn channels(&self) -> Channels {
        preprocess::channels(&self.prepare)
    }

    /// Height and width of the inputs.
    pub const fn size(&self) -> (usize, usize) {
        let [_, height, width] = self.prepare.input;
        (height, width)
    }

    /// Whether it can be followed.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first value that can't be meant.
    pub fn check(&self) -> Result<()> {
        self.augment.iter().try_for_each(Augment::check)
    }

    /// Makes an input of a picture. Each augmentation draws from its own part of `stream`, so that one more at the end
    /// leaves those before it as they were.
    ///
    /// # Errors
    /// A picture that doesn't come out in the size of the inputs.
    pub fn apply(&self, picture: &Picture, stream: &Stream) -> Result<Input> {
        let picture = picture.clone().into_channels(self.channels());
        if self.has_crop() {
            return self.finish(picture, 0, stream);
        }
        let mut values = Vec::new();
        for place in self.views.places() {
            let seen = preprocess::piece(&self.prepare, &picture, *place)?;
            values.extend(self.finish(seen, 0, stream)?.values);
        }
        let (height, width) = self.size();
        Ok(Input { values, height, width })
    }

    /// How many inputs a picture gives.
    pub fn count(&self) -> usize {
        if self.has_crop() { 1 } else { self.views.count() }
    }

    /// Makes an input of a stored picture; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); a file that is no picture.
    pub fn apply_stored(&self, stored: &Stored, name: &str, stream: &Stream) -> Result<Input> {
        let bytes = match stored {
            Stored::Picture(picture) => return self.apply(picture, stream),
            Stored::File(bytes) => bytes,
        };
        if self.handwriting {
            let ink = handwriting::prepare(&Picture::decode(bytes, name)?, name)?;
            let digit = Picture::new(handwriting::SIDE, handwriting::SIDE, Channels::Grey, ink)?;
            return self.apply(&digit, stream);
        }
        // Of a photograph, most of what a crop leaves out need not be decoded.
        if let Some(Augment::RandomResizedCrop(crop)) = self.augment.first() {
            let choose = |width, height| crop.draw(width, height, &mut stream.fork(0));
            if let Some((part, region)) = Picture::decode_part(bytes, name, choose)? {
                let part = part.into_channels(self.channels());
                let (height, width) = self.size();
                let picture = resize::resize_region(&part, region, (width, height), crop.filter)?;
                return self.finish(picture, 1, stream);
            }
        }
        self.apply(&Picture::decode(bytes, name)?, stream)
    }

    /// Makes an input of a picture and its mask, which goes where the picture goes: labels row by row, of the input's size.
    /// `name` is what errors call the mask, `classes` how many there are.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); as [`mask::check`].
    pub fn apply_masked(
        &self,
        picture: &Picture,
        (mask, name): (Picture, &str),
        classes: usize,
        stream: &Stream,
    ) -> Result<(Input, Vec<u8>)> {
        mask::check(&mask, (picture.width(), picture.height()), classes, name)?;
        let mut mask = match self.has_crop() {
            true => mask,
            false => preprocess::mask(&self.prepare, &mask)?,
        };
        for (index, step) in self.augment.iter().enumerate() {
            mask = step.follow(mask, self.size(), &mut stream.fork(index as u64))?;
        }
        Ok((self.apply(picture, stream)?, mask.into_pixels()))
    }

    /// Whether an augmentation gives pictures their size.
    fn has_crop(&self) -> bool {
        self.augment.iter().any(|step| matches!(step, Augment::RandomResizedCrop(_)))
    }

    /// The augmentations from number `first` on, and what follows them.
    fn finish(&self, mut picture: Picture, first: usize, stream: &Stream) -> Result<Input> {
        let draws = |index: usize| stream.fork(index as u64);
        for (index, step) in self.augment.iter().enumerate().skip(first) {
            picture = step.apply(picture, self.size(), &mut draws(index))?;
        }
        let (height, width) = (picture.height(), picture.width());
        if (height, width) != self.size() {
            return Err(Error::InputSize { height, width, wanted: self.size() });
        }
        let mut input = Input { values: preprocess::normalise(&self.prepare, &picture), height, width };
        for (index, step) in self.augment.iter().enumerate() {
            if let Augment::Erase(erase) = step {
                erase.apply(&mut input, &mut draws(index));
            }
        }
        Ok(input)
    }
}
