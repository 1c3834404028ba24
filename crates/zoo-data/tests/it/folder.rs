//! Folders of classes and their splits.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use zoo_data::folder::pictures;
use zoo_data::{Found, ImageFolder};

fn touch(folder: &Path, names: &[String]) {
    for name in names {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, []).unwrap();
    }
}

fn drawing(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().split_once('-').unwrap().1.into()
}

fn drawings() -> (tempfile::TempDir, ImageFolder) {
    let folder = tempfile::tempdir().unwrap();
    let names = |class: &str, count: usize| -> Vec<String> {
        (0..count).flat_map(|i| ["a", "b"].map(|style| format!("{class}/{style}-{i}.png"))).collect()
    };
    touch(folder.path(), &names("cats", 100));
    touch(folder.path(), &names("ants", 40));
    let data = ImageFolder::read(folder.path()).unwrap();
    (folder, data)
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
    touch(folder.path(), &names.map(String::from));
    let data = ImageFolder::read(folder.path()).unwrap();
    assert_eq!(data.classes, ["a", "b"]);
    let found: Vec<(usize, PathBuf)> =
        data.items.iter().map(|i| (i.class, i.path.strip_prefix(&folder).unwrap().into())).collect();
    let expected = [(0, "a/x.tiff"), (1, "b/1.png"), (1, "b/2.JPG"), (1, "b/deeper/0.webp")];
    assert_eq!(found, expected.map(|(class, path)| (class, path.into())));
    assert_eq!(pictures(folder.path()).unwrap().len(), 5);
}

#[test]
fn a_split_keeps_groups_together_and_classes_in_proportion() {
    let (_folder, data) = drawings();
    let (train, test) = data.split(0.2, 7, drawing);
    assert_eq!((train.items.len(), test.items.len()), (224, 56));
    let of_class = |part: &ImageFolder, class| part.items.iter().filter(|item| item.class == class).count();
    assert_eq!((of_class(&test, 0), of_class(&test, 1)), (16, 40));
    let groups = |part: &ImageFolder| -> HashSet<(usize, String)> {
        part.items.iter().map(|item| (item.class, drawing(&item.path))).collect()
    };
    assert!(groups(&train).is_disjoint(&groups(&test)));
    assert_eq!(data.split(0.2, 7, drawing), (train, test.clone()));
    assert_ne!(data.split(0.2, 8, drawing).1, test);
    let (all, none) = data.split(0.0, 7, drawing);
    assert_eq!((all, none.items.len()), (data.clone(), 0));
    assert_eq!(data.split(1.0, 7, drawing).0.items.len(), 4, "a group of each class is left to learn from");
}

#[test]
fn what_is_no_data_set_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["only/1.png".to_string()]);
    let message = ImageFolder::read(folder.path()).unwrap_err().to_string();
    assert!(message.contains("1 classes") && message.contains("sub-folder"), "{message}");
    assert!(ImageFolder::read(&folder.path().join("missing")).is_err());
}

#[test]
#[cfg(unix)]
fn what_can_not_be_taken_is_named_and_the_rest_is_found() {
    use std::os::unix::fs::symlink;

    let (folder, data) = drawings();
    let at = |name: &str| folder.path().join(name);
    symlink("nowhere", at("cats/gone.png")).unwrap();
    symlink("nowhere", at("cats/gone.txt")).unwrap();
    symlink(at("ants/round"), at("ants/round")).unwrap();
    // A device that answers at once: whoever opened it all the same would not hang, and would be found out.
    symlink("/dev/null", at("ants/device.png")).unwrap();
    let again = ImageFolder::read(folder.path()).unwrap();
    assert_eq!(again.items, data.items);
    let left_out: Vec<String> = again
        .left_out
        .iter()
        .map(|left_out| left_out.to_string().replace(folder.path().to_str().unwrap(), ""))
        .collect();
    let [device, gone] = &left_out[..] else { panic!("{left_out:?}") };
    assert_eq!(device, "/ants/device.png: is no regular file, and is left out");
    assert!(gone.starts_with("/cats/gone.png: No such file"), "{gone}");
    let found = pictures(folder.path()).unwrap();
    let left_out: Vec<&Found> = found.iter().filter(|found| matches!(found, Found::LeftOut(_))).collect();
    assert_eq!((found.len(), left_out.len()), (282, 2));
    assert!(pictures(&at("cats/gone.png")).is_err());
}

#[test]
#[cfg(unix)]
fn a_loop_of_links_ends() {
    let (folder, _) = drawings();
    std::os::unix::fs::symlink(folder.path().join("cats"), folder.path().join("cats/again")).unwrap();
    assert!(ImageFolder::read(folder.path()).unwrap().items.len() == 280);
}
