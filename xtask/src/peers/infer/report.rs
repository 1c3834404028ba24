//! What the processes reported, compared.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::super::report::{aligned, median, ms};
use super::super::simd::Simd;
use super::engine::{Engine, Measured, Outcome};

/// Relative difference of two answers that rounding may make: MNN's large tiles of Winograd's round the most.
const ROUNDING: f64 = 1e-3;

/// One network and batch, beside all engines.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    model: String,
    batch: u16,
    threads: usize,
    here_ms: f64,
    /// The fastest of those that are made for answering.
    best: Option<String>,
    best_ms: Option<f64>,
    /// `here_ms / best_ms`: under 1, the zoo is faster.
    ratio: Option<f64>,
    here_peak_mib: Option<f64>,
    here_process_mib: Option<f64>,
    simd: Option<String>,
    engines: Vec<Turn>,
}

/// What an engine took.
#[derive(Debug, Serialize)]
struct Turn {
    engine: String,
    ms: Option<f64>,
    /// `here_ms / ms`.
    ratio: Option<f64>,
    peak_mib: Option<f64>,
    process_mib: Option<f64>,
    /// Of its answer from the zoo's: max|a − b| / max|b|.
    deviation: Option<f64>,
    version: Option<String>,
    simd: Option<String>,
    /// Why a number is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip)]
    is_engine: bool,
}

impl Row {
    /// From one entry for each round, for the zoo and for each engine; one that couldn't run says why.
    pub(super) fn new(
        model: &str,
        batch: u16,
        threads: usize,
        here: &[Measured],
        theirs: impl IntoIterator<Item = (Engine, Vec<Outcome>, Option<f64>)>,
    ) -> Self {
        let here_ms = milliseconds(here);
        let turn = |(engine, outcomes, deviation): (Engine, Vec<Outcome>, Option<f64>)| {
            Turn::new(here_ms, engine, &outcomes, deviation)
        };
        let engines: Vec<Turn> = theirs.into_iter().map(turn).collect();
        let fastest = engines
            .iter()
            .filter(|turn| turn.is_engine)
            .filter_map(|turn| Some((turn.engine.clone(), turn.ms?)))
            .min_by(|(_, a), (_, b)| a.total_cmp(b));
        let (best, best_ms) = fastest.unzip();
        Self {
            model: model.into(),
            batch,
            threads,
            here_ms,
            best,
            best_ms,
            ratio: best_ms.map(|best| here_ms / best),
            here_peak_mib: most(here, |round| round.peak_mib),
            here_process_mib: most(here, |round| round.process_mib),
            simd: here.first().and_then(|round| round.simd.clone()),
            engines,
        }
    }
}

impl Turn {
    fn new(here_ms: f64, engine: Engine, outcomes: &[Outcome], deviation: Option<f64>) -> Self {
        let mut measured = Vec::with_capacity(outcomes.len());
        let mut reason = None;
        for outcome in outcomes {
            match outcome {
                Outcome::Measured(one) => measured.push(one.clone()),
                Outcome::Cannot { reason: why } => reason = Some(why.clone()),
            }
        }
        if reason.is_none() {
            reason = match deviation {
                None => Some("its answer has another length than the zoo's".into()),
                // What is no number isn't near either.
                Some(far) if far.is_nan() || far > ROUNDING => {
                    Some(format!("its answer is off the zoo's by {far:.1e} of the largest value"))
                }
                Some(_) => None,
            };
        }
        let ms = reason.is_none().then(|| milliseconds(&measured));
        let first = measured.first();
        Self {
            engine: engine.to_string(),
            ms,
            ratio: ms.map(|ms| here_ms / ms),
            peak_mib: most(&measured, |round| round.peak_mib),
            process_mib: most(&measured, |round| round.process_mib),
            deviation,
            version: first.and_then(|round| round.version.clone()),
            simd: first.and_then(|round| round.simd.clone()),
            reason,
            is_engine: engine.is_engine(),
        }
    }
}

/// How far one file of numbers is from another, as a share of the other's largest; nothing if they can't be compared.
pub(super) fn deviation(here: &Path, theirs: &Path) -> Option<f64> {
    let numbers = |path: &Path| -> Option<Vec<f64>> {
        let bytes = fs::read(path).ok()?;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(|bytes| f64::from(f32::from_le_bytes(bytes)));
        bytes.chunks(4).map(number).collect()
    };
    let (here, theirs) = (numbers(here)?, numbers(theirs)?);
    if here.len() != theirs.len() || here.is_empty() {
        return None;
    }
    let largest = here.iter().fold(0f64, |most, value| most.max(value.abs()));
    // `max` would pass over what is no number.
    let far = here
        .iter()
        .zip(&theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0f64, |most, far| if far.is_nan() || most.is_nan() { f64::NAN } else { most.max(far) });
    Some(far / largest)
}

/// The median over the rounds of each round's median.
fn milliseconds(rounds: &[Measured]) -> f64 {
    median(rounds.iter().map(|round| median(round.run_ms.iter().copied())))
}

/// The most that any round needed.
fn most(rounds: &[Measured], of: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
    rounds.iter().filter_map(of).reduce(f64::max)
}

fn mib(mib: Option<f64>) -> String {
    mib.map_or("-".into(), |mib| format!("{mib:.0}"))
}

/// For people: times, then memory, then what else there is to say.
pub(super) fn table(rows: &[Row], engines: &[Engine], simd: Option<Simd>) -> String {
    let names = engines.iter().map(Engine::to_string);
    let head = ["MODEL", "BATCH", "HERE"].map(String::from).into_iter().chain(names.clone());
    let mut times = vec![head.chain(["BEST", "RATIO"].map(String::from)).collect::<Vec<_>>()];
    let head = ["MiB", "BATCH", "HERE"].map(String::from).into_iter().chain(names);
    let mut memory = vec![head.collect::<Vec<_>>()];
    for row in rows {
        let whose = [row.model.clone(), row.batch.to_string()];
        let theirs = row.engines.iter().map(|turn| turn.ms.map_or("-".into(), ms));
        let ends = [
            row.best.clone().unwrap_or_else(|| "-".into()),
            row.ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
        ];
        times.push(whose.iter().cloned().chain([ms(row.here_ms)]).chain(theirs).chain(ends).collect());
        let theirs = row.engines.iter().map(|turn| mib(turn.peak_mib));
        memory.push(whose.into_iter().chain([mib(row.here_peak_mib)]).chain(theirs).collect());
    }
    let mut text = aligned(&times, &[0]) + "\n" + &aligned(&memory, &[0]) + "\n";
    for row in rows {
        for turn in &row.engines {
            if let Some(reason) = &turn.reason {
                let _ = writeln!(text, "{}, batch {}: {}: {reason}", row.model, row.batch, turn.engine);
            }
        }
    }
    text + &said(rows, engines, simd)
}

/// Versions, instruction sets, and the farthest answer of each.
fn said(rows: &[Row], engines: &[Engine], simd: Option<Simd>) -> String {
    let machine: Vec<String> = Simd::available().iter().map(Simd::to_string).collect();
    let here = rows.iter().find_map(|row| row.simd.clone()).unwrap_or_else(|| "not said".into());
    let mut text = format!("here: {here}; the machine has {}\n", machine.join(", "));
    for engine in engines {
        let name = engine.to_string();
        let turns: Vec<&Turn> =
            rows.iter().flat_map(|row| &row.engines).filter(|turn| turn.engine == name).collect();
        let version = turns.iter().find_map(|turn| turn.version.clone()).unwrap_or(name);
        let set = turns.iter().find_map(|turn| turn.simd.clone()).map(|set| format!(", {set}"));
        let far = turns.iter().filter_map(|turn| turn.deviation).reduce(f64::max);
        let far = far.map(|far| format!("; answers within {far:.1e}"));
        let held = engine.not_held().filter(|_| simd.is_some()).map(|why| format!("; {why}"));
        let parts = [set, far, held].into_iter().flatten().collect::<String>();
        let _ = writeln!(text, "{version}{parts}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(run_ms: &[f64]) -> Measured {
        Measured {
            run_ms: run_ms.to_vec(),
            peak_mib: Some(7.0),
            process_mib: Some(9.0),
            version: None,
            simd: None,
        }
    }

    fn ran(ms: f64) -> Vec<Outcome> {
        vec![Outcome::Measured(measured(&[ms]))]
    }

    #[test]
    fn the_ratio_is_to_the_best_engine_and_not_to_pytorch() {
        let here = [measured(&[1.0, 3.0, 9.0]), measured(&[3.0])];
        let theirs = [
            (Engine::Onnxruntime, ran(4.0), Some(1e-7)),
            (Engine::Ncnn, ran(6.0), Some(1e-7)),
            (Engine::Pytorch, ran(2.0), Some(0.0)),
        ];
        let row = Row::new("resnet18", 1, 2, &here, theirs);
        assert_eq!((row.best.as_deref(), row.ratio), (Some("onnxruntime"), Some(0.75)));
        assert_eq!(row.engines[2].ratio, Some(1.5));
        let text = table(&[row], &[Engine::Onnxruntime, Engine::Ncnn, Engine::Pytorch], Some(Simd::Portable));
        assert!(text.contains("onnxruntime   0.75\n") && text.contains("no switch"), "{text}");
    }

    #[test]
    fn another_answer_does_not_count() {
        let theirs = [
            (Engine::Onnxruntime, ran(1.0), Some(0.1)),
            (Engine::Openvino, ran(1.0), None),
            (Engine::Ncnn, vec![Outcome::Cannot { reason: "no ncnn".into() }], None),
            (Engine::Mnn, ran(8.0), Some(1e-5)),
            (Engine::Pytorch, ran(1.0), Some(f64::NAN)),
        ];
        let engines = theirs.each_ref().map(|(engine, ..)| *engine);
        let row = Row::new("resnet18", 1, 2, &[measured(&[4.0])], theirs);
        assert_eq!((row.best.as_deref(), row.ratio), (Some("mnn"), Some(0.5)));
        let reasons: Vec<_> =
            row.engines.iter().map(|turn| turn.reason.clone().unwrap_or_default()).collect();
        assert!(reasons[0].contains("1.0e-1") && reasons[1].contains("another length"), "{reasons:?}");
        assert!(
            reasons[2] == "no ncnn" && reasons[3].is_empty() && reasons[4].contains("NaN"),
            "{reasons:?}"
        );
        let text = table(&[row], &engines, None);
        assert!(text.contains("resnet18, batch 1: ncnn: no ncnn\n") && !text.contains("switch"), "{text}");
    }

    #[test]
    fn answers_are_compared_number_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, values: &[f32]| {
            let path = folder.path().join(name);
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            fs::write(&path, bytes).unwrap();
            path
        };
        let here = file("here", &[1.0, -4.0]);
        assert_eq!(deviation(&here, &file("a", &[1.5, -4.0])), Some(0.125));
        assert_eq!(deviation(&here, &file("b", &[1.0])), None);
        assert!(deviation(&here, &file("c", &[f32::NAN, -4.0])).unwrap().is_nan());
        assert_eq!(deviation(&here, &folder.path().join("nowhere")), None);
    }
}
