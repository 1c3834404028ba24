//! The architecture crates' pages: all parts in order, and no figure that the graphs and the registry don't give.

use std::{collections::BTreeMap, fs, path::PathBuf};

use zoo::{ARCHITECTURES, Architecture};

use crate::figures::totals;

/// What a page holds, in this order.
const PARTS: [&str; 7] = [
    "](https://",
    "```text",
    "| variant | parameters |",
    "# What it introduced",
    "# Differences from the paper",
    "# Parameter names",
    "# Example\n```\n",
];

/// Every architecture crate's page, by the crate's name.
fn pages() -> BTreeMap<String, String> {
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = fs::read_to_string(crates.join("zoo/Cargo.toml")).unwrap();
    let others = [
        "zoo-base",
        "zoo-data",
        "zoo-engine",
        "zoo-explain",
        "zoo-kernels",
        "zoo-layers",
        "zoo-report",
        "zoo-train",
        "zoo-weights",
    ];
    let names = manifest.lines().filter_map(|line| line.strip_suffix(".workspace = true"));
    let names = names.filter(|name| name.starts_with("zoo-") && !others.contains(name));
    let page = |name: &str| {
        let text = fs::read_to_string(crates.join(name).join("src/lib.rs")).unwrap();
        let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line).to_string() + "\n").collect()
    };
    names.map(|name| (name.to_string(), page(name))).collect()
}

#[test]
fn pages_have_their_parts_in_order() {
    let pages = pages();
    assert!(pages.len() >= 10, "only {} pages were found", pages.len());
    for (name, page) in pages {
        let sentence = page.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        assert!(
            sentence.ends_with('.') && !sentence.contains(". "),
            "{name}: one sentence first, not `{sentence}`"
        );
        let mut from = 0;
        for part in PARTS {
            let place = page[from..].find(part);
            from += place.unwrap_or_else(|| panic!("{name}: `{part}` is missing, or not in its place"));
        }
    }
}

/// `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

#[test]
fn tables_of_variants_say_what_the_graphs_and_the_registry_say() {
    let pages = pages().into_values().collect::<String>();
    let row = |architecture: &Architecture| {
        let start = format!("| [`{}`] |", architecture.name);
        let mut rows = pages.lines().filter(|line| line.starts_with(&start));
        let row = rows.next().unwrap_or_else(|| panic!("{}: no page has it", architecture.name));
        assert_eq!(rows.next(), None, "{}: two rows", architecture.name);
        row
    };
    for architecture in ARCHITECTURES.iter().filter(|architecture| architecture.family.name != "Example") {
        let (name, row) = (architecture.name, row(architecture));
        let totals = totals(&architecture.graph().unwrap());
        let says = |figure: String| assert!(row.contains(&figure), "{name}: not {figure} in `{row}`");
        says(format!("| {} |", thousands(totals.params)));
        if totals.params_auxiliary > 0 {
            let with = thousands(totals.params + totals.params_auxiliary);
            assert!(
                row.contains(&with) || row.contains(&thousands(totals.params_auxiliary)),
                "{name}: {with}"
            );
        }
        match totals.macs {
            few @ ..10_000_000 => says(thousands(few)),
            many => says(format!("{:.3}", many as f64 / 1e9)),
        }
        if let Some(accuracy) = architecture.accuracy {
            let error = format!("{:.2} %", 100.0 - accuracy.percent); // LeCun et al. count what is wrong.
            let right = accuracy.percent.to_string();
            assert!(row.contains(&right) || row.contains(&error), "{name}: not {right} in `{row}`");
        }
    }
}
