//! One file for each command.

pub(crate) mod advise;
pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod diagram;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod features;
pub(crate) mod fetch;
pub(crate) mod finetune;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod predict;
pub(crate) mod segment;
pub(crate) mod summary;
pub(crate) mod train;
