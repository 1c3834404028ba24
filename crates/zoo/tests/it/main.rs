//! What must hold for the whole zoo.

mod generated;
mod goldens;
mod published;
mod transforms;
