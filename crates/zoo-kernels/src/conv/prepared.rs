//! A convolution whose weight was made ready once, for many pictures.

use super::forward::Layer;
use super::method::{Method, Pass, pick};
use super::spec::Conv2d;
use super::winograd;
use crate::element::{Checked, Element};
use crate::epilogue::Epilogue;
use crate::error::{Result, Shape, check_equal, check_len};
use crate::gemm::left::Left;
use crate::isa::Isa;
use crate::lasting::Lasting;

/// A convolution of maps of one size, its weight packed, or transformed as Winograd's tiles need it.
///
/// It runs on the instruction set in use when it was made. Its answers are [`super::forward_with`]'s.
///
/// ```
/// use zoo_kernels::conv::{Conv2d, Prepared};
/// use zoo_kernels::{Activation, Epilogue};
///
/// let (spec, weight) = (Conv2d::new(3, 8, 3).with_padding(1), vec![0.5f32; 8 * 3 * 3 * 3]);
/// let layer = Prepared::new(&spec, [6, 6], &weight)?;
/// let relu = Epilogue { shift: Some(&[-13.0; 8]), activation: Activation::Relu, ..Epilogue::default() };
/// let mut out = vec![0.0; 2 * 8 * 6 * 6];
/// layer.forward([2, 3, 6, 6], &[1.0; 2 * 3 * 6 * 6], &relu, &mut out)?;
/// assert_eq!((out[0], out[7]), (0.0, 0.5));
/// # Ok::<(), zoo_kernels::KernelError>(())
/// ```
pub struct Prepared<T: Element> {
    isa: Isa,
    spec: Conv2d,
    size: [usize; 2],
    method: Method,
    weight: Ready<T>,
}

/// What the weight became.
enum Ready<T> {
    /// As it is, for depthwise convolutions.
    Depthwise(Lasting<T>),
    /// As it is, for Winograd's products: transformed it would be four times as large.
    Panels(Lasting<T>),
    /// Transformed for Winograd's products.
    Blocks(Lasting<T>),
    /// Packed for other products.
    Product(Lasting<T>),
}

impl<T: Element> Prepared<T> {
    /// Makes the weight of a convolution of maps of the height and width `size` ready.
    ///
    /// # Errors
    /// As [`Conv2d::output_shape`], or `weight` isn't as long as [`Conv2d::weight_shape`] says.
    pub fn new(spec: &Conv2d, size: [usize; 2], weight: &[T]) -> Result<Self> {
        let shape = [1, spec.in_channels, size[0], size[1]];
        let output = spec.output_shape(shape)?;
        check_len("conv2d", "weight", weight.len(), &spec.weight_shape())?;
        let isa = Isa::current();
        let layer = Layer { isa, spec, shape, output };
        let method = match pick(Pass::Forward, spec, shape, output) {
            method if method.is_winograd() => winograd::prepared(spec),
            method => method,
        };
        let weight = match method {
            Method::Depthwise => Ready::Depthwise(copy(weight)),
            Method::WinogradPanels => Ready::Panels(copy(weight)),
            Method::WinogradBlocks => {
                let mut transformed = Lasting::zeroed(winograd::transformed_len(spec));
                T::winograd_weights(Checked, isa, spec, weight, &mut transformed);
                Ready::Blocks(transformed)
            }
            _ => {
                let source = layer.left(weight);
                let mut packed = Lasting::zeroed(source.packed_len(isa));
                source.pack(isa, &mut packed);
                Ready::Product(packed)
            }
        };
        Ok(Self { isa, spec: *spec, size, method, weight })
    }

    /// `out` = what `epilogue` makes of `conv(input, weight)`; `shape` is the input's.
    ///
    /// # Errors
    /// The shape's height and width aren't those that this was made for, its channels aren't the convolution's, or a
    /// slice isn't as long as its shape.
    pub fn forward(
        &self,
        shape: Shape,
        input: &[T],
        epilogue: &Epilogue<'_, T>,
        out: &mut [T],
    ) -> Result<()> {
        let op = "conv2d";
        check_equal(op, ("the input's height", shape[2]), ("the prepared height", self.size[0]))?;
        check_equal(op, ("the input's width", shape[3]), ("the prepared width", self.size[1]))?;
        let output = self.spec.output_shape(shape)?;
        check_len(op, "input", input.len(), &shape)?;
        epilogue.check(op, self.spec.out_channels, &output)?;
        check_len(op, "out", out.len(), &output)?;
        let layer = Layer { isa: self.isa, spec: &self.spec, shape, output };
        epilogue.run(out, |epilogue, out| match &self.weight {
            Ready::Depthwise(weight) => T::depthwise_forward(Checked, &layer, input, weight, epilogue, out),
            Ready::Panels(weight) => T::winograd_panels(Checked, &layer, input, weight, epilogue, out),
            Ready::Blocks(weight) => T::winograd_blocks(Checked, &layer, input, weight, epilogue, out),
            Ready::Product(weight) => {
                T::conv_product(Checked, &layer, self.method, input, Left::Packed(weight), epilogue, out);
            }
        });
        Ok(())
    }

    /// How it computes.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The convolution.
    pub fn spec(&self) -> &Conv2d {
        &self.spec
    }
}

fn copy<T: Element>(weight: &[T]) -> Lasting<T> {
    let mut copy = Lasting::zeroed(weight.len());
    copy.copy_from_slice(weight);
    copy
}

impl<T: Element> std::fmt::Debug for Prepared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { isa, spec, size, method, .. } = self;
        f.debug_struct("Prepared")
            .field("isa", isa)
            .field("spec", spec)
            .field("size", size)
            .field("method", method)
            .finish_non_exhaustive()
    }
}
