//! What a run came to, for programs to read.

use serde_json::{Value, json};
use zoo_train::{Score, Standing};

use super::{Parts, Plan};

/// A score as `eval` and `report.json` have it.
pub(crate) fn score(score: &Score, classes: &[String]) -> Value {
    let rows = classes.iter().enumerate().map(|(index, name)| {
        let (precision, recall) = score.precision_and_recall(index);
        let pictures: usize = score.confusion.get(index).map_or(0, |row| row.iter().sum());
        json!({"name": name, "pictures": pictures, "precision": precision, "recall": recall})
    });
    json!({
        "pictures": score.pictures,
        "top1": score.accuracy(),
        "top5": score.accuracy5(),
        "loss": score.loss,
        "ece": score.ece,
        "classes": rows.collect::<Vec<_>>(),
        "confusion": score.confusion,
    })
}

/// The whole report of a run. It holds no time, path or machine: the same run gives the same report.
pub(crate) fn report(
    plan: &Plan,
    model: &str,
    parts: &Parts,
    standing: &Standing,
    test: Option<&Score>,
) -> Value {
    use zoo_data::Part::{Test, Train, Validation};

    let classes = parts.data.classes();
    let stages = plan.stages.iter().map(|stage| {
        let epochs: Vec<_> = standing.history.iter().filter(|epoch| epoch.stage == stage.name).collect();
        let best = epochs
            .iter()
            .filter_map(|epoch| epoch.validation_top1)
            .fold(None, |best: Option<f64>, top1| Some(best.map_or(top1, |best| best.max(top1))));
        json!({"name": stage.name, "epochs": epochs.len(), "validation_top1": best})
    });
    json!({
        "model": model,
        "kind": plan.kind,
        "seed": plan.seed,
        "classes": classes,
        "split": {
            "fingerprint": parts.listing.fingerprint,
            "shares": parts.listing.shares,
            "train": parts.count(Train),
            "validation": parts.count(Validation),
            "test": parts.count(Test),
        },
        "stages": stages.collect::<Vec<_>>(),
        "best": standing.best.and_then(|best| standing.history.get(best)),
        "history": standing.history,
        "test": test.map(|test| score(test, classes)),
    })
}
