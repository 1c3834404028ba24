//! The published manifest keeps its own rules, and agrees with the figures it was made from.

use super::*;

fn published() -> Manifest {
    Manifest::published().unwrap()
}

#[test]
fn every_family_has_weights() {
    let manifest = published();
    for model in [
        "lenet5",
        "digitnet",
        "alexnet",
        "vgg16",
        "vgg19_bn",
        "googlenet",
        "inception_v3",
        "resnet18",
        "wide_resnet101_2",
        "seresnet50",
        "legacy_senet154",
        "senet154",
        "xception",
        "xception_keras",
        "mobilenet_v2",
        "mobilenet_v2_keras",
        "fcn_resnet50",
    ] {
        assert!(manifest.of(model).next().is_some(), "{model}");
    }
}

#[test]
fn a_name_is_a_tag_or_an_architecture() {
    let manifest = published();
    assert_eq!(manifest.find("resnet50").unwrap().tag, "resnet50.tv_in1k");
    assert_eq!(manifest.find("resnet50.tv2_in1k").unwrap().preprocess.resize, Some(232));
    let error = manifest.find("resnet5O.tv_in1k").unwrap_err().to_string();
    assert!(error.contains("did you mean resnet50.tv_in1k"), "{error}");
    assert!(manifest.find("").is_err());
}

#[test]
fn a_fetched_file_is_recognised_by_its_place() {
    let manifest = published();
    let tag = |path: &str| manifest.of_file(Path::new(path)).map(|(weights, _)| weights.tag.as_str());
    assert_eq!(tag("a/resnet50-11ad3fa6.pth"), Some("resnet50.tv2_in1k"));
    let hub = "hub/models--smp-hub--resnet18.imagenet/snapshots/3f23/model.safetensors";
    assert_eq!(tag(hub), Some("resnet18.tv_in1k"));
    assert_eq!(tag("model.safetensors"), None);
    assert_eq!(tag("my-resnet50-11ad3fa6.pth"), None);
}

#[test]
fn hash_prefixes_are_those_of_the_file_names() {
    for weights in published().weights {
        for source in &weights.sources {
            let Place::Url(url) = &source.place else { continue };
            assert!(url.starts_with("https://"), "{url}");
            if url.ends_with(".pth") {
                let stem = source.file_name().trim_end_matches(".pth");
                let digits = stem.rsplit('-').next().unwrap();
                assert_eq!(source.digest, Some(Digest::Sha256(digits.into())), "{url}");
            }
        }
    }
}

#[test]
fn sources_of_the_hub_are_pinned_by_commit_or_hash_or_said_to_be_neither() {
    let mut unpinned = Vec::new();
    for weights in published().weights {
        for source in &weights.sources {
            if let Place::Hub { repo, revision, .. } = &source.place
                && revision == "main"
                && source.digest.is_none()
            {
                assert!(repo.starts_with("timm/"), "{repo}");
                unpinned.push(weights.tag.clone());
            }
        }
    }
    // A file that moves with its branch is never the first choice.
    for tag in unpinned {
        assert!(matches!(published().find(&tag).unwrap().sources[0].place, Place::Url(_)), "{tag}");
    }
}

#[test]
fn preprocessing_cuts_what_it_feeds() {
    for weights in published().weights {
        let p = &weights.preprocess;
        if let Some(crop) = p.crop {
            assert_eq!(p.input[1..], [crop; 2], "{}", weights.tag);
            assert!(p.resize.unwrap() >= crop, "{}", weights.tag);
        }
        assert!(p.std.iter().all(|&std| std > 0.0));
    }
}

#[test]
fn entries_that_break_the_rules_are_named() {
    let entry = |tag: &str, source: &str| {
        format!(
            "[preprocess.p]\ninput = [1, 2, 2]\ninterpolation = \"bilinear\"\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n\
             [[weights]]\ntag = \"{tag}\"\nlicence = \"MIT\"\npreprocess = \"p\"\nclasses = \"digits\"\n\
             sources = [{source}]\n"
        )
    };
    assert!(Manifest::parse(&entry("a.b", "")).is_ok());
    for (tag, source) in [
        ("ab", ""),
        ("a.", ""),
        ("a.b", "{ hub = \"x/y\" }"),
        ("a.b", "{ url = \"https://x/y\", sha256 = \"xyz\" }"),
        (
            "a.b",
            "{ url = \"https://x/y\", sha256 = \"0123456789abcdef\", md5 = \"0123456789abcdef0123456789abcdef\" }",
        ),
    ] {
        let error = Manifest::parse(&entry(tag, source)).unwrap_err();
        assert!(error.to_string().contains(&format!("`{tag}`")), "{error}");
    }
    assert!(matches!(Manifest::parse("[[weights]]\n").unwrap_err(), ManifestError::Syntax(_)));
}

#[test]
fn preprocessing_survives_as_json() {
    for weights in published().weights {
        let json = serde_json::to_string(&weights.preprocess).unwrap();
        assert_eq!(serde_json::from_str::<Preprocess>(&json).unwrap(), weights.preprocess, "{json}");
    }
}
