//! What to do when training doesn't fit into memory: each remedy with what it saves and what it costs.

use serde::Serialize;
use serde_json::{Map, Value, json};
use zoo_layers::{Graph, Plan, Recompute, Result};

use crate::fit::{beside, has_batch_norms, parts, smallest, split};
use crate::{Fitted, Lesson, Training, fit};

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Fewer pictures for each step.
    SmallerBatch,
    /// As many pictures for each step, but fewer for each pass.
    Accumulation,
    /// Pictures of fewer pixels.
    SmallerPicture,
    /// Maps that shrink sooner.
    LargerStride,
    /// A network of the family with fewer or narrower layers.
    SmallerVariant,
    /// What is kept for the way back is kept in half the size.
    Bf16Activations,
    /// What costs little is computed again on the way back.
    CheapCheckpointing,
    /// What was not kept is computed again on the way back.
    Checkpointing,
    /// Several of them.
    Together,
}

/// Another network that could learn instead.
#[derive(Clone, Debug)]
pub struct Other {
    /// Why it takes less.
    pub remedy: Remedy,
    /// What it is.
    pub graph: Graph,
    /// The options that ask for it, as JSON.
    pub options: Map<String, Value>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// How it is to learn.
    pub lesson: &'a Lesson,
    /// Bytes that there are.
    pub memory_bytes: u64,
    /// Networks that could learn instead. Of those of one remedy the first that fits is taken, or else the last.
    pub others: Vec<Other>,
}

/// What training takes as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Plain {
    /// Pictures of one step.
    pub batch: u64,
    /// The most that it takes at once.
    pub predicted_bytes: u64,
    /// Whether that is there.
    pub fits: bool,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advised {
    /// Which.
    pub name: Remedy,
    /// What it sets.
    pub options: Map<String, Value>,
    /// The most that training takes then.
    pub predicted_bytes: u64,
    /// The share that it takes less, from 0 to 1.
    pub saving: f64,
    /// How many times as long a picture takes.
    pub slowdown: f64,
    /// Whether it is enough.
    pub fits: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// The network's name.
    pub model: String,
    /// Bytes that there are.
    pub memory_bytes: u64,
    /// What is there whatever the pictures: the program, weights, gradients and the optimizer's state.
    pub standing_bytes: u64,
    /// Training as it is.
    pub plain: Plain,
    /// What can be done, each on its own, and the cheapest that fits last if it is several.
    pub remedies: Vec<Advised>,
    /// The remedy to take: nothing if none is needed, or none is enough.
    pub recommended: Option<Remedy>,
}

impl Advice {
    /// Answers.
    ///
    /// # Errors
    /// A graph that can't be planned.
    pub fn of(question: &Question<'_>) -> Result<Self> {
        let &Question { graph, lesson, memory_bytes, .. } = question;
        let plan = lesson.plan(graph)?;
        let plain = Training::planned(graph, lesson, &plan);
        let fits = plain.peak_bytes <= memory_bytes;
        let mut asking = Asking { question, plan, plain, remedies: Vec::new() };
        asking.batches();
        asking.others()?;
        asking.precision_and_time()?;
        let recommended = if fits { None } else { asking.recommended()? };
        Ok(Self {
            model: graph.name().into(),
            memory_bytes,
            standing_bytes: plain.standing_bytes().saturating_add(lesson.program),
            plain: Plain { batch: lesson.batch, predicted_bytes: plain.peak_bytes, fits },
            remedies: asking.remedies,
            recommended,
        })
    }
}

struct Asking<'q> {
    question: &'q Question<'q>,
    plan: Plan,
    plain: Training,
    remedies: Vec<Advised>,
}

impl Asking<'_> {
    fn add(&mut self, name: Remedy, options: Value, predicted_bytes: u64, slowdown: f64) {
        let options = if let Value::Object(options) = options { options } else { Map::new() };
        let saving = 1.0 - predicted_bytes as f64 / self.plain.peak_bytes.max(1) as f64;
        // More digits would promise more than a prediction can.
        let [saving, slowdown] = [saving, slowdown].map(|share| (share * 1000.0).round() / 1000.0);
        let fits = predicted_bytes <= self.question.memory_bytes;
        self.remedies.push(Advised { name, options, predicted_bytes, saving, slowdown, fits });
    }

    /// Fewer pictures at once, whether the step stays the same or not.
    fn batches(&mut self) {
        let &Question { graph, lesson, memory_bytes, .. } = self.question;
        let has_norms = has_batch_norms(graph, lesson);
        let fewest = smallest(has_norms);
        if lesson.batch <= fewest {
            return;
        }
        let halves = std::iter::successors(Some(lesson.batch / 2), |batch| Some(batch / 2));
        let halves = halves.take_while(|batch| *batch >= fewest);
        let smaller = halves.map(|batch| Lesson { batch, ..lesson.clone() });
        let split: Vec<Lesson> =
            parts(lesson.batch, has_norms).into_iter().skip(1).map(|parts| split(lesson, parts)).collect();
        for (name, lessons) in
            [(Remedy::SmallerBatch, smaller.collect::<Vec<_>>()), (Remedy::Accumulation, split)]
        {
            let takes = |lesson: &Lesson| Training::planned(graph, lesson, &self.plan).peak_bytes;
            let fitting = lessons.iter().find(|lesson| takes(lesson) <= memory_bytes);
            let Some(chosen) = fitting.or(lessons.last()) else { continue };
            let bytes = takes(chosen);
            // Sums of gradients may be more than the pictures that they save.
            if bytes < self.plain.peak_bytes {
                self.add(name, options(chosen, lesson), bytes, 1.0);
            }
        }
    }

    /// Other pictures, strides and networks.
    fn others(&mut self) -> Result<()> {
        let &Question { lesson, memory_bytes, .. } = self.question;
        for remedy in [Remedy::SmallerPicture, Remedy::LargerStride, Remedy::SmallerVariant] {
            let mut chosen = None;
            for other in self.question.others.iter().filter(|other| other.remedy == remedy) {
                let plan = lesson.plan(&other.graph)?;
                let bytes = Training::planned(&other.graph, lesson, &plan).peak_bytes;
                if bytes < self.plain.peak_bytes {
                    chosen = Some((other.options.clone(), bytes, beside(&plan, &self.plan)));
                }
                if bytes <= memory_bytes {
                    break;
                }
            }
            if let Some((options, bytes, slowdown)) = chosen {
                self.add(remedy, Value::Object(options), bytes, slowdown);
            }
        }
        Ok(())
    }

    /// What is kept, and in what.
    fn precision_and_time(&mut self) -> Result<()> {
        let &Question { graph, lesson, .. } = self.question;
        let ways = [
            (Remedy::Bf16Activations, Lesson { keep_bf16: true, ..lesson.clone() }),
            (Remedy::CheapCheckpointing, Lesson { recompute: Recompute::Cheap, ..lesson.clone() }),
            (Remedy::Checkpointing, Lesson { recompute: Recompute::All, ..lesson.clone() }),
        ];
        for (name, with) in ways {
            let plan = with.plan(graph)?;
            let bytes = Training::planned(graph, &with, &plan).peak_bytes;
            // Where there is nothing to gain it is no remedy: norms and pools that are not there.
            if bytes < self.plain.peak_bytes {
                self.add(name, options(&with, lesson), bytes, beside(&plan, &self.plan));
            }
        }
        Ok(())
    }

    /// The cheapest set that fits, and if none does, the other network that changes least.
    fn recommended(&mut self) -> Result<Option<Remedy>> {
        let &Question { graph, lesson, memory_bytes, .. } = self.question;
        if let Fitted::Fits(fit) = fit(graph, lesson, memory_bytes)? {
            let options = options(&fit.lesson, lesson);
            let same = |advised: &&Advised| Value::Object(advised.options.clone()) == options;
            if let Some(single) = self.remedies.iter().find(same) {
                return Ok(Some(single.name));
            }
            self.add(Remedy::Together, options, fit.training.peak_bytes, fit.slowdown);
            return Ok(Some(Remedy::Together));
        }
        let others = [Remedy::SmallerPicture, Remedy::LargerStride, Remedy::SmallerVariant];
        let fitting = self.remedies.iter().filter(|advised| others.contains(&advised.name) && advised.fits);
        Ok(fitting.map(|advised| advised.name).next())
    }
}

/// What of a lesson is other than in `plain`.
pub fn options(lesson: &Lesson, plain: &Lesson) -> Value {
    let mut options = Map::new();
    if lesson.batch != plain.batch {
        options.insert("batch".into(), json!(lesson.batch));
    }
    if lesson.accumulate != plain.accumulate {
        options.insert("accumulate".into(), json!(lesson.accumulate));
    }
    match lesson.recompute {
        _ if lesson.recompute == plain.recompute => {}
        Recompute::Nothing => drop(options.insert("recompute".into(), json!("off"))),
        Recompute::Cheap => drop(options.insert("recompute".into(), json!("cheap"))),
        Recompute::All => drop(options.insert("recompute".into(), json!("all"))),
    }
    if lesson.keep_bf16 != plain.keep_bf16 {
        options.insert("keep_bf16".into(), json!(lesson.keep_bf16));
    }
    Value::Object(options)
}
