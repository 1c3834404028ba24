//! A run that stays within so much memory.

use anyhow::{Result, anyhow};
use zoo_layers::{Frozen, Graph, Mode, Recompute, Route};
use zoo_report::{Fit, Fitted, Lesson, Optimizer, bytes, fit};
use zoo_train::optim::Method;
use zoo_train::{Checkpointing, Recipe};

use super::{Plan, StagePlan, Thawed};
use crate::{failure::OrWrongCall, output, size};

/// Batches that there are at once: three ahead, one on its way, one as the network takes it, and what would hold four more:
/// the system's allocator keeps as much of those that went, in pieces that no other fits into.
pub(crate) const BATCHES: u64 = 9;

/// What the program, its threads and the pictures that they decode take, where nobody can measure it.
pub(crate) const PROGRAM: u64 = 96 << 20;

/// What comes to the program while a run goes on: stacks, pictures that are being decoded, files on their way.
const BESIDE: u64 = 64 << 20;

/// How a recipe's network learns, for its memory.
pub(crate) fn lesson(recipe: &Recipe, frozen: Frozen) -> Lesson {
    let optimizer = match recipe.optimizer {
        Method::Sgd(_) => Optimizer::Momentum,
        // Two numbers each.
        Method::Adamw(_) | Method::Rmsprop(_) => Optimizer::AdamW,
    };
    Lesson {
        accumulate: recipe.accumulate as u64,
        recompute: recipe.recompute.into(),
        keep_bf16: recipe.keep_bf16,
        averaged: recipe.ema > 0.0,
        batches: BATCHES,
        frozen,
        ..Lesson::plain(recipe.batch_size as u64, optimizer)
    }
}

/// Lets a recipe learn as `lesson` does.
fn take(recipe: &mut Recipe, lesson: &Lesson) {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    (recipe.batch_size, recipe.accumulate) = (number(lesson.batch), number(lesson.accumulate));
    recipe.keep_bf16 = lesson.keep_bf16;
    recipe.recompute = match lesson.recompute {
        Recompute::Nothing => Checkpointing::Off,
        Recompute::Cheap => Checkpointing::Cheap,
        Recompute::All => Checkpointing::All,
    };
}

impl Plan {
    /// Changes the recipes so that the run on so many pictures stays within `limit` bytes, by what costs least, and says
    /// what was changed.
    pub(crate) fn keep_within(&mut self, graph: &Graph, pictures: usize, limit: u64) -> Result<()> {
        let program = size::resident().map_or(PROGRAM, |resident| resident + BESIDE);
        // The features that a head learns from stay to the end.
        let has_head = self.stages.iter().any(|stage| stage.thawed == Thawed::Head);
        let each = 4 * graph.get(graph.features()).output.elements() as u64;
        let features = if has_head { each.saturating_mul(pictures as u64) } else { 0 };
        let program = program.saturating_add(features);
        let left = limit.saturating_sub(program);
        for stage in &mut self.stages {
            match stage.thawed {
                Thawed::Head => head_within(stage, graph, limit, (program, left))?,
                _ => stage_within(stage, graph, limit, (program, left))?,
            }
        }
        Ok(())
    }
}

/// That a run's steps, or the pictures of a head's, don't take more than the machine has.
/// On another device only its pictures are in the machine's memory.
pub(crate) fn check_room(stages: &[StagePlan], graph: &Graph, device: &candle_core::Device) -> Result<()> {
    for stage in stages {
        let recipe = &stage.recipe;
        let needed = match stage.thawed {
            Thawed::Head => pictures(graph, recipe.batch_size),
            _ if !device.is_cpu() => pictures(graph, recipe.batch_size),
            _ => {
                let frozen = stage.thawed.frozen(graph).or_wrong_call()?;
                let frozen = zoo_train::frozen(graph, &frozen, recipe.frozen_norms)?;
                zoo_report::Training::of(graph, &lesson(recipe, frozen))?.peak_bytes
            }
        };
        if !size::has_room(needed) {
            return Err(anyhow!(
                "`{}` takes {} to learn from {} pictures of {} at once, more than there is; give a smaller `--batch` or \
                 `--input`, or let `--memory` choose",
                graph.name(),
                bytes(needed),
                recipe.batch_size,
                graph.input()
            ))
            .or_wrong_call();
        }
    }
    Ok(())
}

/// That pictures of a network's size, so many at once, can be held.
pub(crate) fn check_pictures(graph: &Graph, batch: usize) -> Result<()> {
    let needed = pictures(graph, batch);
    let count = if batch == 1 { "a picture".to_string() } else { format!("{batch} pictures") };
    match size::has_room(needed) {
        true => Ok(()),
        false => Err(anyhow!(
            "{count} of {} at once and what is read ahead take {}, more than there is; give a smaller `--input`{}",
            graph.input(),
            bytes(needed),
            if batch == 1 { "" } else { " or `--batch`" }
        ))
        .or_wrong_call(),
    }
}

/// Bytes of pictures as a network takes them, so many at once and those ahead.
fn pictures(graph: &Graph, batch: usize) -> u64 {
    (4 * BATCHES).saturating_mul(batch as u64).saturating_mul(graph.input().elements() as u64)
}

/// Features are computed in evaluation; what learns from them is small.
fn head_within(stage: &mut StagePlan, graph: &Graph, limit: u64, (program, left): (u64, u64)) -> Result<()> {
    let weights = 4 * graph.params().map(|param| param.elements() as u64).sum::<u64>();
    let plan = zoo_layers::Plan::new(graph, &Route::outputs(graph, Mode::Eval))?;
    let pictures = 4 * BATCHES * graph.input().elements() as u64;
    let working = |batch: u64| plan.working(usize::try_from(batch).unwrap_or(usize::MAX));
    let takes = |batch: u64| weights + 4 * (plan.taken(batch) + working(batch)) + batch * pictures;
    let asked = stage.recipe.batch_size as u64;
    let fitting =
        (1..=asked).filter(|parts| asked.is_multiple_of(*parts)).map(|parts| (asked / parts, parts));
    let Some((batch, parts)) = fitting.into_iter().find(|(batch, _)| takes(*batch) <= left) else {
        return Err(anyhow!(
            "`--memory` is {}, and `{}` takes {} for one picture's features beside the program's {}; give more, or a \
             smaller network or picture (`--input`)",
            bytes(limit),
            graph.name(),
            bytes(takes(1)),
            bytes(program)
        ))
        .or_wrong_call();
    };
    if parts > 1 {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let passes = stage.recipe.accumulate.saturating_mul(number(parts));
        (stage.recipe.batch_size, stage.recipe.accumulate) = (number(batch), passes);
        output::note(&format!("{}: {batch} pictures at once, {passes} passes for a step", stage.name));
    }
    Ok(())
}

fn stage_within(stage: &mut StagePlan, graph: &Graph, limit: u64, (program, left): (u64, u64)) -> Result<()> {
    let frozen = stage.thawed.frozen(graph).or_wrong_call()?;
    let frozen = zoo_train::frozen(graph, &frozen, stage.recipe.frozen_norms)?;
    let lesson = lesson(&stage.recipe, frozen);
    let plain = zoo_report::Training::of(graph, &lesson)?;
    let (name, asked) = (graph.name(), bytes(limit));
    let standing = plain.standing_bytes();
    if left < standing {
        return Err(anyhow!(
            "`--memory` is {asked}, and the weights of `{name}`, their gradients and the optimizer's state alone \
             take {} beside the program's {}; give more, or a smaller network",
            bytes(standing),
            bytes(program)
        ))
        .or_wrong_call();
    }
    match fit(graph, &lesson, left)? {
        Fitted::Fits(fit) => {
            take(&mut stage.recipe, &fit.lesson);
            output::note(&told(&stage.name, &plain, &lesson, &fit, program));
            Ok(())
        }
        Fitted::Least(fit) => Err(anyhow!(
            "`--memory` is {asked}, and `{name}` takes {} with the program even with {}; give more, smaller pictures \
             (`--input`) or a smaller network: `zoo advise {name} --memory {limit}` lists what there is",
            bytes(fit.training.peak_bytes.saturating_add(program)),
            remedies(&fit.lesson, &lesson),
        ))
        .or_wrong_call(),
    }
}

fn told(stage: &str, plain: &zoo_report::Training, lesson: &Lesson, fit: &Fit, program: u64) -> String {
    let takes = bytes(fit.training.peak_bytes.saturating_add(program));
    if remedies(&fit.lesson, lesson) == NOTHING {
        return format!("{stage}: {takes} are predicted, and nothing need be changed");
    }
    let asked = bytes(plain.peak_bytes.saturating_add(program));
    let time = if fit.slowdown > 1.005 {
        format!(" and about {:.2} times the time", fit.slowdown)
    } else {
        String::new()
    };
    format!("{stage}: {asked} would be needed; with {} it is {takes}{time}", remedies(&fit.lesson, lesson))
}

const NOTHING: &str = "nothing changed";

/// What of a lesson is other than was asked for, in words.
pub(crate) fn remedies(lesson: &Lesson, asked: &Lesson) -> String {
    let mut said = Vec::new();
    if lesson.recompute != asked.recompute {
        said.push(match lesson.recompute {
            Recompute::Nothing => "everything kept (`--recompute off`)".to_string(),
            Recompute::Cheap => "what costs little computed again (`--recompute cheap`)".into(),
            Recompute::All => "checkpointing (`--recompute all`)".into(),
        });
    }
    if lesson.keep_bf16 != asked.keep_bf16 {
        said.push("activations kept as bf16 (`--keep-bf16`)".into());
    }
    if lesson.batch != asked.batch {
        let Lesson { batch, accumulate, .. } = lesson;
        let pictures = if *batch == 1 { "one picture".into() } else { format!("{batch} pictures") };
        said.push(format!(
            "{pictures} at once and {accumulate} passes for a step (`--batch {batch} --accumulate {accumulate}`)"
        ));
    }
    match said.split_last() {
        None => NOTHING.into(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}
