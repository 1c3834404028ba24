//! One file for each command.

pub(crate) mod list;
pub(crate) mod summary;
