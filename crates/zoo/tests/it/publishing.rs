//! What every package must have before anyone publishes it.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The value of a key on a line of its own.
fn value<'t>(manifest: &'t str, key: &str) -> Option<&'t str> {
    manifest.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('=').map(str::trim))
}

#[test]
fn every_package_says_what_it_is_and_carries_its_licences() {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let manifest = text(&folder.join("Cargo.toml"));
        let of =
            |key: &str| value(&manifest, key).unwrap_or_else(|| panic!("{} has no {key}", folder.display()));
        let description = of("description").trim_matches('"');
        assert!((20..300).contains(&description.len()) && !description.ends_with('.'), "{description}");
        assert_eq!(of("readme"), "\"README.md\"");
        let readme = text(&folder.join("README.md"));
        let begins = format!("# {}\n\n{description}.\n", of("name").trim_matches('"'));
        assert!(readme.starts_with(&begins), "{}/README.md does not begin with {begins}", folder.display());
        let keywords: Vec<&str> =
            of("keywords").trim_matches(['[', ']']).split(", ").map(|word| word.trim_matches('"')).collect();
        assert!((2..=5).contains(&keywords.len()), "{keywords:?}: crates.io takes five at most");
        for word in keywords {
            let fits = word.len() <= 20 && word.starts_with(|c: char| c.is_ascii_alphanumeric());
            let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-+".contains(c));
            assert!(fits && plain, "crates.io takes no keyword `{word}`");
        }
        for key in ["version", "edition", "rust-version", "authors", "categories"] {
            assert!(
                manifest.contains(&format!("{key}.workspace = true")),
                "{} has its own {key}",
                folder.display()
            );
        }
        assert!(manifest.contains("[package.metadata.docs.rs]\n"), "{}", folder.display());
        assert!(
            value(&manifest, "repository").is_none_or(|at| at.contains("workspace")),
            "{}",
            folder.display()
        );
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            assert_eq!(text(&folder.join(licence)), text(&root().join(licence)), "{}", folder.display());
        }
    }
}

#[test]
fn the_version_is_one() {
    let manifest = text(&root().join("Cargo.toml"));
    let version = env!("CARGO_PKG_VERSION");
    assert!(text(&root().join("CITATION.cff")).contains(&format!("\nversion: {version}\n")));
    for line in manifest.lines().filter(|line| line.contains("path = \"crates/")) {
        assert!(line.contains(&format!("version = \"{version}\"")), "{line}");
    }
}
