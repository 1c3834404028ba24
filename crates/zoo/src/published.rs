//! Published weights: what there is for a network, what of it is here, and how it gets here.

use zoo_weights::{Event, Fetcher, Here, Manifest, Settings, Weights};

use crate::{Error, Result};

/// Weights that somebody published for an architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWeights {
    /// `resnet50.tv_in1k`.
    pub tag: String,
    /// Whether they can be loaded without the network.
    pub here: bool,
}

/// The published weights and the places where they may be.
pub struct Published {
    manifest: Manifest,
    fetcher: Fetcher,
}

impl Published {
    /// Reads the manifest and the places that the environment names (`HF_HOME`, `TORCH_HOME`, …). Asks no
    /// network.
    ///
    /// # Errors
    /// A place in the environment that can't be used.
    pub fn new(offline: bool) -> Result<Self> {
        let mut settings = Settings::from_env()?;
        settings.offline |= offline;
        Ok(Self { manifest: Manifest::published()?, fetcher: Fetcher::new(settings) })
    }

    /// The same, with every file taken from a mirror if one is given.
    #[must_use]
    pub fn mirrored(self, mirror: Option<String>) -> Self {
        match mirror {
            Some(_) => {
                let settings = self.fetcher.settings().clone().with_mirror(mirror);
                Self { fetcher: Fetcher::new(settings), ..self }
            }
            None => self,
        }
    }

    /// What is published for the architecture called `name`, the default first.
    pub fn of(&self, name: &str) -> Vec<KnownWeights> {
        let known =
            |weights: &Weights| KnownWeights { tag: weights.tag.clone(), here: self.is_here(weights) };
        self.manifest.of(name).map(known).collect()
    }

    fn is_here(&self, weights: &Weights) -> bool {
        weights.built_in() || self.fetcher.locate(weights).is_some()
    }

    /// The weights of a tag, or an architecture's default.
    pub(crate) fn find(&self, name: &str) -> Result<&Weights> {
        Ok(self.manifest.find(name)?)
    }

    /// The file of weights that are here already.
    pub(crate) fn locate(&self, weights: &Weights) -> Option<Here> {
        self.fetcher.locate(weights)
    }

    /// Fetches the weights of a tag or an architecture's default, if they are not here.
    ///
    /// # Errors
    /// An unknown name; offline; no source that gives them.
    pub fn fetch(&self, name: &str, events: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let weights = self.find(name)?;
        if !weights.built_in() {
            self.fetcher.fetch(weights, events).map_err(Error::from)?;
        }
        Ok(())
    }
}
