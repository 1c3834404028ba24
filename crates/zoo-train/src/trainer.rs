//! The loop: stages of epochs of steps, any of which may be the last that a process lives to see.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{Device, Tensor, backprop::GradStore};
use serde_json::{Value, json};
use zoo_data::{Batch, Place};
use zoo_layers::{Mode, Net, Node, Pass, Route};

use crate::{
    Curve, Epoch, Error, Progress, Recipe, Result, RunFolder, Schedule, Source, Standing,
    average::Average,
    checkpoint::{self, Tensors},
    clock::Clock,
    evaluate::{self, Verdict, Watch},
    folder::Log,
    gradients,
    groups::{self, Groups},
    loss,
    optim::Optimizer,
    values::numbers_of,
};

/// A part of a run with a recipe of its own.
pub struct Stage<'a> {
    /// What it is called in log and report.
    pub name: String,
    /// How it learns.
    pub recipe: Recipe,
    /// Layers and scopes that don't learn in it.
    pub frozen: Vec<String>,
    /// What it learns from.
    pub train: &'a dyn Source,
    /// What it is judged by after every epoch; without it, the last epoch is the best.
    pub validation: Option<&'a dyn Source>,
    /// The node whose values the batches hold, if they aren't pictures: features that were computed once.
    pub from: Option<Node>,
    /// What each class counts, if not all alike.
    pub class_weights: Option<Vec<f32>>,
}

/// A training run. The same run gives the same bits, on one device and instruction set, however often it was
/// interrupted.
pub struct Trainer<'a> {
    /// The network, which learns.
    pub net: &'a mut Net,
    /// What it goes through.
    pub stages: &'a [Stage<'a>],
    /// What everything random is drawn from.
    pub seed: u64,
    /// Where the network lives.
    pub device: &'a Device,
    /// Where the run keeps what it makes.
    pub folder: &'a RunFolder,
    /// What the best network's file says of itself, a JSON object, under its key.
    pub card: (&'a str, &'a Value),
    /// What the run is; a checkpoint of another one is refused.
    pub identity: &'a Value,
    /// Time between two checkpoints within an epoch; there is one after every epoch.
    pub every: std::time::Duration,
}

/// What a stage's order, augmentation and mixing are drawn from: each stage sees its pictures otherwise than those before it.
pub fn stage_seed(seed: u64, stage: usize) -> u64 {
    match stage {
        0 => seed,
        _ => zoo_base::random::mix(seed ^ zoo_base::random::mix(stage as u64)),
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// All stages are done.
    Finished(Standing),
    /// It was asked to stop, and can be taken up again.
    Stopped(Standing),
}

/// What a stage needs while it runs.
struct Work<'a> {
    optimizer: Optimizer,
    average: Option<Average>,
    schedule: Schedule,
    route: Route,
    /// Gradients of the passes whose step is still to come, if there are any; where a step has several, their memory stays
    /// from step to step.
    sum: Option<GradStore>,
    summed: usize,
    /// Pictures without which a batch is left out: of one alone a norm has no statistics.
    least: usize,
    stage: &'a Stage<'a>,
}

impl Trainer<'_> {
    /// Trains, from where the folder's checkpoint stands. `watch` is told after every step, and may stop the run.
    ///
    /// # Errors
    /// A checkpoint of another run; a loss that is no number, with the last checkpoint kept; a folder that can't be
    /// written to; pictures that don't fit.
    pub fn run(&mut self, watch: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>) -> Result<Ending> {
        for stage in self.stages {
            match stage.from {
                Some(_) => stage.recipe.check()?,
                None => stage.recipe.check_for(self.net.graph(), &stage.frozen)?,
            }
            if stage.train.steps() == 0 {
                return Err(Error::NoPictures);
            }
        }
        let (mut standing, mut tensors) = (Standing::default(), None);
        if let Some((theirs, found)) = checkpoint::read(&self.folder.checkpoint(), self.identity)? {
            checkpoint::set(self.net, &found.net)?;
            (standing, tensors) = (theirs, Some(found));
        }
        let mut log = self.folder.log(standing.history.len())?;
        while let Some(stage) = self.stages.get(standing.stage) {
            if self.stage(stage, &mut standing, tensors.take(), &mut log, watch)?.is_break() {
                return Ok(Ending::Stopped(standing));
            }
        }
        Ok(Ending::Finished(standing))
    }

    fn stage(
        &mut self,
        stage: &Stage<'_>,
        standing: &mut Standing,
        tensors: Option<Tensors>,
        log: &mut Log,
        watch: &mut dyn FnMut(&Progress<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let recipe = &stage.recipe;
        let mut work = self.begin(stage, standing, tensors)?;
        let steps = stage.train.steps();
        let mut batches = stage.train.batches(standing.place, recipe.epochs)?;
        let (mut clock, mut saved) = (Clock::start(), Instant::now());
        loop {
            // A run that was stopped while an epoch was judged has nothing of it left to learn.
            if standing.place.step < steps {
                let batch = batches.next().ok_or_else(|| Error::Short { stage: stage.name.clone() })??;
                let rate = work.schedule.rate(standing.steps);
                if batch.counts() && batch.labels.len() >= work.least {
                    clock.pictures += batch.labels.len();
                    let (loss, right) = self.pass(&mut work, &batch, standing, rate)?;
                    standing.losses = (standing.losses.0 + loss, standing.losses.1 + 1);
                    if let Some(right) = right {
                        standing.right = (standing.right.0 + right, standing.right.1 + batch.labels.len());
                    }
                }
                clock.steps += 1;
                standing.place.step += 1;
                standing.all_steps += 1;
                let is_last = standing.place.step == steps;
                let is_step = is_last || standing.place.step.is_multiple_of(recipe.accumulate);
                if is_step {
                    self.step(&mut work, standing, rate)?;
                }
                if !is_last {
                    let go_on = watch(&Progress::of(stage, standing, rate, &clock, batches.waited()));
                    if is_step && (go_on.is_break() || saved.elapsed() >= self.every) {
                        self.check_sound(&work, standing, rate)?;
                        self.write_checkpoint(Some(&work), standing)?;
                        saved = Instant::now();
                    }
                    if is_step && go_on.is_break() {
                        return Ok(go_on);
                    }
                    continue;
                }
            }
            let rate = work.schedule.rate(standing.steps.saturating_sub(1));
            let mut unread = batches.skipped();
            if standing.losses.1 == 0 {
                let first = unread.first().map(|skipped| skipped.why.clone());
                return Err(Error::EmptyEpoch { stage: stage.name.clone(), first });
            }
            self.check_sound(&work, standing, rate)?;
            clock.stop(batches.waited());
            let told = Progress::of(stage, standing, rate, &clock, batches.waited());
            let mut looking = |judged| watch(&Progress { judged: Some(judged), ..told });
            let ControlFlow::Continue(verdict) = self.judge(&work, &mut looking)? else {
                self.write_checkpoint(Some(&work), standing)?;
                return Ok(ControlFlow::Break(()));
            };
            unread.extend(verdict.iter().flat_map(|verdict| &verdict.unread).cloned());
            let epoch = Epoch::closed(&stage.name, standing, rate, verdict.as_ref());
            log.add(&clock.line(&epoch))?;
            let best = standing.best.and_then(|best| standing.history.get(best));
            let is_best = best.is_none_or(|best| epoch.is_better_than(best));
            standing.history.push(epoch);
            if is_best {
                standing.best = Some(standing.history.len() - 1);
                self.write_best(&work, standing)?;
            }
            let mut go_on = watch(&Progress { done: standing.history.last(), unread: &unread, ..told });
            standing.place = Place { epoch: standing.place.epoch + 1, step: 0 };
            (standing.losses, standing.right) = ((0.0, 0), (0, 0));
            if standing.place.epoch == recipe.epochs || is_stale(standing, recipe, &stage.name) {
                (standing.stage, standing.place, standing.steps) = (standing.stage + 1, Place::default(), 0);
                // Whoever stops here has nothing left to stop in this stage.
                if standing.stage == self.stages.len() {
                    go_on = ControlFlow::Continue(());
                }
                self.write_checkpoint(None, standing)?;
                return Ok(go_on);
            }
            self.write_checkpoint(Some(&work), standing)?;
            if go_on.is_break() {
                return Ok(go_on);
            }
            (clock, saved) = (Clock::start_after(batches.waited()), Instant::now());
        }
    }

    /// Makes ready what a stage needs, as the checkpoint left it.
    fn begin<'s>(
        &mut self,
        stage: &'s Stage<'s>,
        standing: &Standing,
        tensors: Option<Tensors>,
    ) -> Result<Work<'s>> {
        let recipe = &stage.recipe;
        let graph = self.net.graph().clone();
        self.net.freeze(groups::frozen(&graph, &stage.frozen, recipe.frozen_norms)?);
        let groups = Groups::new(&graph, recipe);
        let mut optimizer = Optimizer::grouped(recipe.optimizer, self.net, |param| groups.of(param))?;
        let mut average = match recipe.ema > 0.0 {
            true => Some(Average::of(self.net, recipe.ema, self.device)?),
            false => None,
        };
        if let Some(tensors) = tensors.filter(|tensors| !tensors.optimizer.is_empty()) {
            optimizer.restore(tensors.optimizer, standing.steps)?;
            if let Some(average) = &mut average {
                checkpoint::set(average.net(), &tensors.ema)?;
            }
        }
        let epoch = stage.train.steps().div_ceil(recipe.accumulate);
        let schedule = Schedule {
            peak: recipe.learning_rate,
            warmup: match recipe.schedule {
                Curve::OneCycle { .. } => 0,
                _ => (epoch as f64 * recipe.warmup_epochs).round() as usize,
            },
            steps: epoch.saturating_mul(recipe.epochs),
            epoch,
            curve: recipe.schedule,
        };
        let route = match stage.from {
            Some(node) => Route::new(Mode::Train, [node], [graph.main_output().node]).with_gradients(),
            None => Route::training(&graph),
        };
        let route = route.recomputing(recipe.recompute.into());
        let route = if recipe.keep_bf16 { route.keeping_bf16() } else { route };
        let has_norm =
            stage.from.is_none() && groups::live_norm(&graph, &stage.frozen, recipe.frozen_norms).is_some();
        let least = if has_norm { 2 } else { 1 };
        Ok(Work { optimizer, average, schedule, route, sum: None, summed: 0, least, stage })
    }

    /// One batch forward and back; gives its loss, and how many of its pictures were told right.
    fn pass(
        &mut self,
        work: &mut Work<'_>,
        batch: &Batch,
        standing: &Standing,
        rate: f64,
    ) -> Result<(f64, Option<usize>)> {
        self.net.draw_from(self.seed, standing.all_steps);
        let input = evaluate::input(self.net, work.stage.from, batch, self.device)?;
        let pass: Pass<'_> = self.net.pass(&work.route, &[&input])?;
        let main = &self.net.graph().main_output().name;
        let recipe = &work.stage.recipe;
        let (number, loss) =
            loss::of_outputs(pass.outputs(), main, batch, recipe, work.stage.class_weights.as_deref())?;
        if !number.is_finite() {
            let cause = self.cause(&input)?;
            return Err(self.diverged(
                number,
                (standing.place.epoch + 1, standing.place.step + 1),
                rate,
                cause,
            ));
        }
        let right = match batch.mixed.is_none() && batch.masks.is_none() {
            true => pass.outputs().iter().find(|(name, _)| *name == main).map(|(_, logits)| logits),
            false => None,
        };
        let right = right.map(|logits| loss::right(logits, &batch.labels)).transpose()?;
        let gradients = pass.backward(&loss)?;
        work.summed += 1;
        match &mut work.sum {
            None => work.sum = Some(gradients),
            Some(sum) => {
                match work.summed {
                    1 => gradients::replace(self.net, sum, &gradients)?,
                    _ => gradients::add(self.net, sum, &gradients)?,
                }
                self.net.recycle(gradients)?;
            }
        }
        Ok((number, right))
    }

    /// Moves the weights by the gradients of the passes since the last step.
    fn step(&self, work: &mut Work<'_>, standing: &mut Standing, rate: f64) -> Result<()> {
        let passes = std::mem::take(&mut work.summed);
        let Some(mut gradients) = work.sum.take_if(|_| passes > 0) else { return Ok(()) };
        let recipe = &work.stage.recipe;
        let mut factor = 1.0 / passes as f64;
        if recipe.clip > 0.0 {
            let norm = factor * gradients::norm(self.net, &gradients)?;
            factor *= (recipe.clip / (norm + 1e-6)).min(1.0);
        }
        if factor != 1.0 {
            gradients::multiply(self.net, &mut gradients, factor)?;
        }
        work.optimizer.step(&gradients, rate)?;
        standing.steps += 1;
        match recipe.accumulate {
            1 => self.net.recycle(gradients)?,
            _ => work.sum = Some(gradients),
        }
        match &mut work.average {
            Some(average) => average.take(self.net),
            None => Ok(()),
        }
    }

    /// Where numbers first stopped being some: in the pictures, in a weight, or on the way.
    fn cause(&self, input: &Tensor) -> Result<String> {
        if numbers_of(input)?.numbers()?.iter().any(|value| !value.is_finite()) {
            return Ok("the batch itself holds values that are no numbers".into());
        }
        Ok(match checkpoint::unsound(self.net)? {
            Some(name) => no_longer_finite(&name),
            None => "all weights are finite, and values grew too large on the way".into(),
        })
    }

    fn diverged(&self, loss: f64, (epoch, step): (usize, usize), rate: f64, cause: String) -> Error {
        let kept = Some(self.folder.checkpoint()).filter(|path| path.exists());
        Error::Diverged { loss, epoch, step, rate, cause, kept }
    }

    /// That the network, and its average, are numbers: nothing else takes the place of a checkpoint that is.
    fn check_sound(&self, work: &Work<'_>, standing: &Standing, rate: f64) -> Result<()> {
        let averaged = work.average.as_ref().map(Average::net);
        for net in [Some(&*self.net), averaged].into_iter().flatten() {
            if let Some(name) = checkpoint::unsound(net)? {
                let place = (standing.place.epoch + 1, standing.place.step);
                let loss = standing.losses.0 / standing.losses.1.max(1) as f64;
                return Err(self.diverged(loss, place, rate, no_longer_finite(&name)));
            }
        }
        Ok(())
    }

    /// Judges the network after an epoch, if there is something to judge it by; `watch` may end it.
    fn judge(&self, work: &Work<'_>, watch: Watch<'_>) -> Result<ControlFlow<(), Option<Verdict>>> {
        let Some(source) = work.stage.validation else { return Ok(ControlFlow::Continue(None)) };
        let net = work.average.as_ref().map_or(&*self.net, Average::net);
        // What a step computes into is not needed beside what a test does.
        self.net.forget_memory();
        let verdict = evaluate::judge(net, source, work.stage.from, self.device, watch)?;
        net.forget_memory();
        Ok(verdict.map_continue(Some))
    }

    fn write_best(&self, work: &Work<'_>, standing: &Standing) -> Result<()> {
        let net = work.average.as_ref().map_or(&*self.net, Average::net);
        let (key, card) = self.card;
        let mut card = card.clone();
        card["training"] = json!({
            "run": self.identity,
            "epoch": standing.history.last(),
        });
        crate::folder::save(&self.folder.best(), net, (key, &card))
    }

    fn write_checkpoint(&self, work: Option<&Work<'_>>, standing: &Standing) -> Result<()> {
        let tensors = Tensors {
            net: checkpoint::tensors(self.net),
            ema: work
                .and_then(|work| work.average.as_ref())
                .map_or_else(BTreeMap::new, |average| checkpoint::tensors(average.net())),
            optimizer: work.map_or_else(BTreeMap::new, |work| work.optimizer.tensors()),
        };
        checkpoint::write(&self.folder.checkpoint(), self.identity, standing, &tensors)
    }
}

fn no_longer_finite(name: &str) -> String {
    format!("`{name}` was the first tensor that is no longer finite")
}

/// Whether a stage has not become better for as many epochs as the recipe waits.
fn is_stale(standing: &Standing, recipe: &Recipe, stage: &str) -> bool {
    let here = standing.history.iter().filter(|epoch| epoch.stage == stage);
    let (mut best, mut since) = (None, 0);
    for epoch in here {
        (best, since) = match best {
            Some(best) if !epoch.is_better_than(best) => (Some(best), since + 1),
            _ => (Some(epoch), 0),
        };
    }
    recipe.patience > 0 && since >= recipe.patience
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_waits_for_its_own_best_and_not_for_another_ones() {
        let recipe = Recipe { patience: 2, ..Recipe::PLAIN };
        let mut standing = Standing::default();
        let mut stale = |stage: &str, top1: f64| {
            let epoch = Epoch::closed(stage, &Standing::default(), 0.1, None);
            standing.history.push(Epoch { validation_top1: Some(top1), ..epoch });
            is_stale(&standing, &recipe, stage)
        };
        assert!(!stale("head", 0.7) && !stale("head", 0.9));
        // Below the head's, and on its way.
        assert!(!stale("top", 0.5) && !stale("top", 0.6) && !stale("top", 0.7));
        assert!(!stale("top", 0.6) && stale("top", 0.65));
    }
}
