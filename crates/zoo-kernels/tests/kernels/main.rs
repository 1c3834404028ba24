//! Every kernel against plain loops, on every instruction set of the machine.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

mod choice;
mod common;
mod conv;
mod gemm;
mod loss;
mod nhwc;
mod norm;
mod outputs;
mod pool;
mod threads;
