//! What the programs of this package share. The criterion benches are run by `cargo bench -p zoo-bench`.

#[path = "peers/memory.rs"]
pub mod memory;
