//! A run from its plan to its report.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::Device;
use indicatif::{HumanDuration, ProgressBar};
use serde_json::{Value, json};
use zoo::{Model, Network};
use zoo_data::{Dataset, Loader, LoaderOptions, Part, Pipeline, Sampling, Skipped, shown};
use zoo_layers::Node;
use zoo_train::{Cached, Ending, Epoch, Progress, RunFolder, Source, Stage, Standing, Trainer};
use zoo_weights::Destination;

use super::watched::Watched;
use super::{Kind, Parts, Plan, StagePlan, Tested, Thawed, data::testing, report::report};
use crate::{output, running};

/// Time between two checkpoints within an epoch.
const EVERY: Duration = Duration::from_secs(60);

/// Set by Ctrl-C: the step or the looking that is under way is ended, and the run written down.
static STOP: AtomicBool = AtomicBool::new(false);

/// Whether nobody has asked to stop.
fn going_on() -> ControlFlow<()> {
    match STOP.load(Ordering::SeqCst) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// A run that is ready to begin, or to go on.
pub(crate) struct Session {
    pub(crate) plan: Plan,
    pub(crate) folder: RunFolder,
    pub(crate) network: Network,
    pub(crate) parts: Parts,
    pub(crate) device: Device,
    /// Time between two checkpoints within an epoch, where it isn't the usual.
    pub(crate) every: Option<u64>,
}

/// A stage with what it needs.
struct Ready {
    frozen: Vec<String>,
    train: Box<dyn Source>,
    validation: Option<Box<dyn Source>>,
    from: Option<Node>,
    class_weights: Option<Vec<f32>>,
}

/// The folder of a run, and the file to write beside it, for what `-o` says.
pub(crate) fn place(output: Option<&Path>, model: &str) -> Result<(PathBuf, Option<PathBuf>)> {
    let Some(path) = output else { return Ok((PathBuf::from(format!("{model}.run")), None)) };
    running::check_named(path)?;
    let is_file = path.extension().is_some_and(|ending| ending == "safetensors");
    let is_stream = matches!(Destination::of(path), Ok(Destination::Stream(_)));
    if !is_file && !is_stream {
        if !path.is_dir() {
            running::check_ending(path, "a run's folder", &["safetensors"])?;
        }
        return Ok((path.to_path_buf(), None));
    }
    running::writable(path)?;
    let folder = match is_stream {
        // Beside a device or a pipe is no place for a folder.
        true => std::env::temp_dir().join(format!("zoo-{}.run", std::process::id())),
        false => path.with_extension("run"),
    };
    Ok((folder, Some(path.to_path_buf())))
}

impl Plan {
    /// The model that is asked for, with its own classes.
    pub(crate) fn named(&self) -> Result<Model> {
        Ok(running::model(&self.model)?.with_options(self.options.clone()))
    }

    /// The model that is asked for, to tell apart these classes.
    pub(crate) fn asked(&self, classes: &[String], device: &Device) -> Result<Model> {
        let model = self.named()?;
        Ok(model.class_names(classes.to_vec()).seed(self.seed).on(device.clone()))
    }
}

impl Session {
    /// What tells this run from others, without a place or a time.
    fn identity(&self) -> Result<Value> {
        let listing = serde_json::to_string(&self.parts.listing)?;
        let card = self.network.card()?;
        let count = |part| self.parts.count(part);
        Ok(json!({
            "architecture": card["architecture"],
            "options": card["options"],
            "preprocessing": card["preprocessing"],
            "kind": self.plan.kind,
            "stages": self.plan.stages,
            "seed": self.plan.seed,
            "data": {
                "fingerprint": self.parts.listing.fingerprint,
                "split": format!("{:016x}", zoo_layers::rng::hash_name(&listing)),
                "train": count(Part::Train),
                "validation": count(Part::Validation),
                "test": count(Part::Test),
            },
        }))
    }

    /// Runs to the end, and gives what is to be printed.
    pub(crate) fn run(mut self) -> Result<String> {
        // A second Ctrl-C ends the program as ever: nothing is lost but the time since the last checkpoint.
        let _ = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            output::note("ending this step; once more ends at once");
        });
        let identity = self.identity()?;
        let card = self.network.card()?;
        // What is computed before the first step, features for a head, is of the weights that the run has.
        let standing = zoo_train::take_up(&self.folder, &identity, self.network.net()?)?;
        let begun = standing.as_ref().map_or(0, |standing| standing.stage);
        if begun == self.plan.stages.len() {
            output::note(&format!("the run in {} has learned all it should", shown(self.folder.path())));
        }
        let pipeline = self.network.prepare().pipeline()?;
        let mut bar = Bar::new();
        let mut ready = Vec::new();
        for (number, stage) in self.plan.stages.iter().enumerate() {
            match self.ready((number, stage), &pipeline, number < begun, &mut bar) {
                Ok(stage) => ready.push(stage),
                Err(error) => {
                    bar.clear();
                    return match error.downcast_ref() {
                        Some(zoo_train::Error::Ended) if standing.is_some() => Err(self.stopped()),
                        Some(zoo_train::Error::Ended) => Err(anyhow!(
                            "stopped before anything was learned; `zoo {} --resume {}` begins with the pictures' features again",
                            self.command(),
                            shown(self.folder.path())
                        )),
                        _ => Err(error),
                    };
                }
            }
        }
        let plans = self.plan.stages.clone();
        let stages: Vec<Stage<'_>> = plans
            .iter()
            .zip(&ready)
            .map(|(plan, ready)| Stage {
                name: plan.name.clone(),
                recipe: plan.recipe.clone(),
                frozen: ready.frozen.clone(),
                train: &*ready.train,
                validation: ready.validation.as_deref(),
                from: ready.from,
                class_weights: ready.class_weights.clone(),
            })
            .collect();
        let mut trainer = Trainer {
            net: self.network.net_mut()?,
            stages: &stages,
            seed: self.plan.seed,
            device: &self.device,
            folder: &self.folder,
            card: (Network::KEY, &card),
            identity: &identity,
            every: self.every.map_or(EVERY, Duration::from_secs),
        };
        let ending = trainer.run(&mut |progress| {
            bar.show(progress);
            going_on()
        });
        match ending {
            Ok(Ending::Finished(standing)) => {
                let done = self.finish(&standing, &identity, card, &pipeline, &mut bar);
                bar.clear();
                match done {
                    Ok(printed) => self.over(printed),
                    Err(error) => Err(match error.downcast_ref() {
                        Some(zoo_train::Error::Ended) => self.stopped(),
                        _ => error,
                    }),
                }
            }
            Ok(Ending::Stopped(_)) => {
                bar.clear();
                Err(self.stopped())
            }
            Err(error) => {
                bar.clear();
                Err(self.told(error))
            }
        }
    }

    fn stopped(&self) -> anyhow::Error {
        let (command, folder) = (self.command(), shown(self.folder.path()));
        anyhow!("stopped, and written down; go on with `zoo {command} --resume {folder}`")
    }

    /// An error of the run, with how to go on from what it had made.
    fn told(&self, error: zoo_train::Error) -> anyhow::Error {
        let best = self.folder.best();
        match &error {
            zoo_train::Error::Diverged { .. } if best.exists() => anyhow!(
                "{error}; another run can begin with the best network so far: `zoo {} --rate {:.1e} …`",
                match self.plan.kind {
                    Kind::Train => format!("train {} --init-from {}", self.plan.model, shown(&best)),
                    Kind::Finetune => format!("finetune {}", shown(&best)),
                },
                self.plan.stages.last().map_or(1e-4, |stage| stage.recipe.learning_rate) / 3.0
            ),
            _ => error.into(),
        }
    }

    fn command(&self) -> &'static str {
        match self.plan.kind {
            Kind::Train => "train",
            Kind::Finetune => "finetune",
        }
    }

    /// Makes a stage's sources; of one that is over, they are only named. Each stage draws from a seed of its own.
    fn ready(
        &self,
        (number, stage): (usize, &StagePlan),
        pipeline: &Pipeline,
        is_over: bool,
        bar: &mut Bar,
    ) -> Result<Ready> {
        let recipe = &stage.recipe;
        let seed = zoo_train::stage_seed(self.plan.seed, number);
        let sampling = if recipe.balanced { Sampling::Balanced } else { Sampling::Shuffled };
        let graph = self.network.graph();
        let train = self.parts.part(Part::Train)?.context("there are no pictures to learn from")?;
        let validation = self.parts.part(Part::Validation)?;
        let class_weights = match (recipe.weigh_classes, train.has_masks()) {
            (false, _) => None,
            (true, false) => Some(zoo_data::class_weights(&zoo_data::counts(&*train))),
            (true, true) => Some(zoo_data::class_weights(&zoo_data::pixel_counts(&*train))),
        };
        let frozen = stage.thawed.frozen(graph)?;
        let plain =
            |data: Arc<dyn Dataset>| testing(data, pipeline.clone(), recipe.batch_size, self.plan.strict);
        if stage.thawed == Thawed::Head && !is_over {
            let from = graph.features();
            let train = self.features(plain(train)?, from, recipe.batch_size, bar)?.drawn(seed, sampling);
            let validation = validation
                .map(|data| -> Result<Box<dyn Source>> {
                    Ok(Box::new(self.features(plain(data)?, from, recipe.batch_size, bar)?))
                })
                .transpose()?;
            return Ok(Ready { frozen, train: Box::new(train), validation, from: Some(from), class_weights });
        }
        let options = LoaderOptions {
            mix: recipe.mix,
            sampling,
            strict: self.plan.strict,
            workers: running::threads(),
            ..LoaderOptions::training(recipe.batch_size, seed)
        };
        let augmented = Pipeline { augment: recipe.augment.clone(), ..pipeline.clone() };
        let train: Box<dyn Source> = Box::new(Loader::new(train, augmented, options)?);
        let validation =
            validation.map(|data| -> Result<Box<dyn Source>> { Ok(Box::new(plain(data)?)) }).transpose()?;
        Ok(Ready { frozen, train, validation, from: None, class_weights })
    }

    /// What the network makes of all pictures at a node.
    fn features(&self, loader: Loader, node: Node, batch: usize, told: &mut Bar) -> Result<Cached> {
        let loader = Watched::new(loader, batch, "pictures seen once", &STOP);
        let done = Cached::compute(self.network.net()?, node, &loader, &self.device, batch)?;
        told.name(done.unread());
        Ok(done)
    }

    /// The best epoch, whose weights the network has, with its norms made precise where its recipe says so: as it is judged
    /// then, or as it was if it is better so.
    fn settled(&mut self, best: &Epoch, pipeline: &Pipeline, bar: &Bar) -> Result<Epoch> {
        let Some(StagePlan { thawed, recipe, .. }) =
            self.plan.stages.iter().find(|stage| stage.name == best.stage && stage.recipe.precise_norms)
        else {
            return Ok(best.clone());
        };
        let graph = self.network.graph();
        let frozen = zoo_train::frozen(graph, &thawed.frozen(graph)?, recipe.frozen_norms)?;
        let options = LoaderOptions {
            strict: self.plan.strict,
            workers: running::threads(),
            ..LoaderOptions::training(recipe.batch_size, self.plan.seed)
        };
        let train = self.parts.part(Part::Train)?.context("there are no pictures to learn from")?;
        let batch = recipe.batch_size;
        let train = Loader::new(train, pipeline.clone(), options)?;
        let train = Watched::new(train, batch, "pictures, for precise norms", &STOP);
        let net = self.network.net_mut()?;
        net.freeze(frozen);
        if !zoo_train::precise_norms(net, &train, &self.device)? {
            return Ok(best.clone());
        }
        let Some(validation) = self.parts.part(Part::Validation)? else {
            bar.say("norms made precise; there is no validation part to judge that by");
            return Ok(best.clone());
        };
        let validation = testing(validation, pipeline.clone(), batch, self.plan.strict)?;
        let validation = Watched::new(validation, batch, "pictures to judge precise norms by", &STOP);
        let judged = best.judged(net, &validation, &self.device)?;
        let [after, before] = [&judged, best].map(|epoch| 100.0 * epoch.merit().unwrap_or_default());
        if best.is_better_than(&judged) {
            bar.say(&format!(
                "norms as they were: validation {before:.2} %, {after:.2} had they been made precise"
            ));
            self.folder.load_best(net)?;
            return Ok(best.clone());
        }
        bar.say(&format!("norms made precise: validation {after:.2} %, {before:.2} before"));
        Ok(judged)
    }

    /// Tests the best network, once, and writes the report. Who stops here has learned all; the rest is done when the run is
    /// taken up.
    fn finish(
        &mut self,
        standing: &Standing,
        identity: &Value,
        mut card: Value,
        pipeline: &Pipeline,
        bar: &mut Bar,
    ) -> Result<String> {
        // What steps computed into is not needed beside what a test does.
        self.network.net()?.forget_memory();
        self.folder.load_best(self.network.net()?)?;
        let best = standing.best.and_then(|best| standing.history.get(best));
        let best = best.map(|best| self.settled(best, pipeline, bar)).transpose()?;
        let net = self.network.net()?;
        let batch = self.plan.stages.last().map_or(64, |stage| stage.recipe.batch_size);
        let test = match self.parts.part(Part::Test)? {
            Some(data) => {
                let has_masks = data.has_masks();
                let loader = testing(data, pipeline.clone(), batch, self.plan.strict)?;
                let loader = Watched::new(loader, batch, "pictures of the test part", &STOP);
                Some(match has_masks {
                    true => Tested::Pixels(zoo_train::evaluate_pixels(net, &loader, &self.device)?),
                    false => Tested::Pictures(zoo_train::evaluate(net, &loader, &self.device)?),
                })
            }
            None => None,
        };
        bar.name(test.as_ref().map_or(&[], Tested::unread));
        let model = self.network.architecture().name;
        self.folder.write("curves.svg", &zoo_train::chart::curves(&standing.history))?;
        if let Some(test) = &test {
            let classes = self.parts.data.classes();
            self.folder.write("confusion.svg", &zoo_train::chart::confusion(classes, &test.confusion()))?;
        }
        card["training"] = json!({
            "run": identity,
            "epoch": best,
            "test": test.as_ref().map(Tested::counted),
        });
        zoo_train::save(&self.folder.best(), net, (Network::KEY, &card))?;
        let mut written = self.folder.best();
        if let Some(file) = &self.plan.file {
            zoo_train::save(file, net, (Network::KEY, &card))?;
            written.clone_from(file);
        }
        let report = report(&self.plan, model, &self.parts, (standing, best.as_ref()), test.as_ref());
        self.folder.write_report(&(serde_json::to_string_pretty(&report)? + "\n"))?;
        let judged = match (&test, best.as_ref().and_then(|best| best.validation_top1)) {
            (Some(test), _) => test.told(),
            (None, Some(top1)) => format!("{:.2} % of the validation part right; no test part", top1 * 100.0),
            (None, None) => "no test part".into(),
        };
        Ok(format!("{model}: {judged}\n{}\n", shown(&written)))
    }

    /// What is printed of a run that is over.
    fn over(self, printed: String) -> Result<String> {
        match &self.plan.file {
            Some(file) => {
                let destination = Destination::of(file)?;
                if matches!(destination, Destination::Stream(_)) {
                    // Nobody would look for it there.
                    let folder = self.folder.path().to_path_buf();
                    drop(self.folder);
                    std::fs::remove_dir_all(folder)?;
                }
                Ok(running::written(&destination, printed))
            }
            None => Ok(printed),
        }
    }
}

impl Plan {
    /// Checks what can be checked before anything is written.
    pub(crate) fn check(&self) -> Result<()> {
        for stage in &self.stages {
            stage.recipe.check()?;
        }
        ensure!(!self.stages.is_empty(), "there is nothing to do");
        Ok(())
    }
}

/// How many of the pictures that are learned from are told right.
fn told_right(top1: Option<f64>) -> String {
    top1.map_or(String::new(), |top1| format!(", {:.2} % right", top1 * 100.0))
}

/// How a run goes, for whoever waits for it: a bar where there is a terminal, and a line for each epoch.
struct Bar {
    bar: ProgressBar,
    /// The names of pictures that could not be read.
    unread: BTreeSet<String>,
}

impl Bar {
    fn new() -> Self {
        Self { bar: output::bar(Some(0), ""), unread: BTreeSet::new() }
    }

    /// Names pictures that can't be read, each once.
    fn name(&mut self, unread: &[Skipped]) {
        for skipped in unread {
            if self.unread.insert(skipped.name.clone()) {
                self.bar.suspend(|| output::note(&skipped.why));
            }
        }
    }

    fn show(&mut self, progress: &Progress<'_>) {
        let Progress {
            stage,
            epoch: (epoch, epochs),
            step: (step, steps),
            loss,
            top1,
            rate,
            left,
            speed,
            waiting,
            judged,
            done,
            unread,
        } = progress;
        if let Some((batch, batches)) = judged {
            self.bar.set_length(*batches as u64);
            self.bar.set_position(*batch as u64);
            self.bar
                .set_message(format!("{stage}, epoch {epoch} of {epochs}, judged by the validation part"));
            return;
        }
        self.bar.set_length(*steps as u64);
        self.bar.set_position(*step as u64);
        self.bar.set_message(format!(
            "{stage}, epoch {epoch} of {epochs}, loss {loss:.4}{}, rate {rate:.2e}, {speed:.0} pictures/s, {:.0} % waiting, \
             {} left",
            told_right(*top1),
            waiting * 100.0,
            HumanDuration(*left)
        ));
        self.name(unread);
        let Some(done) = done else { return };
        let judged = match (done.validation_iou, done.validation_top1) {
            (Some(iou), _) => format!(", validation IoU {:.2} %", iou * 100.0),
            (None, Some(top1)) => format!(", validation {:.2} %", top1 * 100.0),
            (None, None) => String::new(),
        };
        let right = told_right(*top1);
        let line = format!(
            "{stage} {epoch}/{epochs}: loss {loss:.4}{right}{judged}, {speed:.0} pictures/s, {} left",
            HumanDuration(*left)
        );
        self.say(&line);
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| output::note(line));
    }

    /// Takes the bar away, and says how many pictures were left out.
    fn clear(self) {
        self.bar.finish_and_clear();
        match self.unread.len() {
            0 => {}
            1 => output::note("1 picture could not be read and was left out"),
            many => output::note(&format!("{many} pictures could not be read and were left out")),
        }
    }
}
