//! What was published of an architecture, as the commands print it.

use serde::Serialize;
use zoo::{Accuracy, Architecture, Metric, Model};

/// Names, origin and published accuracy.
#[derive(Debug, Serialize)]
pub(crate) struct Facts {
    pub(crate) name: &'static str,
    pub(crate) family: &'static str,
    pub(crate) year: u16,
    pub(crate) authors: &'static str,
    pub(crate) idea: &'static str,
    pub(crate) top1: Option<f64>,
    top1_source: Option<&'static str>,
    /// The top-1 once more, or another figure where only that was published.
    pub(crate) accuracy: Option<Published>,
}

/// An accuracy in percent.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Published {
    pub(crate) metric: &'static str,
    pub(crate) percent: f64,
    pub(crate) source: &'static str,
}

impl Published {
    /// `76.13 % top-1`.
    pub(crate) fn text(&self) -> String {
        format!("{} % {}", self.percent, self.metric)
    }
}

impl From<Accuracy> for Published {
    fn from(accuracy: Accuracy) -> Self {
        let metric = match accuracy.metric {
            Metric::Top1 => "top-1",
            Metric::Top5 => "top-5",
            Metric::MeanIou => "mean IoU",
        };
        Self { metric, percent: accuracy.percent, source: accuracy.source }
    }
}

impl Facts {
    /// Of a model that isn't the published one (a file, other classes or channels, a part) no accuracy is known.
    pub(crate) fn of_model(model: &Model) -> Self {
        let facts = Self::of(model.architecture());
        let asked = model.options();
        // Its own size is no change.
        let own = model.architecture().graph().ok().map(|graph| graph.input().size());
        let asked = zoo::Options { input_size: asked.input_size.filter(|size| Some(*size) != own), ..asked };
        match model.file().is_none() && asked == zoo::Options::default() {
            true => facts,
            false => Self { top1: None, top1_source: None, accuracy: None, ..facts },
        }
    }

    pub(crate) fn of(architecture: &Architecture) -> Self {
        let (family, top1) = (architecture.family, architecture.top1());
        Self {
            name: architecture.name,
            family: family.name,
            year: family.year,
            authors: family.authors,
            idea: family.idea,
            top1,
            top1_source: top1.and(architecture.accuracy).map(|accuracy| accuracy.source),
            accuracy: architecture.accuracy.map(Published::from),
        }
    }
}

/// `3x224x224`.
pub(crate) fn dims(sides: &[usize]) -> String {
    sides.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}
