//! Segmentation as its users meet it: masks and overlays, training on pictures with masks, and what is wrong with them.

use std::fs;
use std::path::{Path, PathBuf};

use zoo_data::{Channels, Dataset, Part, Picture, Scenes, mask, scenes::Plan};

use crate::learning::{files, killed, report, text};
use crate::{failed, json, printed, refused, root, zoo};

/// Scenes in folders, in the plain layout.
fn scenes(folder: &Path) -> PathBuf {
    let data = folder.join("scenes");
    let plan = Plan { size: (32, 40), train: 12, validation: 4, test: 4, seed: 3 };
    let scenes = Scenes::new(plan).unwrap();
    for index in 0..scenes.len() {
        let part = match scenes.part(index) {
            Some(Part::Train) => "train",
            Some(Part::Validation) => "val",
            _ => "test",
        };
        let (picture, labels) = scenes.masked(index).unwrap().unwrap();
        for kind in ["images", "masks"] {
            fs::create_dir_all(data.join(part).join(kind)).unwrap();
        }
        let file =
            |kind: &str| fs::File::create(data.join(part).join(kind).join(format!("{index}.png"))).unwrap();
        picture.write_png(file("images")).unwrap();
        mask::write(&labels, file("masks")).unwrap();
    }
    fs::write(data.join("classes.txt"), scenes.classes().join("\n")).unwrap();
    data
}

#[test]
fn a_fresh_clone_segments_digits() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let picture = "assets/scenes/3.png";
    let said = json(&["segment", "digits", picture, "-o", text(&out), "--format", "json"]);
    let labels = mask::open(&out.join("3.mask.png")).unwrap();
    let truth = mask::open(&root().join("assets/scenes/masks/3.png")).unwrap();
    let right = labels.pixels().iter().zip(truth.pixels()).filter(|(ours, theirs)| ours == theirs).count();
    assert!(right * 100 > labels.pixels().len() * 95, "{right} of {} pixels", labels.pixels().len());
    let classes = said[0]["classes"].as_array().unwrap();
    let pixels: u64 = classes.iter().map(|class| class["pixels"].as_u64().unwrap()).sum();
    assert_eq!((said[0]["path"].as_str(), pixels), (Some(picture), 96 * 96));
    assert_eq!(classes[0]["label"], "background");
    let overlay = Picture::open(out.join("3.overlay.png")).unwrap();
    assert!(overlay.height() > 96 && overlay.channels() == Channels::Rgb);
    let table = printed(&["segment", "digits", picture, "-o", text(&out)]);
    assert!(table.contains("background") && table.contains("share"), "{table}");
}

#[test]
fn no_picture_that_is_read_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let scene = root().join("assets/scenes/3.png");
    let own = folder.path().join("3.mask.png");
    fs::copy(&scene, folder.path().join("3.png")).unwrap();
    fs::copy(&scene, &own).unwrap();
    let at = text(folder.path());
    refused(&["segment", "digits", at, "-o", at], 2, &["3.mask.png", "name another folder"]);
    assert_eq!(fs::read(&own).unwrap(), fs::read(&scene).unwrap());
    fs::remove_file(&own).unwrap();
    let only = folder.path().join("3.png");
    refused(&["explain", "lenet5", at, "-o", text(&only)], 2, &["3.png", "is read"]);
    assert_eq!(fs::read(&only).unwrap(), fs::read(&scene).unwrap());
    refused(&["segment", "digits", at, "-o", "-"], 2, &["/dev/stdout"]);
}

#[test]
fn what_is_evaluated_stays_within_its_memory_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = scenes(folder.path());
    let call = ["eval", "digits", "--data", text(&data), "--format", "json"];
    let (plain, held) = (json(&call), json(&[&call[..], &["--memory", "1MB"]].concat()));
    assert_eq!((&plain["confusion"], plain["pictures"].as_u64()), (&held["confusion"], Some(4)));
    refused(
        &[&call[..], &["--memory", "1kB"]].concat(),
        1,
        &["test/images/16.png", "1.0 kB are allowed", "with `--memory`"],
    );
    refused(
        &[&call[..], &["--memory", "1kB", "--strict"]].concat(),
        1,
        &["test/images/16.png", "with `--memory`"],
    );
    refused(&[&call[..], &["--batch", "4"]].concat(), 2, &["`--batch`", "one class"]);
    refused(&["eval", "lenet5", "--memory", "1GB"], 2, &["`--memory`", "every pixel"]);
}

#[test]
fn pictures_of_any_size_and_broken_ones_come_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, out) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir_all(pictures.join("deep")).unwrap();
    let put = |name: &str, width: usize, height: usize| {
        let picture = Picture::new(width, height, Channels::Grey, vec![30; width * height]).unwrap();
        picture.write_png(fs::File::create(pictures.join(name)).unwrap()).unwrap();
    };
    put("a.png", 1, 1);
    put("deep/a.png", 3, 101);
    put("z.png", 77, 2);
    fs::write(pictures.join("b.png"), b"no picture").unwrap();
    let call = ["segment", "digits", text(&pictures), "-o", text(&out), "--format", "jsonl"];
    let output = zoo(&call).output().unwrap();
    let (code, said) = failed(&output);
    assert!(code == 1 && said.contains("1 of 4 pictures have no mask"), "{said}");
    let lines: Vec<serde_json::Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sizes: Vec<_> = lines.iter().map(|line| (line["width"].as_u64(), line["height"].as_u64())).collect();
    assert_eq!(sizes, [(Some(1), Some(1)), (None, None), (Some(3), Some(101)), (Some(77), Some(2))]);
    assert!(lines[1]["error"].as_str().unwrap().contains("b.png"));
    // The second of a name has a number.
    let masks: Vec<&str> = lines.iter().filter_map(|line| line["mask"].as_str()).collect();
    assert!(masks[0].ends_with("a.mask.png") && masks[1].ends_with("a-2.mask.png"), "{masks:?}");
    for (line, mask) in lines.iter().filter(|line| line["mask"].is_string()).zip(masks) {
        let mask = mask::decode(&fs::read(mask).unwrap(), mask).unwrap();
        assert_eq!(Some(mask.width() as u64), line["width"].as_u64());
    }
}

#[test]
fn wrong_calls_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path());
    let scene = "assets/scenes/3.png";
    refused(&["segment", "lenet5", scene, "-o", out], 2, &["lenet5", "no class for each pixel", "fcn8s"]);
    refused(&["segment", "digits", scene, "-o", out, "--memory", "much"], 2, &["much", "2GiB"]);
    refused(
        &["segment", "digits", scene, "-o", out, "--memory", "1kB"],
        1,
        &["MB beside the weights", "1.0 kB are allowed; allow more"],
    );
    refused(&["segment", "digits", scene], 2, &["--output"]);
    // A folder that nothing is written to isn't left.
    let [made, kept] = ["made", "kept"].map(|name| folder.path().join(name));
    fs::create_dir(&kept).unwrap();
    for out in [&made.join("within"), &kept] {
        refused(&["segment", "digits", "Cargo.toml", "-o", text(out)], 1, &["Cargo.toml"]);
    }
    assert!(!made.exists() && kept.exists());
    refused(&["train", "fcn_digits", "--data", "assets/digits", "-o", out], 1, &["assets/digits"]);
    let data = scenes(folder.path());
    let run = folder.path().join("run");
    let call = ["train", "lenet5", "--data", text(&data), "-o", text(&run)];
    refused(&call, 2, &["have masks", "lenet5", "fcn8s"]);
    refused(&["eval", "digits", "--data", text(&data), "--flip"], 2, &["--flip"]);
    let call = ["train", "fcn_digits", "--data", text(&data), "--balanced", "-o", text(&run)];
    refused(&call, 2, &["`--balanced`", "`--weigh-classes`"]);
    fs::remove_file(data.join("train/masks/0.png")).unwrap();
    let call = ["train", "fcn_digits", "--data", text(&data), "-o", text(&run)];
    refused(&call, 1, &["train/images/0.png", "has no mask; add", "train/masks/0.png"]);
    let dark = folder.path().join("classes");
    for class in ["a", "b"] {
        fs::create_dir_all(dark.join(class)).unwrap();
        fs::copy(root().join("assets/digits/1.png"), dark.join(class).join("1.png")).unwrap();
    }
    let call = ["train", "fcn_digits", "--data", text(&dark), "-o", text(&run)];
    refused(&call, 2, &["have no masks", "fcn_digits", "SegmentationClass"]);
}

#[test]
fn a_segmenter_that_is_killed_ends_in_the_same_bytes_and_begins_another() {
    let folder = tempfile::tempdir().unwrap();
    let data = scenes(folder.path());
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    // A broken mask ends a strict run, and is told by name before another.
    fs::write(data.join("train/masks/0.png"), b"no mask").unwrap();
    let call = [
        "train",
        "fcn_digits",
        "--data",
        text(&data),
        "--input",
        "1x32x40",
        "--epochs",
        "2",
        "--batch",
        "4",
        "--seed",
        "3",
        "--weigh-classes",
    ];
    let (other, odd) = (folder.path().join("strict"), folder.path().join("odd"));
    let strict = [&call[..], &["--strict", "-o", text(&other)]].concat();
    refused(&strict, 1, &["1 of 20 pictures", "masks/0.png", "can't be decoded"]);
    let output = zoo(&[&call[..], &["-o", text(&whole)]].concat()).output().unwrap();
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("mean IoU") && said.contains("4 test pictures"), "{said}{told}");
    assert!(told.contains("left out") && told.contains("masks/0.png"), "{told}");
    killed(&call, &broken, &[0, 60, 150, 260]);
    assert!(files(&whole) == files(&broken), "the run that was killed gave other files");
    let best = whole.join("best.safetensors");
    let report = report(&whole);
    let judged = json(&["eval", text(&best), "--data", text(&data), "--format", "json"]);
    for figure in
        ["pixels", "pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou", "classes"]
    {
        assert_eq!(judged[figure], report["test"][figure], "{figure}");
    }
    assert_eq!(
        (judged["pixels"].as_u64(), judged["classes"][1]["name"].as_str()),
        (Some(4 * 32 * 40), Some("0"))
    );
    // A line for each picture has the same pixels; one that can't be read has its reason.
    fs::write(data.join("test/masks/16.png"), b"no mask").unwrap();
    let told = printed(&["eval", text(&best), "--data", text(&data), "--format", "jsonl"]);
    let lines: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pixels: Vec<_> = lines.iter().map(|line| line["pixels"].as_u64()).collect();
    assert_eq!(pixels, [None, Some(32 * 40), Some(32 * 40), Some(32 * 40)]);
    assert!(lines[0]["error"].as_str().unwrap().contains("masks/16.png"), "{told}");
    assert!(lines[1]["path"].as_str().unwrap().ends_with("17.png"), "{told}");
    assert!(lines[1]["mean_iou"].is_f64() && lines[1]["classes"].as_array().unwrap().len() > 1, "{told}");
    // Another run begins with what it learned.
    let next = folder.path().join("next");
    let more =
        ["train", "fcn_digits", "--data", text(&data), "--input", "1x32x40", "--epochs", "1", "--batch", "4"];
    let output =
        zoo(&[&more[..], &["--init-from", text(&best), "-o", text(&next)]].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("carried") && said.contains("conv1_1.weight"), "{said}");
    let call = [&more[..], &["--init-from", "assets/digits/1.png", "-o", text(&odd)]].concat();
    refused(&call, 1, &["1.png"]);
}

#[test]
fn masks_whose_classes_have_no_names_are_judged_by_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let data = scenes(folder.path());
    let call = ["eval", "digits", "--data", text(&data), "--format", "json"];
    let named = json(&call);
    fs::remove_file(data.join("classes.txt")).unwrap();
    let output = zoo(&call).output().unwrap();
    let numbered: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(named, numbered);
    assert!(String::from_utf8_lossy(&output.stderr).contains("classes.txt"));
    // Of nothing there is no figure.
    for number in 16..20 {
        fs::write(data.join(format!("test/masks/{number}.png")), b"no mask").unwrap();
    }
    fs::write(data.join("classes.txt"), "background\n0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n").unwrap();
    refused(&call, 1, &["none of the 4 pictures", "masks/16.png"]);
    // Grey pictures that are no masks.
    fs::remove_file(data.join("classes.txt")).unwrap();
    for number in 16..20 {
        fs::copy(root().join("assets/digits/1.png"), data.join(format!("test/masks/{number}.png"))).unwrap();
    }
    refused(&call, 1, &["labels up to", "tells 11 classes apart"]);
    let call = ["segment", "digits", "assets/scenes/3.png", "-o", text(folder.path()), "--memory", "1KB"];
    refused(&call, 1, &["3.png", "96x96", "`--memory`"]);
}

/// What is recommended can be done: a pass of one picture has no statistics for a norm.
#[test]
fn a_pass_has_a_picture_more_than_one_where_norms_go_by_the_batch() {
    for memory in ["1KB", "150MB", "200MB", "250MB", "300MB", "400MB", "600MB"] {
        let call = ["advise", "resnet18", "--input", "3x64x64", "--batch", "32", "--memory", memory];
        let said = json(&[&call[..], &["--format", "json"]].concat());
        for remedy in said["remedies"].as_array().unwrap() {
            let batch = remedy["options"]["batch"].as_u64();
            assert!(batch.is_none_or(|batch| batch > 1), "{memory}: {remedy}");
        }
    }
    // A segmenter's plain recipe is the one that `train` takes.
    let said = json(&["advise", "fcn_resnet50", "--memory", "4GiB", "--format", "json"]);
    assert_eq!(said["plain"]["batch"], 8);
}

#[test]
fn a_recipe_says_how_many_scenes_are_drawn_and_the_seed_which() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("few.toml");
    fs::write(&recipe, "scenes = 6\nepochs = 1\nbatch_size = 2\n").unwrap();
    let of = |seed: &str| -> serde_json::Value {
        let run = folder.path().join(seed);
        let call = ["train", "fcn_digits", "--input", "1x24x24", "--recipe", text(&recipe), "--seed", seed];
        printed(&[&call[..], &["-o", text(&run)]].concat());
        serde_json::from_slice(&fs::read(run.join("split.json")).unwrap()).unwrap()
    };
    let [one, other] = ["1", "2"].map(of);
    assert_eq!(one["train"].as_array().unwrap().len(), 6);
    assert_ne!(one["fingerprint"], other["fingerprint"]);
}
