//! What is there to look at: diagrams, plots, heat maps; and what can't be shown.

use std::{fs, path::Path};

use crate::{printed, refused, zoo};

/// Width and height that a PNG's header says.
fn png_size(path: &Path) -> (u32, u32) {
    let bytes = fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{}", path.display());
    let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    (number(16), number(20))
}

#[test]
fn diagrams_are_drawn_for_browsers_and_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("resnet50.svg");
    let told = printed(&["diagram", "resnet50", "-o", svg.to_str().unwrap()]);
    assert!(told.ends_with("resnet50.svg: resnet50 drawn\n"), "{told}");
    let drawn = fs::read_to_string(&svg).unwrap();
    assert!(drawn.contains("prefers-color-scheme:dark") && drawn.contains("layer3.1–5"));
    assert_eq!(printed(&["diagram", "resnet50"]), drawn);
    let dark = printed(&["diagram", "resnet50", "--theme", "dark", "--classes", "7"]);
    assert!(!dark.contains("prefers-color-scheme") && dark.contains(">dense, 7<"));
    insta::assert_snapshot!("diagram_lenet5_mermaid", printed(&["diagram", "lenet5", "--format", "mermaid"]));
    let dot = printed(&["diagram", "seresnet18", "--format", "dot", "--at", "layer1"]);
    assert!(dot.contains("label=\"layer1.0–1 ×2\"") && !dot.contains("layer2"), "{dot}");
    refused(&["diagram", "resnet51"], 2, &["resnet51", "`resnet50`"]);
    refused(&["diagram", "resnet50", "--at", "layer9"], 2, &["layer9", "`layer1`"]);
    refused(&["diagram", "resnet50", "-o", "no/such/folder/x.svg"], 1, &["no/such/folder"]);
}

#[test]
fn a_plot_shows_what_can_be_compared_and_names_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plot.svg");
    let to = path.to_str().unwrap();
    let output =
        zoo(&["compare", "mnist_convnet", "vgg16", "fcn8s", "resnet50", "--plot", to]).output().unwrap();
    let (said, printed) =
        (String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap());
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("mnist_convnet has no published accuracy")
            && said.contains("fcn8s was measured by other means"),
        "{said}"
    );
    assert!(
        printed.starts_with("             mnist_convnet") && printed.ends_with("2 networks drawn\n"),
        "{printed}"
    );
    let svg = fs::read_to_string(&path).unwrap();
    assert!(svg.contains(">vgg16</text>") && svg.contains(">top-1, %</text>") && !svg.contains("fcn8s"));
    let all = crate::printed(&["compare", "--plot", to]);
    let measured = |one: &&zoo::Architecture| {
        one.accuracy
            .is_some_and(|found| found.metric == zoo::Metric::Top1 && found.source.starts_with("ImageNet"))
    };
    let count = zoo::ARCHITECTURES.iter().filter(measured).count();
    assert!(all.contains(&format!("{count} networks drawn")), "{all}");
    refused(&["compare", "mnist_convnet", "--plot", to], 2, &["no accuracy is published"]);
    refused(&["compare", "vgg16", "--plot", "no/such/folder/x.svg"], 1, &["no/such/folder"]);
}

#[test]
fn heat_maps_and_sheets_are_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seven.png");
    let to = path.to_str().unwrap();
    let explain =
        |more: &[&str]| printed(&[&["explain", "lenet5", "assets/digits/7.png", "-o", to], more].concat());
    let told = explain(&[]);
    assert!(told.starts_with("assets/digits/7.png: 7 (100.0 %), Grad-CAM at tanh_1: "), "{told}");
    assert_eq!(png_size(&path), (702, 356));
    for (method, words) in
        [("gradcam++", "Grad-CAM++"), ("occlusion", "occlusion"), ("smoothgrad", "SmoothGrad")]
    {
        let told = explain(&["--method", method, "--class", "7"]);
        assert!(told.contains(words), "{told}");
    }
    assert!(explain(&["--class", "1", "--at", "conv1"]).contains(": 1 (0.0 %), Grad-CAM at conv1"));
    explain(&["--sheet", "conv2"]);
    printed(&["explain", "lenet5", "--filters", "-o", to]);
    assert_eq!(png_size(&path), (3 * (5 * 48 + 16) + 16, 2 * (5 * 48 + 16) + 16));
    // The same bytes each time.
    let smooth = |name: &str| {
        let to = folder.path().join(name);
        printed(&[
            "explain",
            "lenet5",
            "assets/digits/3.png",
            "--method",
            "smoothgrad",
            "-o",
            to.to_str().unwrap(),
        ]);
        fs::read(to).unwrap()
    };
    assert_eq!(smooth("a.png"), smooth("b.png"));
}

#[test]
fn what_can_not_be_shown_is_told() {
    let digit = "assets/digits/7.png";
    refused(&["explain", "lenet5", digit, "--class", "12"], 2, &["no class 12", "0 to 9"]);
    refused(&["explain", "lenet5", digit, "--class", "cat"], 2, &["no class `cat`", "0 to 9"]);
    refused(&["explain", "lenet5", digit, "--at", "fc1"], 2, &["`fc1` gives 120", "`tanh_1`"]);
    refused(&["explain", "lenet5", digit, "--sheet", "fc2"], 2, &["`fc2` gives 84"]);
    refused(&["explain", "lenet5", digit, "--at", "conv3"], 2, &["conv3", "`conv1`"]);
    refused(&["explain", "lenet5", digit, "--method", "magic"], 2, &["magic", "gradcam"]);
    for (method, flag, value, those) in [
        ("occlusion", "--at", "conv1", "gradcam"),
        ("smoothgrad", "--at", "conv1", "gradcam"),
        ("gradcam", "--patch", "3", "occlusion"),
        ("gradcam++", "--samples", "3", "smoothgrad"),
    ] {
        refused(
            &["explain", "lenet5", digit, "--method", method, flag, value],
            2,
            &[flag, those, "leave it out"],
        );
    }
    refused(&["explain", "lenet5"], 2, &["IMAGE"]);
    refused(&["explain", "lenet5", "assets/digits"], 2, &["one picture"]);
    refused(&["explain", "lenet5", "nowhere.png", "-o", "x.png"], 1, &["nowhere.png"]);
    refused(&["explain", "lenet5", "README.md", "-o", "x.png"], 1, &["README.md"]);
    refused(&["explain", "lenet5", digit, "-o", "no/such/folder/x.png"], 1, &["no/such/folder"]);
    refused(
        &["explain", "lenet5", digit, "--method", "occlusion", "--patch", "29", "-o", "x.png"],
        2,
        &["29", "28"],
    );
    assert!(!crate::root().join("x.png").exists());
}
