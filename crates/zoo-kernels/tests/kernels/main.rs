//! Every kernel against plain loops, on every instruction set of the machine.

mod common;
mod conv;
mod gemm;
mod norm;
mod pool;
mod threads;
