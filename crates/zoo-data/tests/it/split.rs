//! Splits: in proportion, with groups kept together, the same again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zoo_data::{
    Channels, Dataset, Error, Finding, Fingerprint, InMemory, Listing, Part, Result, Shares, Split, Stored,
    class_weights, counts,
};

/// Pictures by name: `class/file`, and the part and group that the data says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    classes: Vec<String>,
    items: Vec<(usize, String, Option<Part>)>,
}

impl Names {
    fn with(mut self, class: &str, part: Option<Part>, files: impl IntoIterator<Item = String>) -> Names {
        if !self.classes.iter().any(|known| known == class) {
            self.classes.push(class.into());
        }
        let label = self.classes.iter().position(|known| known == class).unwrap();
        self.items.extend(files.into_iter().map(|file| (label, format!("{class}/{file}"), part)));
        self
    }
}

impl Dataset for Names {
    fn len(&self) -> usize {
        self.items.len()
    }
    fn classes(&self) -> &[String] {
        &self.classes
    }
    fn label(&self, index: usize) -> usize {
        self.items[index].0
    }
    fn name(&self, index: usize) -> String {
        self.items[index].1.clone()
    }
    fn part(&self, index: usize) -> Option<Part> {
        self.items[index].2
    }
    fn stored(&self, _: usize) -> Result<Stored> {
        Err(Error::NoPictures)
    }
    fn fingerprint(&self) -> Result<Fingerprint> {
        Ok(Fingerprint(format!("{:?}", self.items)))
    }
}

fn pairs(count: usize) -> impl Iterator<Item = String> {
    (0..count).flat_map(|i| ["a", "b"].map(|style| format!("{style}-{i:x}.png")))
}

fn drawings() -> Names {
    Names::default().with("ants", None, pairs(40)).with("cats", None, pairs(100))
}

fn shares(validation: f64, test: f64, seed: u64, pattern: Option<&str>) -> Shares {
    Shares { validation, test, seed, group_by: pattern.map(|pattern| pattern.parse().unwrap()) }
}

fn of_class(data: &dyn Dataset, part: &[usize], class: usize) -> usize {
    part.iter().filter(|&&index| data.label(index) == class).count()
}

#[test]
fn classes_keep_their_proportions_and_every_picture_has_a_part() {
    let data = drawings();
    let (split, findings) = Split::draw(&data, &shares(0.1, 0.2, 7, None)).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    for (class, count) in [(0, 80), (1, 200)] {
        let [train, validation, test] = Part::ALL.map(|part| of_class(&data, split.part(part), class));
        assert_eq!((train, validation, test), (count * 7 / 10, count / 10, count / 5));
    }
    let all: BTreeSet<usize> = Part::ALL.iter().flat_map(|part| split.part(*part)).copied().collect();
    assert_eq!(all.len(), data.len());
    assert!(Part::ALL.iter().all(|part| split.part(*part).is_sorted()));
}

#[test]
fn groups_stay_together_whatever_their_classes() {
    // The same thing may show two classes: an ant and a cat with one number are one group here.
    let data = drawings();
    let (split, _) = Split::draw(&data, &shares(0.1, 0.2, 7, Some("*-(*).png"))).unwrap();
    let mut sides: BTreeMap<String, BTreeSet<Part>> = BTreeMap::new();
    for part in Part::ALL {
        for &index in split.part(part) {
            let name = data.name(index);
            let group = name.split_once('-').unwrap().1.trim_end_matches(".png").to_string();
            sides.entry(group).or_default().insert(part);
        }
    }
    assert_eq!(sides.len(), 100);
    assert!(sides.values().all(|parts| parts.len() == 1), "{sides:?}");
    for (class, count) in [(0, 80.0), (1, 200.0)] {
        let share = of_class(&data, &split.test, class) as f64 / count;
        assert!((0.15..0.25).contains(&share), "class {class}: {share}");
    }
}

#[test]
fn the_seed_decides_and_more_pictures_move_few() {
    let data = drawings();
    let draw = |data: &Names, seed| Split::draw(data, &shares(0.1, 0.2, seed, Some("*-(*).png"))).unwrap().0;
    assert_eq!(draw(&data, 7), draw(&data, 7));
    assert_ne!(draw(&data, 7), draw(&data, 8));

    let names = |data: &Names, part: &[usize]| -> BTreeSet<String> {
        part.iter().map(|&index| data.name(index)).collect()
    };
    let more = data.clone().with("cats", None, (200..210).map(|i| format!("a-{i}.png")));
    let (before, after) = (names(&data, &draw(&data, 7).test), names(&more, &draw(&more, 7).test));
    let stayed = before.intersection(&after).count();
    assert!(stayed * 10 >= before.len() * 8, "{stayed} of {}", before.len());
}

#[test]
fn a_class_is_never_taken_whole_and_has_one_everywhere_if_it_can() {
    let files = |count: usize| (0..count).map(|i| format!("{i}.png"));
    let data = Names::default()
        .with("one", None, files(1))
        .with("two", None, files(2))
        .with("three", None, files(3))
        .with("many", None, files(8));
    let (split, findings) = Split::draw(&data, &shares(0.1, 0.1, 3, None)).unwrap();
    for class in 0..4 {
        assert!(of_class(&data, &split.train, class) > 0, "class {class} can be learned");
    }
    for class in [2, 3] {
        let others = (of_class(&data, &split.validation, class), of_class(&data, &split.test, class));
        assert_eq!(others, (1, 1), "class {class}");
    }
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(said[0].starts_with("class one has one picture, one/0.png"), "{said:?}");
    assert!(said.iter().any(|line| line.contains("validation part has no picture of class two")), "{said:?}");
    assert!(!said.iter().any(|line| line.contains("class three") || line.contains("class many")), "{said:?}");
    // Nearly everything may be asked for; something is left.
    let (split, _) = Split::draw(&data, &shares(0.0, 0.99, 3, None)).unwrap();
    assert!((0..4).all(|class| of_class(&data, &split.train, class) == 1));
}

#[test]
fn parts_that_the_data_names_stay() {
    let files = |count: usize| (0..count).map(|i| format!("{i}.png"));
    let data = Names::default()
        .with("a", Some(Part::Train), files(20))
        .with("b", Some(Part::Train), files(20))
        .with("a", Some(Part::Test), (0..5).map(|i| format!("t{i}.png")))
        .with("b", Some(Part::Test), (0..5).map(|i| format!("t{i}.png")));
    let (split, findings) = Split::draw(&data, &shares(0.1, 0.5, 1, None)).unwrap();
    assert_eq!((split.train.len(), split.validation.len()), (36, 4));
    assert_eq!(split.test, (40..50).collect::<Vec<_>>(), "no share is drawn of what is there");
    assert!(findings.is_empty(), "{findings:?}");

    // What belongs together by its name lies in two parts already.
    let (_, findings) = Split::draw(&data, &shares(0.0, 0.0, 1, Some("(?)*"))).unwrap();
    assert!(!findings.iter().any(|finding| matches!(finding, Finding::Leak { .. })), "{findings:?}");
    let (_, findings) = Split::draw(&data, &shares(0.0, 0.0, 1, Some("(*)/*"))).unwrap();
    let leak = findings.iter().find(|finding| matches!(finding, Finding::Leak { .. })).unwrap().to_string();
    assert_eq!(leak, "2 groups lie in two parts, a for one in train and test: what is tested on was seen");

    let untaught = data.with("c", Some(Part::Test), files(2));
    let error = Split::draw(&untaught, &shares(0.1, 0.1, 1, None)).unwrap_err().to_string();
    assert!(error.contains("class c has pictures in the test part and none in the train part"), "{error}");
}

#[test]
fn what_is_odd_is_said() {
    let files = |count: usize| (0..count).map(|i| format!("x-{i}.png"));
    let data = Names::default().with("a", None, files(50)).with("b", None, files(4));
    let (_, findings) = Split::draw(&data, &shares(0.2, 0.0, 1, None)).unwrap();
    let [said] = &findings[..] else { panic!("{findings:?}") };
    assert!(
        said.to_string().starts_with("class a has 50 pictures and class b 4: weigh the classes"),
        "{said}"
    );
    assert_eq!(class_weights(&counts(&data)), [0.54, 6.75]);
    assert_eq!(class_weights(&[10, 0, 10]), [1.0, 0.0, 1.0]);

    let odd = data.with("b", None, ["readme.png".to_string()]);
    let (_, findings) = Split::draw(&odd, &shares(0.2, 0.0, 1, Some("*-(*)"))).unwrap();
    assert_eq!(
        findings[0].to_string(),
        "1 names don't match `*-(*)`, b/readme.png for one: each of them is a group of its own"
    );
    let error = Split::draw(&odd, &shares(0.2, 0.0, 1, Some("*=(*)"))).unwrap_err().to_string();
    assert_eq!(error, "the pattern `*=(*)` matches none of the 55 names; the first is a/x-0.png");
    for (validation, test) in [(0.5, 0.5), (-0.1, 0.2), (f64::NAN, 0.1), (0.0, 1.0)] {
        let error = Split::draw(&odd, &shares(validation, test, 1, None)).unwrap_err().to_string();
        assert!(error.contains("sum is below 1"), "{error}");
    }
}

#[test]
fn a_listing_repeats_a_split_and_knows_other_data() {
    let data = drawings();
    let how = shares(0.1, 0.2, 7, Some("*-(*).png"));
    let (split, _) = Split::draw(&data, &how).unwrap();
    let listing = split.listing(&data, &how).unwrap();
    let json = serde_json::to_string(&listing).unwrap();
    let again: Listing = serde_json::from_str(&json).unwrap();
    assert_eq!(again, listing);
    assert_eq!(again.resolve(&data).unwrap(), (split.clone(), vec![]));

    let more = data.clone().with("cats", None, ["new.png".to_string()]);
    let (same, findings) = listing.resolve(&more).unwrap();
    assert_eq!(same, split);
    assert_eq!(
        findings[0].to_string(),
        "1 pictures are not in the split, cats/new.png for one: they go to no part"
    );

    let other = Names::default().with("ants", None, pairs(40));
    let error = listing.resolve(&other).unwrap_err().to_string();
    assert!(error.contains("the split names the picture cats/"), "{error}");
    let twice = Listing { test: listing.train.clone(), ..listing };
    assert!(matches!(twice.resolve(&data), Err(Error::SplitTwice { .. })));

    let subset = split.subset(Arc::new(data.clone()), Part::Test).unwrap();
    assert_eq!((subset.len(), subset.name(0)), (split.test.len(), data.name(split.test[0])));
    assert_ne!(subset.fingerprint().unwrap(), data.fingerprint().unwrap());
    assert!(matches!(split.subset(Arc::new(other), Part::Test), Err(Error::NoSuchPicture { .. })));
}

#[test]
fn pictures_in_memory_are_checked() {
    let new = |classes: &[&str]| {
        InMemory::new(classes.iter().map(ToString::to_string).collect(), (2, 1), Channels::Grey)
    };
    assert!(matches!(new(&["a"]), Err(Error::TooFewClasses { found: 1, .. })));
    assert!(matches!(new(&["a", "A"]), Err(Error::CaseTwins { .. })));
    let mut data = new(&["a", "b"]).unwrap();
    data.add(Some(Part::Train), "train", &[1, 2, 3, 4], &[0, 1]).unwrap();
    assert!(matches!(data.add(None, "more", &[1, 2, 3], &[0]), Err(Error::PixelCount { .. })));
    let error = data.add(None, "more", &[1, 2], &[2]).unwrap_err().to_string();
    assert_eq!(
        error,
        "more: label 0 is 2, but there are 2 classes, counted from 0; check the labels, or the names of the classes"
    );
    data.add(None, "more", &[5, 6], &[0]).unwrap();
    assert_eq!(
        (data.name(1), data.name(2), data.part(1), data.part(2)),
        ("train/1".into(), "more/0".into(), Some(Part::Train), None)
    );
    assert_eq!(data.picture(2).unwrap().pixels(), [5, 6]);
}
