//! What `train` and `finetune` have in common: a plan that is written down, data in its parts, a run that goes on.

mod arguments;
mod data;
mod judging;
mod memory;
mod plan;
mod report;
mod session;
mod watched;
mod whole;

pub(crate) use arguments::{LearnArguments, OptimizerName, begun};
pub(crate) use data::{
    DataArguments, Parts, check_readable, check_sampling, open, open_to_judge, tell, testing,
};
pub(crate) use judging::{Looks, judge};
pub(crate) use memory::{PROGRAM, check_pictures, check_room, lesson};
pub(crate) use plan::{Kind, Plan, StagePlan, Thawed, printed, usual};
pub(crate) use report::{Tested, pixels, score};
pub(crate) use session::{Session, place};
pub(crate) use whole::judge_pixels;
