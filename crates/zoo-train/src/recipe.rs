//! What a training run is, apart from its network, its data and its seed: TOML, as in this crate's folder `recipes`.
//!
//! ```
//! use zoo_train::{Curve, Recipe};
//!
//! let recipe = Recipe::parse(
//!     r#"
//!     epochs = 30
//!     learning_rate = 0.1
//!     optimizer = { sgd = { weight_decay = 1e-4 } }
//!     schedule = { kind = "step", epochs = 10, factor = 0.1 }
//!     augment = [{ kind = "pad_and_crop", padding = 4 }, { kind = "flip" }]
//!     "#,
//!     "mine.toml",
//! )?;
//! assert_eq!((recipe.batch_size, recipe.schedule), (64, Curve::Step { epochs: 10.0, factor: 0.1 }));
//! assert!(Recipe::parse("epoch = 3", "mine.toml").unwrap_err().to_string().contains("`epoch`"));
//! # Ok::<(), zoo_train::Error>(())
//! ```

use serde::{Deserialize, Serialize};
use zoo_data::{Augment, Mix};
use zoo_layers::{Graph, Recompute};

use crate::optim::{AdamW, Method};
use crate::{Curve, Error, PixelLoss, Result};

/// How a network is trained. What a file leaves out is as in [`Recipe::PLAIN`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// How often every picture is seen.
    pub epochs: usize,
    /// Pictures for each pass. What is left at the end of an epoch, fewer than this, is left out of it.
    pub batch_size: usize,
    /// Passes whose gradients are averaged for one step. The step is that of one large batch, but for batch norms: each
    /// pass normalises by the statistics of its own pictures, which are fewer, and moves the running ones.
    pub accumulate: usize,
    /// What is computed again on the way back instead of kept: less memory for more time, and the same bits.
    #[serde(skip_serializing_if = "Checkpointing::is_off")]
    pub recompute: Checkpointing,
    /// Whether what is kept for the way back is kept as bf16: half the memory, and gradients of rounded numbers.
    #[serde(skip_serializing_if = "is_false")]
    pub keep_bf16: bool,
    /// The optimizer and its settings.
    pub optimizer: Method,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How it goes on after the rise.
    pub schedule: Curve,
    /// Epochs in which it rises.
    pub warmup_epochs: f64,
    /// What the rate of the last layer is multiplied by.
    pub head_rate: f64,
    /// What the rate is multiplied by for each unit further from the head: 1 for none.
    pub layer_decay: f64,
    /// Whether weight decay is for biases and norms too.
    pub decay_all: bool,
    /// The share of certainty that is spread over all classes.
    pub label_smoothing: f64,
    /// What the losses of auxiliary heads count: 0.3 in GoogLeNet's paper (section 5), 0.5 in torchvision's FCN.
    pub auxiliary: f64,
    /// What is made small where each pixel has a class.
    #[serde(skip_serializing_if = "is_plain")]
    pub pixels: PixelLoss,
    /// The largest norm of all gradients together; longer ones are scaled to it. 0 for none.
    pub clip: f64,
    /// How much of the averaged weights each step keeps; it is they that are judged and saved. 0 for none.
    pub ema: f64,
    /// Epochs without a better validation after which the stage ends; 0 for never.
    pub patience: usize,
    /// Whether norms keep their running statistics, and normalise by them.
    pub frozen_norms: bool,
    /// Whether, when the run is over, the best network's norms get the statistics of pictures as they are answered; they keep
    /// them unless the validation part is told worse so.
    #[serde(skip_serializing_if = "is_false")]
    pub precise_norms: bool,
    /// Whether classes count alike, however many pictures they have.
    pub weigh_classes: bool,
    /// Whether classes are drawn alike often, however many pictures they have.
    pub balanced: bool,
    /// Mean and deviation of a digit's pixels, of which paper is 0 and ink is 1.
    pub digits: Option<Scale>,
    /// Scenes of digits to learn from, where no data are given; 48,000 if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenes: Option<u32>,
    /// What is changed in pictures at random.
    pub augment: Vec<Augment>,
    /// Pictures mixed with others.
    pub mix: Mix,
}

/// Gradient checkpointing: what is computed again on the way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checkpointing {
    /// Nothing.
    #[default]
    Off,
    /// What costs little: norms, activations, pools.
    Cheap,
    /// Whatever saves most memory for the time.
    All,
}

impl Checkpointing {
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

impl From<Checkpointing> for Recompute {
    fn from(checkpointing: Checkpointing) -> Self {
        match checkpointing {
            Checkpointing::Off => Self::Nothing,
            Checkpointing::Cheap => Self::Cheap,
            Checkpointing::All => Self::All,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Whether nothing need be said of it: runs that were begun before there was a choice go on.
fn is_plain(pixels: &PixelLoss) -> bool {
    *pixels == PixelLoss::CROSS_ENTROPY
}

/// Mean and deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Taken off each pixel.
    pub mean: f64,
    /// What each pixel is divided by then.
    pub std: f64,
}

/// The recipes that are inside the program, with the networks that they were found for.
const KNOWN: &[(&str, &str)] = &[
    ("lenet5", include_str!("../recipes/lenet5.toml")),
    ("lenet5_paper", include_str!("../recipes/lenet5_paper.toml")),
    ("mnist_convnet", include_str!("../recipes/mnist_convnet.toml")),
    ("digitnet", include_str!("../recipes/digitnet.toml")),
    ("fcn_digits", include_str!("../recipes/fcn_digits.toml")),
    ("fcn32s_small", include_str!("../recipes/fcn_small.toml")),
    ("fcn16s_small", include_str!("../recipes/fcn_small.toml")),
    ("fcn8s_small", include_str!("../recipes/fcn_small.toml")),
    ("resnet20_cifar", include_str!("../recipes/cifar.toml")),
    ("resnet32_cifar", include_str!("../recipes/cifar.toml")),
    ("resnet44_cifar", include_str!("../recipes/cifar.toml")),
    ("resnet56_cifar", include_str!("../recipes/cifar.toml")),
    ("resnet110_cifar", include_str!("../recipes/cifar.toml")),
];

/// For a network that gives each pixel a class.
const SEGMENT: &str = include_str!("../recipes/segment.toml");

/// For whatever network nobody found a recipe for.
const FOLDER: &str = include_str!("../recipes/folder.toml");

/// For a network that has learned, on other pictures.
const FINETUNE: &str = include_str!("../recipes/finetune.toml");

/// The same for one that gives each pixel a class.
const FINETUNE_SEGMENTER: &str = include_str!("../recipes/finetune_segment.toml");

/// For its last layer alone, on features.
const HEAD: &str = include_str!("../recipes/head.toml");

impl Recipe {
    /// Ten epochs of AdamW, nothing changed in the pictures: where to begin with a network of one's own.
    pub const PLAIN: Self = Self {
        epochs: 10,
        batch_size: 64,
        accumulate: 1,
        recompute: Checkpointing::Off,
        keep_bf16: false,
        optimizer: Method::Adamw(AdamW::DEFAULT),
        learning_rate: 2e-3,
        schedule: Curve::Cosine,
        warmup_epochs: 1.0,
        head_rate: 1.0,
        layer_decay: 1.0,
        decay_all: false,
        label_smoothing: 0.0,
        auxiliary: 0.3,
        pixels: PixelLoss::CROSS_ENTROPY,
        clip: 0.0,
        ema: 0.0,
        patience: 0,
        frozen_norms: false,
        precise_norms: false,
        weigh_classes: false,
        balanced: false,
        digits: None,
        scenes: None,
        augment: Vec::new(),
        mix: Mix::NONE,
    };

    /// The recipe as TOML, which [`parse`](Self::parse) reads again.
    ///
    /// # Errors
    /// None is known.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|source| Error::Written { source })
    }

    /// The recipe that was found for a network of the zoo, or one for folders of pictures.
    ///
    /// # Errors
    /// None: a test reads every one.
    pub fn for_model(name: &str) -> Result<Self> {
        match KNOWN.iter().find(|(model, _)| *model == name) {
            Some((model, text)) => Self::parse(text, model),
            None => Self::parse(FOLDER, "folder.toml"),
        }
    }

    /// The recipe that was found for a network of the zoo that gives each pixel a class, or one for all of them.
    ///
    /// # Errors
    /// None: a test reads every one.
    pub fn for_segmenter(name: &str) -> Result<Self> {
        match KNOWN.iter().any(|(model, _)| *model == name) {
            true => Self::for_model(name),
            false => Self::parse(SEGMENT, "segment.toml"),
        }
    }

    /// The recipe for a network that has learned on other pictures.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn finetune() -> Result<Self> {
        Self::parse(FINETUNE, "finetune.toml")
    }

    /// The recipe for a network that gives each pixel a class and has learned on other pictures: small steps, norms as they
    /// are.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn finetune_segmenter() -> Result<Self> {
        Self::parse(FINETUNE_SEGMENTER, "finetune_segment.toml")
    }

    /// The recipe for a new last layer on features that were computed once.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn head() -> Result<Self> {
        Self::parse(HEAD, "head.toml")
    }

    /// Reads a recipe; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Toml`] for what is no recipe; as [`check`](Self::check).
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let recipe: Self = toml::from_str(text)
            .map_err(|source| Error::Toml { name: name.into(), source: Box::new(source) })?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Whether a network of which these layers and scopes don't learn can be trained by it, from pictures.
    ///
    /// # Errors
    /// As [`check`](Self::check); [`Error::BatchOfOne`].
    pub fn check_for(&self, graph: &Graph, frozen: &[String]) -> Result<()> {
        self.check()?;
        match crate::groups::live_norm(graph, frozen, self.frozen_norms) {
            Some(norm) if self.batch_size == 1 => Err(Error::BatchOfOne { norm: norm.into() }),
            _ => Ok(()),
        }
    }

    /// Whether it can be followed.
    ///
    /// # Errors
    /// [`Error::Recipe`] names the first field that can't.
    pub fn check(&self) -> Result<()> {
        let fault = |field, value: &dyn ToString, allowed| {
            Err(Error::Recipe { field, value: value.to_string(), allowed })
        };
        let share = |value: f64| (0.0..1.0).contains(&value);
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let not_negative = |value: f64| value >= 0.0 && value.is_finite();
        let below_one = "at least 0 and less than 1";
        let (memories, epsilon, decay): (&[_], _, _) = match &self.optimizer {
            Method::Sgd(sgd) => (&[("momentum", sgd.momentum)], 1.0, sgd.weight_decay),
            Method::Adamw(adamw) => {
                (&[("beta1", adamw.beta1), ("beta2", adamw.beta2)], adamw.epsilon, adamw.weight_decay)
            }
            Method::Rmsprop(rms) => {
                (&[("alpha", rms.alpha), ("momentum", rms.momentum)], rms.epsilon, rms.weight_decay)
            }
        };
        if let Some((name, value)) = memories.iter().find(|(_, value)| !share(*value)) {
            return fault(name, value, below_one);
        }
        let curve = match self.schedule {
            Curve::Step { epochs, factor } => positive(epochs) && positive(factor),
            Curve::Polynomial { power } => positive(power),
            Curve::OneCycle { rise } => share(rise),
            Curve::Constant | Curve::Cosine => true,
        };
        self.augment.iter().try_for_each(Augment::check)?;
        if let Some((field, value, allowed)) = self.pixels.fault() {
            return fault(field, &value, allowed);
        }
        self.mix.check()?;
        match self {
            _ if !(1..=1_000_000).contains(&self.epochs) => {
                fault("number of epochs", &self.epochs, "from 1 to 1,000,000")
            }
            _ if self.batch_size == 0 => fault("batch size", &0, "at least 1"),
            _ if !(1..=1_000_000).contains(&self.accumulate) => {
                fault("accumulation", &self.accumulate, "from 1 to 1,000,000")
            }
            _ if !positive(self.learning_rate) => {
                fault("learning rate", &self.learning_rate, "a number above 0")
            }
            _ if !positive(epsilon) => fault("epsilon", &epsilon, "a number above 0"),
            _ if !not_negative(decay) => fault("weight decay", &decay, "a number of at least 0"),
            _ if !curve => fault("schedule", &format!("{:?}", self.schedule), "of numbers above 0"),
            _ if !not_negative(self.warmup_epochs) => {
                fault("warm-up", &self.warmup_epochs, "a number of at least 0")
            }
            _ if !not_negative(self.head_rate) => {
                fault("head's rate", &self.head_rate, "a number of at least 0")
            }
            _ if !(positive(self.layer_decay) && self.layer_decay <= 1.0) => {
                fault("layer decay", &self.layer_decay, "above 0 and at most 1")
            }
            _ if !share(self.label_smoothing) => fault("label smoothing", &self.label_smoothing, below_one),
            _ if !not_negative(self.auxiliary) => {
                fault("auxiliary weight", &self.auxiliary, "a number of at least 0")
            }
            _ if !not_negative(self.clip) => fault("clipping", &self.clip, "a number of at least 0"),
            _ if self.scenes == Some(0) => fault("number of scenes", &0, "at least 1"),
            _ if !share(self.ema) => fault("averaging", &self.ema, below_one),
            _ => match self.digits {
                Some(Scale { mean, .. }) if !mean.is_finite() => fault("mean", &mean, "a number"),
                Some(Scale { std, .. }) if !positive(std) => fault("deviation", &std, "a number above 0"),
                _ => Ok(()),
            },
        }
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self::PLAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Sgd;

    #[test]
    fn every_recipe_can_be_followed_and_survives_json() {
        let mut recipes = vec![
            Recipe::PLAIN,
            Recipe::finetune().unwrap(),
            Recipe::head().unwrap(),
            Recipe::for_segmenter("fcn8s").unwrap(),
            Recipe::finetune_segmenter().unwrap(),
            Recipe::for_model("vgg16").unwrap(),
        ];
        recipes.extend(KNOWN.iter().map(|(model, _)| Recipe::for_model(model).unwrap()));
        // Some are given by path alone.
        let files = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes");
        for file in std::fs::read_dir(files).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            recipes.push(Recipe::parse(&text, &path.to_string_lossy()).unwrap());
        }
        for recipe in recipes {
            recipe.check().unwrap();
            let json = serde_json::to_string(&recipe).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe, "{json}");
            let toml = recipe.to_toml().unwrap();
            assert_eq!(Recipe::parse(&toml, "printed").unwrap(), recipe, "{toml}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        let sgd = Method::Sgd(Sgd { momentum: 1.0, ..Sgd::NESTEROV });
        let digits = Some(Scale { mean: 0.0, std: 0.0 });
        for (recipe, expected) in [
            (
                Recipe { epochs: 0, ..Recipe::PLAIN },
                "the recipe's number of epochs is 0; it must be from 1 to 1,000,000",
            ),
            (Recipe { batch_size: 0, ..Recipe::PLAIN }, "batch size is 0"),
            (Recipe { learning_rate: f64::NAN, ..Recipe::PLAIN }, "learning rate is NaN"),
            (Recipe { label_smoothing: 1.0, ..Recipe::PLAIN }, "label smoothing is 1"),
            (Recipe { digits, ..Recipe::PLAIN }, "deviation is 0"),
            (Recipe { scenes: Some(0), ..Recipe::PLAIN }, "number of scenes is 0"),
            (Recipe { optimizer: sgd, ..Recipe::PLAIN }, "momentum is 1"),
            (Recipe { layer_decay: 0.0, ..Recipe::PLAIN }, "layer decay is 0"),
            (Recipe { ema: 1.0, ..Recipe::PLAIN }, "averaging is 1"),
            (Recipe { schedule: Curve::OneCycle { rise: 1.0 }, ..Recipe::PLAIN }, "schedule is OneCycle"),
        ] {
            let error = recipe.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
