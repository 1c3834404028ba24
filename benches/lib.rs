//! Criterion benches of the zoo: `cargo bench -p zoo-bench`. There is nothing to use here.
