//! What the processes reported, compared.

use std::fmt::Write as _;

use serde::Serialize;

use super::contestant::{Case, Measured, Outcome, Peer};

/// Relative difference of two losses that rounding may make in the first steps.
const ROUNDING: f64 = 2e-3;

/// One case, beside one peer.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    case: String,
    here_ms: f64,
    peer: String,
    peer_ms: Option<f64>,
    /// `here_ms / peer_ms`: under 1, the zoo is faster.
    ratio: Option<f64>,
    here_peak_mib: Option<f64>,
    peer_peak_mib: Option<f64>,
    /// Why a number is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Of a system that doesn't tell.
const NO_PEAK: &str = "this system does not tell a process's peak of memory (Linux does)";

impl Row {
    /// From one entry for each round; a peer that couldn't run has one that says why.
    pub(super) fn new(case: Case, peer: Peer, here: &[Measured], theirs: &[Outcome]) -> Self {
        let here_ms = milliseconds(here);
        let here_peak_mib = peak(here);
        let mut row = Self {
            case: case.to_string(),
            here_ms,
            peer: peer.to_string(),
            peer_ms: None,
            ratio: None,
            here_peak_mib,
            peer_peak_mib: None,
            reason: None,
        };
        let mut measured = Vec::new();
        for outcome in theirs {
            match outcome {
                Outcome::Measured(one) => measured.push(one.clone()),
                Outcome::Cannot { reason } => row.reason = Some(reason.clone()),
            }
        }
        if row.reason.is_none() {
            row.reason = here.iter().zip(&measured).find_map(|(here, theirs)| differ(here, theirs));
        }
        if row.reason.is_none() && !measured.is_empty() {
            let peer_ms = milliseconds(&measured);
            row.peer_ms = Some(peer_ms);
            row.ratio = Some(here_ms / peer_ms);
            row.peer_peak_mib = peak(&measured);
            row.reason = row.peer_peak_mib.is_none().then(|| NO_PEAK.into());
        }
        row
    }
}

/// Why the two didn't do the same, if they didn't.
fn differ(here: &Measured, theirs: &Measured) -> Option<String> {
    if here.params != theirs.params {
        return Some(format!("it has {} parameters, and the zoo's has {}", theirs.params, here.params));
    }
    let far = |(a, b): (&f64, &f64)| (a - b).abs() > ROUNDING * a.abs().max(b.abs());
    let differ = here.losses.len() != theirs.losses.len() || here.losses.iter().zip(&theirs.losses).any(far);
    differ.then(|| format!("its first losses are {:?}, and the zoo's are {:?}", theirs.losses, here.losses))
}

/// The median over the rounds of each round's median step.
fn milliseconds(rounds: &[Measured]) -> f64 {
    median(rounds.iter().map(|round| median(round.step_ms.iter().copied())))
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() % 2 {
        1 => numbers[middle],
        _ if numbers.is_empty() => f64::NAN,
        _ => f64::midpoint(numbers[middle - 1], numbers[middle]),
    }
}

/// The most that any round needed.
fn peak(rounds: &[Measured]) -> Option<f64> {
    rounds.iter().filter_map(|round| round.peak_mib).reduce(f64::max)
}

/// For people.
pub(super) fn table(rows: &[Row]) -> String {
    let head = ["CASE", "HERE", "PEER", "PEER'S", "RATIO", "PEAK HERE", "PEAK PEER"].map(String::from);
    let ms = |ms: f64| format!("{ms:.2} ms");
    let mib = |mib: Option<f64>| mib.map_or("-".into(), |mib| format!("{mib:.1} MiB"));
    let cells = rows.iter().map(|row| {
        [
            row.case.clone(),
            ms(row.here_ms),
            row.peer.clone(),
            row.peer_ms.map_or("-".into(), ms),
            row.ratio.map_or("-".into(), |ratio| format!("{ratio:.3}")),
            mib(row.here_peak_mib),
            mib(row.peer_peak_mib),
        ]
    });
    let cells: Vec<_> = std::iter::once(head).chain(cells).collect();
    let mut widths = [0; 7];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for (index, row) in cells.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Words to the left, numbers to the right.
            let _ = match column {
                0 | 2 => write!(text, "{cell:<width$}  "),
                _ => write!(text, "{cell:>width$}  "),
            };
        }
        if let Some(reason) = index.checked_sub(1).and_then(|index| rows[index].reason.as_ref()) {
            text.push_str(reason);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(step_ms: &[f64], peak_mib: Option<f64>) -> Measured {
        Measured { params: 10, losses: vec![2.0, 1.0], step_ms: step_ms.to_vec(), peak_mib }
    }

    #[test]
    fn the_ratio_is_of_medians_over_rounds() {
        let here = [measured(&[1.0, 2.0, 9.0], Some(4.0)), measured(&[4.0, 4.0], Some(5.0))];
        let theirs = [measured(&[6.0], Some(8.0)), measured(&[6.0, 99.0, 5.0], Some(7.0))];
        let row = Row::new(Case::Lenet5B64, Peer::Pytorch, &here, &theirs.map(Outcome::Measured));
        let json = serde_json::to_value(&row).unwrap();
        let expected = serde_json::json!({
            "case": "lenet5_b64", "here_ms": 3.0, "peer": "pytorch", "peer_ms": 6.0, "ratio": 0.5,
            "here_peak_mib": 5.0, "peer_peak_mib": 8.0,
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn what_could_not_run_has_a_reason() {
        let here = [measured(&[1.0], Some(4.0))];
        let cannot = [Outcome::Cannot { reason: "no gradient".into() }];
        let row = Row::new(Case::Resnet18B4, Peer::Candle, &here, &cannot);
        assert_eq!((row.peer_ms, row.ratio, row.reason.as_deref()), (None, None, Some("no gradient")));
        assert!(table(&[row]).ends_with("no gradient\n"));
    }

    #[test]
    fn different_work_is_not_compared() {
        let here = [measured(&[1.0], None)];
        let more = Measured { params: 11, ..measured(&[1.0], None) };
        let elsewhere = Measured { losses: vec![2.0, 1.1], ..measured(&[1.0], None) };
        for (theirs, said) in [(more, "11 parameters"), (elsewhere, "[2.0, 1.1]")] {
            let row = Row::new(Case::Resnet18B4, Peer::Pytorch, &here, &[Outcome::Measured(theirs)]);
            assert!(row.ratio.is_none() && row.reason.as_ref().unwrap().contains(said), "{row:?}");
        }
    }

    #[test]
    fn a_peak_that_is_not_told_has_a_reason() {
        let here = [measured(&[1.0], None)];
        let theirs = [Outcome::Measured(measured(&[2.0], None))];
        let row = Row::new(Case::Lenet5B64, Peer::Candle, &here, &theirs);
        assert_eq!((row.ratio, row.peer_peak_mib), (Some(0.5), None));
        assert_eq!(row.reason.as_deref(), Some(NO_PEAK));
    }
}
