//! The picture of `zoo compare --plot`: which networks can be in it, and what its axes say.

use anyhow::{Result, anyhow};
use zoo::{Accuracy, Metric};
use zoo_report::{Bubble, Plot, Theme, short};

use crate::{commands::compare::Entry, failure::OrWrongCall};

/// What an accuracy counts, and on which data.
pub(crate) fn data(accuracy: Option<Accuracy>) -> Option<(Metric, &'static str)> {
    accuracy.map(|accuracy| (accuracy.metric, accuracy.source.split(',').next().unwrap_or_default()))
}

/// The networks whose accuracy can be compared, as SVG, and a line for each that is left out.
///
/// # Errors
/// No network with a published accuracy.
pub(crate) fn drawn(entries: &[Entry]) -> Result<(String, Vec<String>)> {
    let kind = |entry: &Entry| {
        entry.facts.accuracy.map(|found| (found.metric, found.source.split(',').next().unwrap_or_default()))
    };
    let kinds: Vec<(&str, &str)> = entries.iter().filter_map(kind).collect();
    // The kind that most have; of several, the first.
    let most = kinds.iter().rev().max_by_key(|one| kinds.iter().filter(|other| other == one).count());
    let Some(&(metric, data)) = most else {
        return Err(anyhow!(
            "no accuracy is published for any of these networks, so there is nothing to draw; `zoo list` shows which have one"
        ))
        .or_wrong_call();
    };
    let mut bubbles = Vec::new();
    let mut notes = Vec::new();
    for entry in entries {
        match entry.facts.accuracy.filter(|_| kind(entry) == Some((metric, data))) {
            None => {
                let name = &entry.model;
                let why =
                    entry.facts.accuracy.map_or("has no published accuracy as it is here".into(), |found| {
                        format!("was measured by other means ({}, {})", found.metric, found.source)
                    });
                notes.push(format!("left out of the plot: {name} {why}"));
            }
            Some(found) => bubbles.push(Bubble {
                name: entry.model.clone(),
                group: entry.facts.family.into(),
                x: entry.latency_ms.unwrap_or(entry.macs as f64),
                y: found.percent,
                size: entry.params as f64,
            }),
        }
    }
    let timed = entries.iter().any(|entry| entry.latency_ms.is_some());
    let plot = Plot {
        title: format!("Published {metric} on {data}, and what it costs"),
        x_label: match timed {
            true => "milliseconds for an answer, measured on this machine".into(),
            false => "multiply-accumulates for a picture".into(),
        },
        x_tick: if timed { |ms| format!("{} ms", (ms * 100.0).round() / 100.0) } else { macs },
        y_label: format!("{metric}, %"),
        size_label: "parameters".into(),
        bubbles,
    };
    Ok((plot.svg(Theme::Auto), notes))
}

fn macs(value: f64) -> String {
    let told = short(value as u64);
    match told.split_once(' ') {
        Some((digits, unit)) if digits.contains('.') => {
            format!("{} {unit}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => told,
    }
}
