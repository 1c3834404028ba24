//! Tables of paths and labels, and the files of MNIST and CIFAR as data sets.

use std::fs;
use std::path::Path;

use zoo_data::{Dataset, Error, InMemory, Part, Table, bundled_digits, cifar, open};

use crate::folder::touch;

fn table(name: &str, text: &str) -> (tempfile::TempDir, zoo_data::Result<Table>) {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), &["p/1.png", "p/2.png", "p/3, big.png", "p/é.png"]);
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let table = Table::read(&path);
    (folder, table)
}

#[test]
fn columns_are_found_in_any_order_and_with_any_separator() {
    for (name, text) in [
        (
            "a.csv",
            "path,label,split,group\np/1.png,cat,train,x\n\"p/3, big.png\",dog,val,y\n./p/2.png,cat,test,\n",
        ),
        (
            "b.tsv",
            "group\tLabel\textra\tFILE\tSplit\nx\tcat\t\tp/1.png\ttrain\ny\tdog\t\tp/3, big.png\tval\n\tcat\t\tp/2.png\ttest",
        ),
        (
            "c.csv",
            "\u{feff}image; class; set; group\r\np/1.png; cat; train; x\r\np/3, big.png; dog; validation; y\r\np/q/../2.png; cat; test;\r\n",
        ),
    ] {
        let (_folder, table) = table(name, text);
        let table = table.unwrap();
        assert_eq!(table.classes(), ["cat", "dog"], "{name}");
        let rows: Vec<_> = (0..3)
            .map(|at| (table.name(at), table.label(at), table.part(at).unwrap(), table.group(at)))
            .collect();
        let expected = [
            ("p/1.png", 0, Part::Train, Some("x")),
            ("p/3, big.png", 1, Part::Validation, Some("y")),
            ("p/2.png", 0, Part::Test, None),
        ];
        let expected =
            expected.map(|(name, label, part, group)| (name.into(), label, part, group.map(String::from)));
        assert_eq!(rows, expected, "{name}");
        assert!(table.picture(0).unwrap_err().to_string().starts_with("p/1.png: is no picture"));
    }
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    for (text, expected) in [
        (
            "path,kind\np/1.png,a\n",
            "has no column of labels among `path`, `kind`; call it one of `label`, `class`",
        ),
        ("name,label\np/1.png,a\n", "has no column of paths among `name`, `label`; call it one of `path`"),
        ("", "has no column of paths among nothing; call it"),
        ("path,label\n../x.png,a\n", "line 2: the path `../x.png` leads out of the table's folder"),
        ("path,label\np/1.png,a\n/etc/x.png,a\n", "line 3: the path `/etc/x.png` leads out"),
        ("path,label\np/1.png,\n", "line 2: has no label"),
        ("path,label\n,a\n", "line 2: has no path"),
        ("path,label,split\np/1.png,a,rest\n", "line 2: `rest` is no part; write train, val or test"),
        ("path,label\np/1.png,a\np/2.png,b\np/./1.png,b\n", "line 4: p/1.png stands in line 2 already"),
        ("path,label\np/1.png,a,b\n", "can't be read as a table"),
        ("path,label\np/1.png,Cat\np/2.png,cat\n", "the classes Cat and cat have one name but for case"),
    ] {
        let (_folder, table) = table("t.csv", text);
        let error = table.unwrap_err().to_string();
        assert!(error.contains("t.csv") && error.contains(expected), "{text:?}: {error}");
    }
    assert!(matches!(Table::read(Path::new("nowhere.csv")), Err(Error::Io { .. })));
    // A table of one class is one to be judged by, and none to learn from.
    let (folder, one) = table("t.csv", "path,label\np/1.png,a\np/2.png,a\n");
    assert_eq!(one.unwrap().classes(), ["a"]);
    let error = zoo_data::open(&folder.path().join("t.csv")).unwrap_err().to_string();
    assert!(error.contains("t.csv") && error.contains("pictures of 1 class, but"), "{error}");
}

#[test]
fn what_a_table_lists_and_is_not_there_is_left_out_by_name() {
    let (_folder, table) = table("t.csv", "path,label\np/1.png,a\np/gone.png,b\np/2.png,c\np,c\n");
    let table = table.unwrap();
    assert_eq!((table.len(), table.classes()), (2, &["a", "c"].map(String::from)[..]));
    let said: Vec<String> = table.findings().iter().map(ToString::to_string).collect();
    assert!(said.len() == 2 && said[0].contains("p/gone.png: No such file"), "{said:?}");
}

#[test]
fn numbers_are_classes_in_their_order() {
    let (_folder, table) = table("t.csv", "path,label\np/1.png,10\np/2.png,9\n");
    assert_eq!(table.unwrap().classes(), ["9", "10"]);
}

fn idx(images: u32, side: u32, labels: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let pixels = vec![3; (images * side * side) as usize];
    (
        [words(&[0x803, images, side, side]), pixels].concat(),
        [&words(&[0x801, labels.len() as u32])[..], labels].concat(),
    )
}

#[test]
fn idx_files_are_a_data_set_of_any_classes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |stem: &str, (images, labels): (Vec<u8>, Vec<u8>)| {
        fs::write(folder.path().join(format!("{stem}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.path().join(format!("{stem}-labels-idx1-ubyte")), labels).unwrap();
    };
    write("train", idx(3, 4, &[0, 25, 1]));
    let data = open(folder.path()).unwrap();
    assert_eq!((data.len(), data.classes().len(), data.part(0)), (3, 26, Some(Part::Train)));
    write("t10k", idx(2, 4, &[1, 0]));
    let data = InMemory::idx(folder.path()).unwrap();
    assert_eq!((data.len(), data.name(3), data.part(3)), (5, "test/0".into(), Some(Part::Test)));

    fs::write(folder.path().join("classes.txt"), "shirt\nshoe\n").unwrap();
    let error = InMemory::idx(folder.path()).unwrap_err().to_string();
    assert!(error.contains("train-labels-idx1-ubyte: label 1 is 25, but there are 2 classes"), "{error}");
    write("train", idx(3, 4, &[0, 1, 1]));
    assert_eq!(InMemory::idx(folder.path()).unwrap().classes(), ["shirt", "shoe"]);
    write("t10k", idx(2, 5, &[1, 0]));
    assert!(matches!(InMemory::idx(folder.path()), Err(Error::PartSize { .. })));
    write("t10k", idx(2, 4, &[1]));
    assert!(matches!(InMemory::idx(folder.path()), Err(Error::CountsDiffer { .. })));
}

#[test]
fn the_bundled_digits_are_a_data_set() {
    let data = bundled_digits().unwrap();
    assert_eq!((data.len(), data.part(7999), data.part(8000)), (9000, Some(Part::Train), Some(Part::Test)));
    assert_eq!((data.name(8000), data.label(8000)), ("test/0".into(), 7));
    let print = data.fingerprint().unwrap();
    assert_eq!(print, bundled_digits().unwrap().fingerprint().unwrap());
}

fn cifar_record(labels: &[u8], first: [u8; 3]) -> Vec<u8> {
    let planes = first.iter().flat_map(|&value| (0..1024).map(move |at| if at == 0 { value } else { 9 }));
    labels.iter().copied().chain(planes).collect()
}

#[test]
fn cifars_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&inner).unwrap();
    let two = [cifar_record(&[3], [10, 20, 30]), cifar_record(&[9], [1, 2, 3])].concat();
    fs::write(inner.join("data_batch_2.bin"), &two).unwrap();
    fs::write(inner.join("test_batch.bin"), cifar_record(&[0], [4, 5, 6])).unwrap();
    let data = open(folder.path()).unwrap();
    assert_eq!((data.len(), data.classes().len(), data.label(1)), (3, 10, 9));
    assert_eq!(
        (data.name(1), data.part(1), data.part(2)),
        ("data_batch_2/1".into(), Some(Part::Train), Some(Part::Test))
    );
    assert_eq!(data.picture(0).unwrap().pixels()[..6], [10, 20, 30, 9, 9, 9]);
    let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    fs::write(inner.join("batches.meta.txt"), names).unwrap();
    assert_eq!(open(&inner).unwrap().classes()[9], "truck");

    fs::write(inner.join("test_batch.bin"), cifar_record(&[10], [4, 5, 6])).unwrap();
    let error = open(&inner).unwrap_err().to_string();
    assert_eq!(
        error,
        "test_batch: label 0 is 10, but there are 10 classes, counted from 0; check the labels, or the names of the classes"
    );
    fs::write(inner.join("test_batch.bin"), &two[1..]).unwrap();
    let error = open(&inner).unwrap_err().to_string();
    assert!(error.contains("6145 bytes are no whole number of pictures, which have 3073"), "{error}");

    let hundred = tempfile::tempdir().unwrap();
    fs::write(hundred.path().join("train.bin"), cifar_record(&[19, 99], [1, 1, 1])).unwrap();
    let data = cifar::read(hundred.path()).unwrap().unwrap();
    assert_eq!((data.classes().len(), data.label(0)), (100, 99));
    assert!(cifar::read(tempfile::tempdir().unwrap().path()).unwrap().is_none());
}
