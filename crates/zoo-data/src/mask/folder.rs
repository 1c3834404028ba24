//! Pictures and their masks in folders: PASCAL VOC's layout, and a plain one.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use std::fs;
use std::path::{Path, PathBuf};

use super::{IGNORED, MaskError};
use crate::dataset::Fingerprinter;
use crate::folder::{self, Found, LeftOut, Why, name_within};
use crate::memory::named_or_numbered;
use crate::{Dataset, Error, Finding, Fingerprint, Part, Picture, Result, Stored, classes, picture, shown};

/// Where PASCAL VOC has pictures, masks and the lists of its parts.
const VOC: [&str; 3] = ["JPEGImages", "SegmentationClass", "ImageSets/Segmentation"];
/// Where a plain folder has pictures and masks.
const PLAIN: [&str; 2] = ["images", "masks"];

/// Pictures with masks, in folders. Nothing is opened before it is wanted.
///
/// PASCAL VOC's layout has pictures in `JPEGImages/`, masks of the same names in `SegmentationClass/` and the parts in
/// `ImageSets/Segmentation/train.txt`, `val.txt` and `test.txt`, a name on each line; without these lists, every picture
/// that has a mask is taken. The plain layout has pictures in `images/` and masks in `masks/`, perhaps below a folder for
/// each part (`train/images/a.jpg`, `train/masks/a.png`).
///
/// The classes are called as the lines of a file `classes.txt` say. Without one they are VOC's twenty-one where the layout
/// is VOC's, and numbers otherwise, as many as the masks need.
#[derive(Debug, Clone)]
pub struct MaskFolder {
    root: PathBuf,
    classes: Vec<String>,
    is_named: bool,
    items: Vec<Pair>,
    findings: Vec<Finding>,
}

/// A picture and its mask.
#[derive(Debug, Clone)]
struct Pair {
    picture: PathBuf,
    mask: PathBuf,
    part: Option<Part>,
}

/// Pictures and masks as they lie in one folder.
struct Layout {
    pictures: PathBuf,
    masks: PathBuf,
    part: Option<Part>,
}

impl MaskFolder {
    /// Lists a folder of pictures with masks; none if its layout is neither of the two.
    ///
    /// # Errors
    /// A folder that can't be read, a picture without a mask, a list that names what isn't there.
    pub fn find(root: &Path) -> Result<Option<MaskFolder>> {
        let mut findings = Vec::new();
        let voc = [root.to_path_buf(), root.join("VOCdevkit/VOC2012"), root.join("VOC2012")];
        if let Some(voc) = voc.iter().find(|folder| VOC[..2].iter().all(|name| folder.join(name).is_dir())) {
            let items = voc_items(voc, &mut findings)?;
            let classes = match voc.join("classes.txt").is_file() {
                true => named_or_numbered(voc, 0)?,
                false => classes::voc().iter().map(ToString::to_string).collect(),
            };
            return Ok(Some(
                MaskFolder { root: voc.clone(), classes, is_named: true, items, findings }
                    .paired(VOC[0], VOC[1])?,
            ));
        }
        let has_layout = |folder: &Path| PLAIN.iter().all(|name| folder.join(name).is_dir());
        let mut folders = Vec::new();
        if has_layout(root) {
            folders.push((root.to_path_buf(), None));
        } else {
            let entries = fs::read_dir(root).map_err(|source| Error::Io { name: shown(root), source })?;
            let mut inner: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            inner.sort();
            for folder in inner.into_iter().filter(|folder| has_layout(folder)) {
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                match Part::named(&name) {
                    Some(part) => folders.push((folder, Some(part))),
                    None => findings.push(Finding::NoPart { folder: name.into_owned() }),
                }
            }
            folders.sort_by_key(|(_, part)| *part);
        }
        if folders.is_empty() {
            return Ok(None);
        }
        let mut items = Vec::new();
        for (folder, part) in &folders {
            let [pictures, masks] = PLAIN.map(|name| folder.join(name));
            let layout = Layout { pictures, masks, part: *part };
            items.extend(layout.all(&mut findings)?);
        }
        let is_named = root.join("classes.txt").is_file();
        let classes = if is_named { named_or_numbered(root, 0)? } else { numbered(&items)? };
        Ok(Some(
            MaskFolder { root: root.into(), classes, is_named, items, findings }
                .paired(PLAIN[0], PLAIN[1])?,
        ))
    }

    fn paired(self, pictures: &'static str, masks: &'static str) -> Result<MaskFolder> {
        if self.classes.len() > usize::from(IGNORED) {
            let file = shown(&self.root.join("classes.txt"));
            return Err(MaskError::Classes { file, classes: self.classes.len() }.into());
        }
        match self.items.is_empty() {
            true => Err(MaskError::NonePaired { folder: shown(&self.root), pictures, masks }.into()),
            false => Ok(self),
        }
    }
}

/// What PASCAL VOC's lists name, or all that has a mask.
fn voc_items(root: &Path, findings: &mut Vec<Finding>) -> Result<Vec<Pair>> {
    let [pictures, masks, lists] = VOC.map(|name| root.join(name));
    let layout = Layout { pictures, masks, part: None };
    let there = layout.pictures(findings)?;
    let mut items = Vec::new();
    let mut taken = BTreeSet::new();
    for (name, part) in [("train", Part::Train), ("val", Part::Validation), ("test", Part::Test)] {
        let list = lists.join(format!("{name}.txt"));
        if !list.is_file() {
            continue;
        }
        let text = fs::read_to_string(&list).map_err(|source| Error::Io { name: shown(&list), source })?;
        for (number, line) in text.lines().enumerate() {
            // Some lists have a second column, which other tasks need.
            let Some(stem) = line.split_whitespace().next() else { continue };
            let Some(picture) = there.get(stem) else {
                let wanted = format!("{stem} in {}", shown(&layout.pictures));
                return Err(MaskError::Unlisted { list: shown(&list), line: number + 1, wanted }.into());
            };
            // VOC's own test masks were never published: pictures without any are answered, not tested on.
            let mask = match layout.mask(stem) {
                Ok(mask) => mask,
                Err(_) if part == Part::Test => continue,
                Err(error) => return Err(error),
            };
            if taken.insert(stem.to_string()) {
                items.push(Pair { picture: picture.clone(), mask, part: Some(part) });
            }
        }
    }
    if items.is_empty() {
        let pairs = there.iter().filter_map(|(stem, picture)| {
            let mask = layout.mask(stem).ok()?;
            Some(Pair { picture: picture.clone(), mask, part: None })
        });
        items.extend(pairs);
    }
    Ok(items)
}

impl Layout {
    /// The pictures by the names that their masks have.
    fn pictures(&self, findings: &mut Vec<Finding>) -> Result<BTreeMap<String, PathBuf>> {
        let mut all = BTreeMap::new();
        for found in folder::pictures(&self.pictures)? {
            match found {
                Found::Picture(path) => {
                    let stem = path.with_extension("");
                    match all.entry(name_within(&self.pictures, &stem)) {
                        Entry::Vacant(place) => {
                            place.insert(path);
                        }
                        Entry::Occupied(first) => {
                            let why = Why::Twin(first.get().clone());
                            findings.push(Finding::LeftOut(LeftOut { path, why }));
                        }
                    }
                }
                Found::LeftOut(left_out) => findings.push(Finding::LeftOut(left_out)),
            }
        }
        Ok(all)
    }

    fn mask(&self, stem: &str) -> Result<PathBuf> {
        let path = self.masks.join(format!("{stem}.png"));
        let missing = || MaskError::Missing {
            picture: format!("{}/{stem}", shown(&self.pictures)),
            wanted: shown(&path),
        };
        if path.is_file() { Ok(path) } else { Err(missing().into()) }
    }

    /// Every picture with its mask.
    fn all(&self, findings: &mut Vec<Finding>) -> Result<Vec<Pair>> {
        let pair = |(stem, picture): (String, PathBuf)| {
            let mask = self.mask(&stem).map_err(|error| match error {
                Error::Mask(MaskError::Missing { wanted, .. }) => {
                    Error::from(MaskError::Missing { picture: shown(&picture), wanted })
                }
                other => other,
            })?;
            Ok(Pair { picture, mask, part: self.part })
        };
        self.pictures(findings)?.into_iter().map(pair).collect()
    }
}

/// As many classes as the masks need, called by their numbers.
fn numbered(items: &[Pair]) -> Result<Vec<String>> {
    let mut most = 1;
    for item in items {
        let mask = super::open(&item.mask)?;
        let labels = mask.pixels().iter().filter(|&&label| label != IGNORED);
        most = most.max(labels.max().copied().unwrap_or(0));
    }
    Ok((0..=most).map(|class| class.to_string()).collect())
}

impl Dataset for MaskFolder {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn has_named_classes(&self) -> bool {
        self.is_named
    }

    fn label(&self, _: usize) -> usize {
        0
    }

    fn name(&self, index: usize) -> String {
        name_within(&self.root, &self.items[index].picture)
    }

    fn part(&self, index: usize) -> Option<Part> {
        self.items[index].part
    }

    fn stored(&self, index: usize) -> Result<Stored> {
        Ok(Stored::File(picture::read(&self.items[index].picture)?))
    }

    fn has_masks(&self) -> bool {
        true
    }

    fn mask(&self, index: usize) -> Result<Option<Picture>> {
        super::open(&self.items[index].mask).map(Some)
    }

    fn mask_name(&self, index: usize) -> String {
        shown(&self.items[index].mask)
    }

    fn fingerprint(&self) -> Result<Fingerprint> {
        let mut all = Fingerprinter::new(&self.classes);
        let pictures = folder::of_files(self, |index| &self.items[index].picture)?;
        let masks = folder::of_files(self, |index| &self.items[index].mask)?;
        [pictures, masks].iter().for_each(|of| all.bytes(of.0.as_bytes()));
        Ok(all.finish())
    }

    fn findings(&self) -> &[Finding] {
        &self.findings
    }
}
