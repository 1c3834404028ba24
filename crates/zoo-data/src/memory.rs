//! Pictures of one size that lie in memory: MNIST and its kin, CIFAR, the digits that are compiled in.

use std::fs;
use std::path::Path;

use crate::dataset::Fingerprinter;
use crate::{
    Channels, Dataset, Digits, Error, Fingerprint, Part, Picture, Result, Stored, classes, digits, idx, shown,
};

/// Pictures of one size, each with its class and part.
#[derive(Debug, Clone)]
pub struct InMemory {
    classes: Vec<String>,
    height: usize,
    width: usize,
    channels: Channels,
    pixels: Vec<u8>,
    labels: Vec<usize>,
    parts: Vec<Portion>,
}

/// Pictures that came together.
#[derive(Debug, Clone)]
struct Portion {
    part: Option<Part>,
    /// The first word of their names.
    name: String,
    /// Where they begin.
    start: usize,
}

impl InMemory {
    /// No picture yet, of pictures of this height, width and kind.
    ///
    /// # Errors
    /// [`Error::CaseTwins`] for two classes that are called alike but for case, [`Error::TooFewClasses`] for fewer than
    /// two.
    pub fn new(
        classes: Vec<String>,
        (height, width): (usize, usize),
        channels: Channels,
    ) -> Result<InMemory> {
        classes::ordered(classes.clone(), "the data")?;
        if classes.len() < 2 {
            return Err(Error::TooFewClasses {
                folder: "the data".into(),
                found: classes.len(),
                why: String::new(),
            });
        }
        let (pixels, labels, parts) = (Vec::new(), Vec::new(), Vec::new());
        Ok(InMemory { classes, height, width, channels, pixels, labels, parts })
    }

    /// Adds pictures, one after the other, row by row, the channels of a pixel side by side. `name` is the first word of
    /// their names, and what errors call them.
    ///
    /// # Errors
    /// Another number of values than that of the labels asks for; a label that is no class's.
    pub fn add(&mut self, part: Option<Part>, name: &str, pixels: &[u8], labels: &[usize]) -> Result<()> {
        let Self { height, width, channels, .. } = *self;
        let expected = labels.len().saturating_mul(self.size());
        if self.size() == 0 || pixels.len() != expected {
            let (channels, found) = (channels.count(), pixels.len());
            return Err(Error::PixelCount { width, height, channels, expected, found });
        }
        if let Some(index) = labels.iter().position(|&label| label >= self.classes.len()) {
            let (label, classes) = (labels[index], self.classes.len());
            return Err(Error::LabelBeyond { name: name.into(), index, label, classes });
        }
        self.parts.push(Portion { part, name: name.into(), start: self.labels.len() });
        self.pixels.extend_from_slice(pixels);
        self.labels.extend_from_slice(labels);
        Ok(())
    }

    /// Reads a folder with MNIST's files, or those of a data set in its form: `train-…` and `t10k-…`, or one of both. The
    /// classes are called by their numbers, or as the lines of a file `classes.txt` say.
    ///
    /// # Errors
    /// As [`Digits::read`]; labels that the names don't reach.
    pub fn idx(folder: &Path) -> Result<InMemory> {
        let mut read = Vec::new();
        for part in [Part::Train, Part::Validation, Part::Test] {
            match digits::find(folder, part, "images", 3) {
                Ok(images) => {
                    let labels = digits::find(folder, part, "labels", 1)?;
                    let (images_name, labels_name) = (shown(&images), shown(&labels));
                    let images = idx::read_images(&digits::read(&images)?, &images_name)?;
                    let labels = idx::read_labels(&digits::read(&labels)?, &labels_name)?;
                    if images.count != labels.len() {
                        let (images, labels) = (images.count, labels.len());
                        return Err(Error::CountsDiffer { images_name, labels_name, images, labels });
                    }
                    read.push((part, images, labels, labels_name));
                }
                Err(Error::NoIdxFile { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Some((_, first, ..)) = read.first() else {
            return Err(Error::NoIdxFile { folder: folder.into(), wanted: "train-images-idx3-ubyte".into() });
        };
        let (height, width) = (first.height, first.width);
        let most = read.iter().flat_map(|(_, _, labels, _)| labels).max().copied().unwrap_or(0);
        let classes = named_or_numbered(folder, usize::from(most) + 1)?;
        let mut data = InMemory::new(classes, (height, width), Channels::Grey)?;
        for (part, images, labels, name) in read {
            let labels: Vec<usize> = labels.into_iter().map(usize::from).collect();
            if let Some(index) = labels.iter().position(|&label| label >= data.classes.len()) {
                let (label, classes) = (labels[index], data.classes.len());
                return Err(Error::LabelBeyond { name, index, label, classes });
            }
            if (images.height, images.width) != (height, width) {
                return Err(Error::PartSize {
                    name: format!("{} of {}", part, shown(folder)),
                    found: (images.height, images.width),
                    wanted: (height, width),
                });
            }
            data.add(Some(part), &part.to_string(), &images.pixels, &labels)?;
        }
        Ok(data)
    }

    /// Height and width of the pictures.
    pub fn picture_size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Grey or RGB.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// The values of one picture.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Dataset::len).
    pub fn pixels(&self, index: usize) -> &[u8] {
        &self.pixels[index * self.size()..(index + 1) * self.size()]
    }

    /// Values of a picture.
    fn size(&self) -> usize {
        self.height * self.width * self.channels.count()
    }

    fn portion(&self, index: usize) -> Option<&Portion> {
        self.parts.iter().rev().find(|portion| portion.start <= index)
    }
}

/// The digits that are compiled in, in the parts `train` (8,000) and `test` (1,000).
///
/// # Errors
/// None in a build whose assets are whole.
pub fn bundled_digits() -> Result<InMemory> {
    let (train, test) = digits::bundled()?;
    let names = classes::DIGITS.map(String::from).to_vec();
    let mut data = InMemory::new(names, (test.height, test.width), Channels::Grey)?;
    for (part, Digits { images, labels, .. }) in [(Part::Train, train), (Part::Test, test)] {
        let labels: Vec<usize> = labels.into_iter().map(usize::from).collect();
        data.add(Some(part), &part.to_string(), &images, &labels)?;
    }
    Ok(data)
}

/// The names in a folder's `classes.txt`; without one, the numbers of `count` classes.
pub(crate) fn named_or_numbered(folder: &Path, count: usize) -> Result<Vec<String>> {
    let path = folder.join("classes.txt");
    match path.is_file() {
        true => {
            let bytes = fs::read(&path).map_err(|source| Error::Io { name: shown(&path), source })?;
            classes::parse(&bytes, &shown(&path))
        }
        false => Ok((0..count).map(|class| class.to_string()).collect()),
    }
}

impl Dataset for InMemory {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        self.labels[index]
    }

    fn name(&self, index: usize) -> String {
        match self.portion(index) {
            Some(portion) => format!("{}/{}", portion.name, index - portion.start),
            None => index.to_string(),
        }
    }

    fn part(&self, index: usize) -> Option<Part> {
        self.portion(index).and_then(|portion| portion.part)
    }

    fn stored(&self, index: usize) -> Result<Stored> {
        let pixels = self.pixels(index).to_vec();
        Ok(Stored::Picture(Picture::new(self.width, self.height, self.channels, pixels)?))
    }

    fn fingerprint(&self) -> Result<Fingerprint> {
        let mut all = Fingerprinter::new(&self.classes);
        [self.height, self.width, self.channels.count()].into_iter().for_each(|size| all.number(size));
        (0..self.len()).for_each(|index| all.item(self, index));
        all.bytes(&self.pixels);
        Ok(all.finish())
    }
}
