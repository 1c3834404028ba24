//! What a run came to, for programs to read.

use serde_json::{Value, json};
use zoo_data::Skipped;
use zoo_train::{Confusion, Epoch, PixelScore, Score, Standing};

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

/// What a network came to on the test part.
pub(crate) enum Tested {
    /// Pictures, each of a class.
    Pictures(Score),
    /// Pictures whose pixels have classes.
    Pixels(PixelScore),
}

impl Tested {
    /// What of it stands in the network's file.
    pub(crate) fn counted(&self) -> Value {
        match self {
            Self::Pictures(score) => json!({"pictures": score.pictures, "top1": score.accuracy()}),
            Self::Pixels(score) => json!({
                "pictures": score.pictures,
                "pixel_accuracy": score.confusion.pixel_accuracy(),
                "mean_iou": score.confusion.mean_iou(),
            }),
        }
    }

    /// The same in words.
    pub(crate) fn told(&self) -> String {
        let percent =
            |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.2} %", share * 100.0));
        match self {
            Self::Pictures(Score { pictures: 0, unread, .. })
            | Self::Pixels(PixelScore { pictures: 0, unread, .. }) => {
                format!("none of the {} test pictures can be read", unread.len())
            }
            Self::Pictures(score) => {
                let share = percent(Some(score.accuracy()));
                format!("{} of {} test pictures right, {share}", score.top1, score.pictures)
            }
            Self::Pixels(PixelScore { pictures, confusion, .. }) => format!(
                "mean IoU {} on {pictures} test pictures, {} of their pixels right",
                percent(confusion.mean_iou()),
                percent(confusion.pixel_accuracy())
            ),
        }
    }

    /// The pictures that could not be read.
    pub(crate) fn unread(&self) -> &[Skipped] {
        match self {
            Self::Pictures(score) => &score.unread,
            Self::Pixels(score) => &score.unread,
        }
    }

    /// For each true class, how often each class was given.
    pub(crate) fn confusion(&self) -> Vec<Vec<usize>> {
        match self {
            Self::Pictures(score) => score.confusion.clone(),
            Self::Pixels(score) => score.confusion.rows(),
        }
    }

    fn whole(&self, classes: &[String]) -> Value {
        match self {
            Self::Pictures(score) => self::score(score, classes),
            Self::Pixels(PixelScore { pictures, loss, confusion, .. }) => {
                let mut value = pixels(confusion, classes);
                value["pictures"] = json!(pictures);
                value["top1"] = json!(confusion.pixel_accuracy());
                value["loss"] = json!(loss);
                value["confusion"] = json!(confusion.rows());
                value
            }
        }
    }
}

/// What is measured of pixels, as `eval` and `report.json` have it.
pub(crate) fn pixels(confusion: &Confusion, classes: &[String]) -> Value {
    let rows =
        classes.iter().enumerate().map(|(class, name)| json!({"name": name, "iou": confusion.iou(class)}));
    json!({
        "pixels": confusion.pixels(),
        "pixel_accuracy": confusion.pixel_accuracy(),
        "mean_accuracy": confusion.mean_accuracy(),
        "mean_iou": confusion.mean_iou(),
        "frequency_weighted_iou": confusion.frequency_weighted_iou(),
        "classes": rows.collect::<Vec<_>>(),
    })
}

/// The whole report of a run. It holds no time, path or machine: the same run gives the same report.
pub(crate) fn report(
    plan: &Plan,
    model: &str,
    parts: &Parts,
    (standing, best): (&Standing, Option<&Epoch>),
    test: Option<&Tested>,
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
        "best": best,
        "history": standing.history,
        "test": test.map(|test| test.whole(classes)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_part_that_can_not_be_read_is_told_in_words() {
        let skipped = |index| Skipped { index, name: "a.png".into(), why: "no picture".into() };
        let score = Score { unread: vec![skipped(0), skipped(1)], ..Score::default() };
        assert_eq!(Tested::Pictures(score).told(), "none of the 2 test pictures can be read");
    }
}
