//! What `train` and `finetune` have in common: a plan that is written down, data in its parts, a run that goes on.

mod arguments;
mod data;
mod judging;
mod plan;
mod report;
mod session;

pub(crate) use arguments::{LearnArguments, begun};
pub(crate) use data::{DataArguments, Parts, open, testing};
pub(crate) use judging::{Looks, judge};
pub(crate) use plan::{Kind, Plan, StagePlan, Thawed};
pub(crate) use report::score;
pub(crate) use session::{Session, place};
