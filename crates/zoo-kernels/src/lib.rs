//! CPU kernels of convolutional networks, on plain slices: exact forward and backward passes of everything that
//! the zoo's networks are made of, without a tensor type and without a C library.
//!
//! Tensors are dense and row by row, `(n, c, h, w)`; a function gets the input's [`Shape`], checks every slice
//! against it, and writes its result into a slice of the caller's. Nothing needs to be in that slice before.
//! What doesn't fit is refused with a [`KernelError`] that names the operation and both values; no shape and no
//! value makes a kernel panic. All kernels take `f32` and `f64` ([`Element`]); half precision goes through `f32`.
//!
//! ```
//! use zoo_kernels::conv::{self, Conv2d};
//!
//! let spec = Conv2d::new(3, 8, 3).with_padding(1).with_stride(2);
//! let shape = [1, 3, 9, 8];
//! let output = spec.output_shape(shape)?;
//! assert_eq!(output, [1, 8, 5, 4]);
//! let (input, weight) = (vec![1f32; 3 * 9 * 8], vec![0.5; 8 * 3 * 3 * 3]);
//! let mut out = vec![0.0; 8 * 5 * 4];
//! conv::forward(&spec, shape, &input, &weight, None, &mut out)?;
//! assert_eq!(out[5], 0.5 * 27.0);
//! # Ok::<(), zoo_kernels::KernelError>(())
//! ```
//!
//! # What is here
//!
//! | module | kernels, each with its backward pass |
//! |---|---|
//! | [`conv`] | convolution of every kind (strided, dilated, grouped, depthwise, any padding), transposed convolution |
//! | [`nhwc`] | inference alone: convolutions, pools and what follows them on maps pixel by pixel, in one arena |
//! | [`gemm`] | matrix products in all layouts, the dense layer |
//! | [`norm`] | batch norm in training and inference, fused with an addition and an activation |
//! | [`pool`] | max and average pools (padding, dilation, `ceil_mode`), adaptive averages |
//! | [`activation`] | activations, alone and after an addition |
//! | [`softmax`], [`rbf`] | probabilities from logits, the radial basis units of LeNet-5 |
//! | [`loss`] | softmax and its losses in one: cross entropy, Dice, focal |
//! | [`lrn`], [`upsample`], [`scale`] | local response normalisation, bilinear resampling, squeeze-and-excitation's product |
//!
//! # How it is fast
//!
//! **One product.** Convolutions, their gradients and matrix products all end in one register tile
//! (`gemm::micro`), whose size belongs to the instruction set: 8 rows by 3 vectors with AVX-512, 6 by 2 with AVX2, so
//! that its sums never leave the registers. One number of the left matrix, packed or read in place, is multiplied
//! with the tile's vectors of the right, whose packed rows stay in the first-level cache while the left passes by.
//! What follows the sums (scale, shift, residual, activation: [`Epilogue`]) is done before they are written.
//!
//! **No unfolded picture.** A convolution is a product with the unfolded picture (`im2col`), which is never
//! written: panels are packed straight from the picture as runs of neighbouring pixels, or from a copy with its
//! padding, split by the stride's phases, in which every tap is a constant offset; where few rows of weights would
//! meet a panel, so that packing is dear, that copy is read in place. The input gradient is the same product on the
//! output's gradient; with a stride it is one product for each phase of the stride, so that nothing is multiplied with
//! the zeros between pixels. The weight gradient reads the unfolded picture in place, as the offset of a row plus the
//! offset of a pixel, against the output's gradient laid out pixel by pixel; in first layers of few channels it goes
//! by pairs of channels.
//!
//! **The method is a value.** [`conv::choose`] says how a pass is computed, and the kernels do what it says.
//! [`conv::Prepared`] and [`gemm::Prepared`] keep a weight packed or transformed for many pictures.
//!
//! **Winograd's F(4x4, 3x3).** Dense 3x3 convolutions with stride 1, forward and in both gradients, take 36
//! products instead of 144 for every sixteen outputs, wherever a rule of measured costs expects it to be faster:
//! with channels in sixteens and enough tiles to pay for transforming the weights. Its results are off by up to
//! 3e-6 of the largest, where direct sums in `f32` are off by 2e-6 (256 channels); an infinite number makes its
//! whole tile NaN.
//!
//! **Depthwise** convolutions have no product worth the name: kernels of 3x3 go straight over the plane, in bands that stay
//! in the first-level cache; of others each plane is copied once, padded and split by the stride's phases, so that every
//! tap is a constant offset and all passes are vector loops over rows.
//!
//! **Memory-bound** kernels go over a channel while it is in the cache: batch norm reads its input from memory
//! once in the forward pass. Its backward pass computes the activation again instead of keeping its input.
//!
//! **Weights on their way.** In inference ([`nhwc`]) a panel of weights is read from memory once for each picture: while a
//! tile is computed, its share of the next panel is fetched. Weights and arenas of more than 2 MiB lie in large pages where
//! the system has them.
//!
//! Scratch comes from pools, of what a task works in one for each thread, of what a layer works in one for all; no inner loop
//! allocates.
//!
//! # Instruction sets
//!
//! [`Isa::current`] is chosen once for the process: the best of AVX-512, AVX2 with FMA, and portable code, or
//! what `ZOO_SIMD=portable|avx2|avx512` asks for ([`selection`] says if it couldn't be had). Kernels are written
//! once, generic over a vector type, and compiled for each set. Inside [`with_isa`] a thread's kernels run on
//! another one: the tests cover all that a machine has. On 64-bit Arm the portable code uses fused multiply-adds,
//! which the compiler turns into NEON.
//!
//! # The same bits
//!
//! How sums are divided follows from the shapes alone, never from the number of threads or the caches, and what is
//! divided is added up in order. So a result is the same to the bit for any number of threads, on one
//! instruction set and version. (Instruction sets differ in the last bits: they round products differently.)
//!
//! # What was checked
//!
//! Every kernel is compared with a plain loop on every instruction set of the machine, over generated sizes,
//! strides, paddings, dilations and groups, and its gradients with finite differences in `f64`
//! (`tests/kernels`). These tests, but for the one that starts processes, also ran under valgrind's memcheck with
//! `ZOO_SIMD=avx2` and with `portable`, without a finding. It knows no AVX-512: that path differs in the vector
//! type's methods alone, and was only tested.
//!
//! # Numbers that are no numbers
//!
//! NaN and infinity go through as arithmetic has it: an activation of NaN is NaN, and so is a maximum with one.
//! Padding multiplies with zero: where an infinite weight meets padding the result is NaN.

pub mod activation;
mod caches;
pub mod conv;
mod element;
mod epilogue;
mod error;
pub mod gemm;
mod isa;
mod lasting;
pub mod loss;
pub mod lrn;
mod math;
pub mod nhwc;
pub mod norm;
mod par;
mod peak;
pub mod pool;
pub mod rbf;
mod reduce;
pub mod scale;
mod scratch;
mod simd;
pub mod softmax;
mod team;
pub mod upsample;
mod working;

pub use activation::Activation;
pub use caches::Caches;
pub use element::Element;
pub use epilogue::Epilogue;
pub use error::{KernelError, Result, Shape};
pub use isa::{Isa, Selection, selection, with_isa};
pub use par::{on_team, pieces};
pub use peak::measured_peak;
pub use working::Working;
