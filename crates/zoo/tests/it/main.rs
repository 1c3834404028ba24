//! What must hold for the whole zoo.

mod dilation;
mod generated;
mod goldens;
mod published;
mod tidy;
mod transforms;
