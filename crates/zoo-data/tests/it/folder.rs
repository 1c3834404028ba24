//! Folders of classes, and whatever else lies in them.

use std::fs;
use std::path::Path;

use zoo_data::folder::pictures;
use zoo_data::{Dataset, Error, Finding, Found, ImageFolder, Part, match_classes, open, open_any};

pub(crate) fn touch(folder: &Path, names: &[&str]) {
    for name in names {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
}

fn listed(data: &dyn Dataset) -> Vec<(usize, String)> {
    (0..data.len()).map(|index| (data.label(index), data.name(index))).collect()
}

#[test]
fn classes_and_items_are_sorted_and_only_pictures_count() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "b/2.JPG",
        "b/1.png",
        "b/deeper/0.webp",
        "b/notes.txt",
        "a/x.tiff",
        "empty/readme.md",
        ".git/y.png",
        "z.png",
    ];
    touch(folder.path(), &names);
    let data = ImageFolder::read(folder.path()).unwrap();
    assert_eq!(data.classes(), ["a", "b"]);
    let expected = [(0, "a/x.tiff"), (1, "b/1.png"), (1, "b/2.JPG"), (1, "b/deeper/0.webp")];
    assert_eq!(listed(&data), expected.map(|(class, name)| (class, name.to_string())));
    assert_eq!(data.findings(), [Finding::EmptyClass { class: "empty".into() }]);
    assert_eq!(data.findings()[0].to_string(), "the folder empty holds no picture, and is no class");
    assert_eq!(pictures(folder.path()).unwrap().len(), 5);
}

#[test]
fn parts_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    touch(
        folder.path(),
        &["Train/a/1.png", "Train/b/1.png", "valid/a/2.png", "test/b/3.png", "notes/n/4.png"],
    );
    let data = ImageFolder::read(folder.path()).unwrap();
    let parts: Vec<_> = (0..data.len()).map(|index| (data.name(index), data.part(index).unwrap())).collect();
    let expected = [
        ("Train/a/1.png", Part::Train),
        ("Train/b/1.png", Part::Train),
        ("valid/a/2.png", Part::Validation),
        ("test/b/3.png", Part::Test),
    ];
    assert_eq!(parts, expected.map(|(name, part)| (name.to_string(), part)));
    assert_eq!(data.findings(), [Finding::NoPart { folder: "notes".into() }]);

    // A class may be called as a part is.
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["test/1.png", "train/1.png", "plane/1.png"]);
    let data = ImageFolder::read(folder.path()).unwrap();
    assert_eq!((data.classes(), data.part(0)), (&["plane", "test", "train"].map(String::from)[..], None));
    // And one part alone is one.
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["val/a/1.png", "val/b/1.png"]);
    assert_eq!(ImageFolder::read(folder.path()).unwrap().part(1), Some(Part::Validation));
}

#[test]
fn classes_are_in_the_order_of_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["10/a.png", "9/a.png", "0/a.png"]);
    assert_eq!(ImageFolder::read(folder.path()).unwrap().classes(), ["0", "9", "10"]);
}

#[test]
fn imagenets_folders_get_its_names() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["n02123045/1.JPEG", "n01440764/1.JPEG"]);
    let data = ImageFolder::read(folder.path()).unwrap();
    assert_eq!(data.classes(), ["tench", "tabby"]);
    let network: Vec<String> = zoo_data::classes::imagenet().iter().map(ToString::to_string).collect();
    assert_eq!(match_classes(data.classes(), &network).unwrap(), [0, 281]);
    assert_eq!(match_classes(&["n02123045".into(), "Goldfish".into()], &network).unwrap(), [281, 1]);
    let error = match_classes(&["sock puppet".into()], &network).unwrap_err().to_string();
    assert!(error.starts_with("class sock puppet is none of the network's 1000"), "{error}");
}

#[test]
fn what_is_no_data_set_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let read = |names: &[&str]| {
        let inner = tempfile::tempdir_in(folder.path()).unwrap();
        touch(inner.path(), names);
        open(inner.path()).unwrap_err()
    };
    assert!(matches!(read(&["a/1.png", "b/readme.md"]), Error::TooFewClasses { found: 1, .. }));
    // One class is enough to judge by.
    let one = tempfile::tempdir_in(folder.path()).unwrap();
    touch(one.path(), &["a/1.png", "a/2.png"]);
    assert_eq!((open_any(one.path()).unwrap().len(), open_any(one.path()).unwrap().classes().len()), (2, 1));
    let none = tempfile::tempdir_in(folder.path()).unwrap();
    assert!(matches!(open_any(none.path()), Err(Error::NoDataset { .. })));
    assert!(matches!(read(&["1.png", "2.png"]), Error::NoDataset { .. }));
    assert!(matches!(read(&[]), Error::NoDataset { .. }));
    let twins = read(&["Cat/1.png", "cat/2.png", "dog/3.png"]);
    assert!(twins.to_string().contains("the classes Cat and cat have one name but for case"), "{twins}");
    let missing = open(&folder.path().join("nowhere")).unwrap_err().to_string();
    assert!(missing.contains("nowhere: ") && missing.contains("check the path"), "{missing}");
    let file = folder.path().join("data.parquet");
    fs::write(&file, "x").unwrap();
    assert!(matches!(open(&file), Err(Error::NoDataset { .. })));
}

#[test]
fn a_fingerprint_knows_data_from_other_data_and_a_copy_from_none() {
    let print = |names: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), names);
        ImageFolder::read(folder.path()).unwrap().fingerprint().unwrap()
    };
    let first = print(&["a/1.png", "b/1.png"]);
    assert_eq!(first.0.len(), 64);
    assert_eq!(first, print(&["b/1.png", "a/1.png"]));
    assert_ne!(first, print(&["a/1.png", "b/2.png"]));
    assert_ne!(first, print(&["a/1.png", "c/1.png"]));
    assert_ne!(first, print(&["a/1.png", "b/1.png", "b/2.png"]));

    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["a/1.png", "b/1.png"]);
    fs::write(folder.path().join("b/1.png"), "b/1.PNG").unwrap();
    assert_ne!(first, ImageFolder::read(folder.path()).unwrap().fingerprint().unwrap(), "of the same length");
}

#[test]
#[cfg(unix)]
fn what_can_not_be_taken_is_named_and_the_rest_is_found() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["cats/1.png", "cats/2.png", "ants/1.png"]);
    let before = ImageFolder::read(folder.path()).unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink("nowhere", at("cats/gone.png")).unwrap();
    symlink("nowhere", at("cats/gone.txt")).unwrap();
    symlink(at("ants/round"), at("ants/round")).unwrap();
    // A device that answers at once: whoever opened it all the same would not hang, and would be found out.
    symlink("/dev/null", at("ants/device.png")).unwrap();
    // A folder that leads back to itself.
    symlink(at("cats"), at("cats/again")).unwrap();
    let again = ImageFolder::read(folder.path()).unwrap();
    assert_eq!(again.items(), before.items());
    let findings: Vec<String> = again
        .findings()
        .iter()
        .map(|finding| finding.to_string().replace(folder.path().to_str().unwrap(), ""))
        .collect();
    let [device, gone] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(device, "/ants/device.png: is no regular file, and is left out");
    assert!(gone.starts_with("/cats/gone.png: No such file"), "{gone}");
    let found = pictures(folder.path()).unwrap();
    let left_out: Vec<&Found> = found.iter().filter(|found| matches!(found, Found::LeftOut(_))).collect();
    assert_eq!((found.len(), left_out.len()), (5, 2));
    assert!(pictures(&at("cats/gone.png")).is_err());
}
