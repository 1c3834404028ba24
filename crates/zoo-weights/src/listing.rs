//! The list of published weights, as `zoo fetch --list` and `cargo xtask fetch-weights --list` show it.

use serde::Serialize;

use crate::{Digest, Fetcher, Manifest, Place, Source, Weights};

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// `resnet50.tv_in1k`.
    pub tag: String,
    /// Whether they can be loaded without the network.
    pub here: bool,
    /// Size of the first source's file in 10⁶ bytes, where it is published.
    pub megabytes: Option<f64>,
    /// Published accuracy in percent: the right class comes first.
    pub top1: Option<f64>,
    /// Published mean intersection over union in percent, of segmentation.
    pub miou: Option<f64>,
    /// Who published the accuracy.
    pub accuracy_source: Option<String>,
    /// SPDX expression.
    pub licence: String,
    /// Where they are, in the order to try; none where they are inside the program.
    pub sources: Vec<ListedSource>,
}

/// A place where weights are published.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListedSource {
    /// A host, or `hub:owner/name`.
    pub at: String,
    /// What tells that its file is the right one.
    pub checked_by: String,
}

impl Listed {
    /// What the cells of a line are called.
    pub const HEAD: [&str; 7] = ["tag", "here", "MB", "accuracy", "checked by", "licence", "sources"];

    /// The line for people. A source that is checked by other means than the first one says so itself.
    pub fn cells(&self) -> [String; 7] {
        let none = || "-".to_string();
        let accuracy = match (self.top1, self.miou) {
            (Some(top1), _) => format!("{top1:.3}"),
            (None, Some(miou)) => format!("{miou:.1} mIoU"),
            (None, None) => none(),
        };
        let first = self.sources.first().map_or("built in", |source| &source.checked_by);
        let sources = self.sources.iter().map(|ListedSource { at, checked_by }| match checked_by.as_str() {
            by if by == first || by.starts_with("sha256") => at.clone(),
            by => format!("{at} ({by})"),
        });
        [
            self.tag.clone(),
            if self.here { "yes".into() } else { none() },
            self.megabytes.map_or_else(none, |megabytes| format!("{megabytes:.1}")),
            accuracy,
            first.into(),
            self.licence.clone(),
            sources.collect::<Vec<_>>().join(", "),
        ]
    }
}

impl Fetcher {
    /// The published weights whose tag has one of `parts` in it; without parts all of them.
    pub fn list<S: AsRef<str>>(&self, manifest: &Manifest, parts: &[S]) -> Vec<Listed> {
        let wanted = |tag: &str| parts.is_empty() || parts.iter().any(|part| tag.contains(part.as_ref()));
        let chosen = manifest.weights.iter().filter(|weights| wanted(&weights.tag));
        chosen.map(|weights| self.listed(weights)).collect()
    }

    fn listed(&self, weights: &Weights) -> Listed {
        let source = |source| ListedSource { at: place(source), checked_by: checked_by(source) };
        let size = weights.sources.first().and_then(|source| source.mib);
        Listed {
            tag: weights.tag.clone(),
            here: weights.built_in() || self.locate(weights).is_some(),
            megabytes: size.map(|mib| (mib * 1_048.576).round() / 1e3),
            top1: weights.accuracy.top1,
            miou: weights.accuracy.miou,
            accuracy_source: weights.accuracy.source.clone(),
            licence: weights.licence.clone(),
            sources: weights.sources.iter().map(source).collect(),
        }
    }
}

fn checked_by(source: &Source) -> String {
    match (&source.digest, &source.place) {
        (Some(Digest::Sha256(digits)), _) if digits.len() == 64 => "sha256".into(),
        (Some(Digest::Sha256(digits)), _) => format!("sha256 {digits}…"),
        (Some(Digest::Md5(_)), _) => "md5".into(),
        // Neither the commit nor the content is fixed: what the branch has at the time is what comes.
        (None, Place::Hub { revision, .. }) if revision == "main" => "the hub's hash, not pinned".into(),
        (None, Place::Hub { .. }) => "the hub's hash".into(),
        (None, Place::Url(_)) => "nothing".into(),
    }
}

fn place(source: &Source) -> String {
    match &source.place {
        Place::Hub { repo, .. } => format!("hub:{repo}"),
        Place::Url(url) => url.split('/').nth(2).unwrap_or(url).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn what_nobody_gives_a_checksum_for_is_marked() -> Result<(), Box<dyn std::error::Error>> {
        let manifest = Manifest::published()?;
        let fetcher = Fetcher::new(Settings::from_env()?);
        let cells = |tag: &str| fetcher.list(&manifest, &[tag]).remove(0).cells();
        let resnet = cells("resnet50.tv_in1k");
        assert_eq!(resnet[4], "sha256 0676ba61…");
        assert!(resnet[6].contains("hub:smp-hub/resnet50.imagenet (the hub's hash)"), "{resnet:?}");
        assert!(cells("seresnet50.a1")[6].contains("(the hub's hash, not pinned)"));
        assert_eq!(cells("mobilenet_v2_keras.in1k")[4], "nothing");
        assert_eq!(cells("lenet5.mnist")[1..5], ["yes", "-", "99.000", "built in"].map(String::from));
        assert_eq!(fetcher.list(&manifest, &[] as &[&str]).len(), manifest.weights.len());
        Ok(())
    }
}
