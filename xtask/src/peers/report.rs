//! What the processes reported, compared.

use std::fmt::Write as _;

use serde::Serialize;

use super::contestant::{Case, Contestant, Measured, Outcome, Peer};

/// Relative difference of two losses that rounding may make in the first steps.
const ROUNDING: f64 = 2e-3;

/// One case, beside one peer.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    case: String,
    here_ms: f64,
    peer: String,
    /// Of the better of the peer's layouts, as are `ratio` and `peer_peak_mib`.
    peer_ms: Option<f64>,
    /// `here_ms / peer_ms`: under 1, the zoo is faster.
    ratio: Option<f64>,
    here_peak_mib: Option<f64>,
    peer_peak_mib: Option<f64>,
    /// Which that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<String>,
    /// All of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layouts: Vec<Turn>,
    simd: Sets,
    /// Why a number is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What a peer took with one of its layouts.
#[derive(Clone, Debug, Serialize)]
struct Turn {
    layout: String,
    ms: f64,
    peak_mib: Option<f64>,
}

/// Instruction sets: what was used, as each says it itself, and what there is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sets {
    pub(super) here: Option<String>,
    pub(super) peer: Option<String>,
    pub(super) machine: Vec<String>,
}

/// Of a system that doesn't tell.
const NO_PEAK: &str = "this system does not tell a process's peak of memory (Linux does)";

impl Row {
    /// From one entry for each round, for the zoo and for each of the peer's turns; one that couldn't run says why.
    pub(super) fn new(
        case: Case,
        peer: Peer,
        here: &[Measured],
        theirs: &[(Contestant, Vec<Outcome>)],
        simd: Sets,
    ) -> Self {
        let here_ms = milliseconds(here);
        let mut row = Self {
            case: case.to_string(),
            here_ms,
            peer: peer.to_string(),
            peer_ms: None,
            ratio: None,
            here_peak_mib: peak(here),
            peer_peak_mib: None,
            layout: None,
            layouts: Vec::new(),
            simd,
            reason: None,
        };
        let mut turns = Vec::new();
        for (contestant, outcomes) in theirs {
            match turn(here, *contestant, outcomes) {
                Ok(turn) => turns.push(turn),
                Err(reason) => row.reason = Some(reason),
            }
        }
        // A layout that couldn't run might have been the better one.
        let best = turns.iter().min_by(|a, b| a.ms.total_cmp(&b.ms)).filter(|_| row.reason.is_none());
        if let Some(best) = best {
            row.peer_ms = Some(best.ms);
            row.ratio = Some(here_ms / best.ms);
            row.peer_peak_mib = best.peak_mib;
            row.reason = best.peak_mib.is_none().then(|| NO_PEAK.into());
            if theirs.iter().any(|(contestant, _)| contestant.layout.is_some()) {
                row.layout = Some(best.layout.clone());
                row.layouts = turns;
            }
        }
        row
    }
}

/// What a contestant's rounds say together, or why they say nothing.
fn turn(here: &[Measured], contestant: Contestant, outcomes: &[Outcome]) -> Result<Turn, String> {
    let mut measured = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Measured(one) => measured.push(one.clone()),
            Outcome::Cannot { reason } => return Err(reason.clone()),
        }
    }
    if let Some(reason) = here.iter().zip(&measured).find_map(|(here, theirs)| differ(here, theirs)) {
        return Err(reason);
    }
    let layout = contestant.layout.map_or(String::new(), |layout| layout.to_string());
    Ok(Turn { layout, ms: milliseconds(&measured), peak_mib: peak(&measured) })
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

/// The middle of some numbers.
pub(super) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
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
    let head =
        ["CASE", "HERE", "PEER", "LAYOUT", "PEER'S", "RATIO", "PEAK HERE", "PEAK PEER"].map(String::from);
    let cells = rows.iter().map(|row| {
        [
            row.case.clone(),
            ms(row.here_ms),
            row.peer.clone(),
            row.layout.clone().unwrap_or_else(|| "-".into()),
            row.peer_ms.map_or("-".into(), ms),
            row.ratio.map_or("-".into(), |ratio| format!("{ratio:.3}")),
            mib(row.here_peak_mib),
            mib(row.peer_peak_mib),
        ]
    });
    let cells: Vec<Vec<String>> = std::iter::once(head).chain(cells).map(Vec::from).collect();
    let mut text = String::new();
    for (index, line) in aligned(&cells, &[0, 2, 3]).lines().enumerate() {
        text.push_str(line);
        if let Some(row) = index.checked_sub(1).map(|index| &rows[index]) {
            let worse = row.layouts.iter().filter(|turn| Some(&turn.layout) != row.layout.as_ref());
            let worse = worse.map(|turn| format!("{}: {}, {}", turn.layout, ms(turn.ms), mib(turn.peak_mib)));
            let more = worse.chain(row.reason.clone()).collect::<Vec<_>>().join("; ");
            if !more.is_empty() {
                text.push_str("  ");
                text.push_str(&more);
            }
        }
        text.push('\n');
    }
    text + &sets(rows)
}

/// Cells in columns: words to the left, which are these columns', numbers to the right.
pub(super) fn aligned(rows: &[Vec<String>], words: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match words.contains(&column) {
                true => write!(text, "{cell:<width$}  "),
                false => write!(text, "{cell:>width$}  "),
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// A time for people.
pub(super) fn ms(ms: f64) -> String {
    format!("{ms:.2} ms")
}

fn mib(mib: Option<f64>) -> String {
    mib.map_or("-".into(), |mib| format!("{mib:.1} MiB"))
}

/// One line for each peer: which instruction sets were compared, on a machine that has which.
fn sets(rows: &[Row]) -> String {
    let mut lines = Vec::new();
    for row in rows {
        let Sets { here, peer, machine } = &row.simd;
        let unknown = || "not said".into();
        let line = format!(
            "instruction sets: here {}; {} {}; the machine has {}\n",
            here.clone().unwrap_or_else(unknown),
            row.peer,
            peer.clone().unwrap_or_else(unknown),
            machine.join(", ")
        );
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    format!("\n{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::super::contestant::Layout;
    use super::*;

    const PLAIN: Contestant = Contestant { peer: Peer::Candle, layout: None };

    fn measured(step_ms: &[f64], peak_mib: Option<f64>) -> Measured {
        Measured { params: 10, losses: vec![2.0, 1.0], step_ms: step_ms.to_vec(), peak_mib, simd: None }
    }

    fn simd() -> Sets {
        Sets { here: Some("avx2".into()), peer: None, machine: vec!["portable".into(), "avx2".into()] }
    }

    fn row(here: &[Measured], theirs: Outcome) -> Row {
        Row::new(Case::Resnet18B4, Peer::Candle, here, &[(PLAIN, vec![theirs])], simd())
    }

    #[test]
    fn the_ratio_is_of_medians_over_rounds() {
        let here = [measured(&[1.0, 2.0, 9.0], Some(4.0)), measured(&[4.0, 4.0], Some(5.0))];
        let theirs = [measured(&[6.0], Some(8.0)), measured(&[6.0, 99.0, 5.0], Some(7.0))];
        let theirs = [(PLAIN, theirs.map(Outcome::Measured).to_vec())];
        let row = Row::new(Case::Lenet5B64, Peer::Candle, &here, &theirs, simd());
        let json = serde_json::to_value(&row).unwrap();
        let expected = serde_json::json!({
            "case": "lenet5_b64", "here_ms": 3.0, "peer": "candle", "peer_ms": 6.0, "ratio": 0.5,
            "here_peak_mib": 5.0, "peer_peak_mib": 8.0,
            "simd": {"here": "avx2", "peer": null, "machine": ["portable", "avx2"]},
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn the_better_layout_is_compared_with() {
        let here = [measured(&[3.0], Some(4.0))];
        let theirs =
            [(Layout::Contiguous, 8.0, 5.0), (Layout::ChannelsLast, 6.0, 7.0)].map(|(layout, ms, mib)| {
                let contestant = Contestant { peer: Peer::Pytorch, layout: Some(layout) };
                (contestant, vec![Outcome::Measured(measured(&[ms], Some(mib)))])
            });
        let row = Row::new(Case::Lenet5B64, Peer::Pytorch, &here, &theirs, simd());
        assert_eq!((row.ratio, row.peer_peak_mib), (Some(0.5), Some(7.0)));
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["layout"], "channels_last");
        assert_eq!(
            json["layouts"][0],
            serde_json::json!({"layout": "contiguous", "ms": 8.0, "peak_mib": 5.0})
        );
        let text = table(&[row]);
        assert!(text.contains("contiguous: 8.00 ms, 5.0 MiB\n"), "{text}");
        let sets = "instruction sets: here avx2; pytorch not said; the machine has portable, avx2\n";
        assert!(text.ends_with(sets), "{text}");
    }

    #[test]
    fn a_layout_that_could_not_run_leaves_no_ratio() {
        let here = [measured(&[3.0], Some(4.0))];
        let contestant = |layout| Contestant { peer: Peer::Pytorch, layout: Some(layout) };
        let theirs = [
            (contestant(Layout::Contiguous), vec![Outcome::Measured(measured(&[8.0], None))]),
            (contestant(Layout::ChannelsLast), vec![Outcome::Cannot { reason: "out of memory".into() }]),
        ];
        let row = Row::new(Case::Lenet5B64, Peer::Pytorch, &here, &theirs, simd());
        assert_eq!((row.ratio, row.reason.as_deref()), (None, Some("out of memory")));
    }

    #[test]
    fn what_could_not_run_has_a_reason() {
        let here = [measured(&[1.0], Some(4.0))];
        let row = row(&here, Outcome::Cannot { reason: "no gradient".into() });
        assert_eq!((row.peer_ms, row.ratio, row.reason.as_deref()), (None, None, Some("no gradient")));
        assert!(table(&[row]).contains("-  no gradient\n"));
    }

    #[test]
    fn different_work_is_not_compared() {
        let here = [measured(&[1.0], None)];
        let more = Measured { params: 11, ..measured(&[1.0], None) };
        let elsewhere = Measured { losses: vec![2.0, 1.1], ..measured(&[1.0], None) };
        for (theirs, said) in [(more, "11 parameters"), (elsewhere, "[2.0, 1.1]")] {
            let row = row(&here, Outcome::Measured(theirs));
            assert!(row.ratio.is_none() && row.reason.as_ref().unwrap().contains(said), "{row:?}");
        }
    }

    #[test]
    fn a_peak_that_is_not_told_has_a_reason() {
        let row = row(&[measured(&[1.0], None)], Outcome::Measured(measured(&[2.0], None)));
        assert_eq!((row.ratio, row.peer_peak_mib), (Some(0.5), None));
        assert_eq!(row.reason.as_deref(), Some(NO_PEAK));
    }
}
