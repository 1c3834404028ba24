//! The zoo's operations in the words of ONNX, opset 17.

use zoo_layers::{
    Activation, AdaptiveAvgPool2d, Align, ChannelScaleShift, Conv2d, ConvTranspose2d, Layer,
    LocalResponseNorm, Op, PadChannels, SelectChannels, Shape,
    onnx::{Arg, Attribute, Form, Site},
};

use crate::{Error, Result, window};

/// A layer as ONNX has it. Without a call it is its first input, unchanged.
pub(crate) fn of(layer: &Layer, site: &Site<'_>) -> Result<Form> {
    let place = Place { layer, site };
    let mut form = Form::new();
    match &layer.op {
        // The network's input is no node, and what drops nothing does nothing.
        Op::Input(_) | Op::Dropout(_) => {}
        Op::Conv2d(conv) => place.conv(&mut form, conv)?,
        Op::ConvTranspose2d(conv) => place.conv_transpose(&mut form, conv)?,
        Op::BatchNorm2d(norm) => {
            form.call(
                "BatchNormalization",
                [Arg::Input(0), Arg::Param(0), Arg::Param(1), Arg::Param(2), Arg::Param(3)],
            );
            form.with("epsilon", Attribute::Float(norm.eps as f32));
        }
        Op::Linear(linear) => {
            form.call("Gemm", place.weighted(linear.bias));
            form.with("transB", Attribute::Int(1));
        }
        Op::Activation(activation) => activate(&mut form, *activation),
        Op::MaxPool2d(pool) => window::max_pool(&mut form, pool, &place)?,
        Op::AvgPool2d(pool) => window::avg_pool(&mut form, pool, &place)?,
        Op::AdaptiveAvgPool2d(pool) => place.adaptive(&mut form, *pool)?,
        Op::Flatten(_) => {
            form.call("Flatten", [Arg::Input(0)]);
            form.with("axis", Attribute::Int(1));
        }
        Op::Add(_) => match layer.inputs.len() {
            0 | 1 => {}
            2 => drop(form.call("Add", [Arg::Input(0), Arg::Input(1)])),
            _ => drop(form.call("Sum", place.inputs())),
        },
        Op::Concat(_) => {
            form.call("Concat", place.inputs());
            form.with("axis", Attribute::Int(1));
        }
        Op::ScaleChannels(_) => {
            let scale = match site.inputs.get(1) {
                Some(Shape::Vector { .. }) => form.call("Unsqueeze", [Arg::Input(1), Arg::Ints(vec![2, 3])]),
                _ => Arg::Input(1),
            };
            form.call("Mul", [Arg::Input(0), scale]);
        }
        Op::LocalResponseNorm(norm) => place.normalise(&mut form, norm)?,
        Op::SelectChannels(SelectChannels { channels }) => {
            let channels = place.ints("a channel", channels)?;
            form.call("Gather", [Arg::Input(0), Arg::Ints(channels)]);
            form.with("axis", Attribute::Int(1));
        }
        Op::PadChannels(PadChannels { before, after }) => {
            let [before, after] = [place.int("a padding", *before)?, place.int("a padding", *after)?];
            let pads = vec![0, before, 0, 0, 0, after, 0, 0];
            form.call("Pad", [Arg::Input(0), Arg::Ints(pads)]);
        }
        Op::Subsample(op) => {
            let steps = Arg::Ints(place.ints("a stride", &op.stride)?);
            let (starts, ends) = (Arg::Ints(vec![0, 0]), Arg::Ints(vec![i64::MAX, i64::MAX]));
            form.call("Slice", [Arg::Input(0), starts, ends, Arg::Ints(vec![2, 3]), steps]);
        }
        Op::Crop(crop) => place.crop(&mut form, crop.offset)?,
        Op::Upsample(op) => place.upsample(&mut form, op.align)?,
        Op::ChannelAffine(_) => {
            let across = || Arg::Ints(vec![1, 2]);
            let scale = form.call("Unsqueeze", [Arg::Param(0), across()]);
            let shift = form.call("Unsqueeze", [Arg::Param(1), across()]);
            let scaled = form.call("Mul", [Arg::Input(0), scale]);
            form.call("Add", [scaled, shift]);
        }
        Op::ChannelScaleShift(ChannelScaleShift { scale, shift }) => {
            let row = |values: &[f64]| Arg::Floats {
                dims: vec![values.len(), 1, 1],
                values: values.iter().map(|value| *value as f32).collect(),
            };
            let scaled = form.call("Mul", [Arg::Input(0), row(scale)]);
            form.call("Add", [scaled, row(shift)]);
        }
        Op::Rbf(_) => {
            let rows = form.call("Unsqueeze", [Arg::Input(0), Arg::Ints(vec![1])]);
            let apart = form.call("Sub", [rows, Arg::Param(0)]);
            let distance = form.call("ReduceSumSquare", [apart]);
            form.with("axes", Attribute::Ints(vec![2])).with("keepdims", Attribute::Int(0));
            form.call("Neg", [distance]);
        }
        Op::Softmax(_) => {
            form.call("Softmax", [Arg::Input(0)]);
            form.with("axis", Attribute::Int(1));
        }
        Op::Custom(op) => {
            let op_form = op.onnx(site).filter(|form| !form.calls.is_empty());
            form = op_form
                .ok_or_else(|| Error::NoForm { node: layer.name.clone(), op: layer.op.operation().kind() })?;
        }
    }
    Ok(form)
}

/// `1.7159 tanh(2x/3)` is a few nodes, the others are one.
fn activate(form: &mut Form, activation: Activation) {
    match activation {
        Activation::Relu => form.call("Relu", [Arg::Input(0)]),
        Activation::Relu6 => form.call("Clip", [Arg::Input(0), Arg::number(0.0), Arg::number(6.0)]),
        Activation::Sigmoid => form.call("Sigmoid", [Arg::Input(0)]),
        Activation::Tanh => form.call("Tanh", [Arg::Input(0)]),
        Activation::ScaledTanh => {
            let (amplitude, slope) = Activation::SCALED_TANH;
            let x = form.call("Mul", [Arg::Input(0), Arg::number(slope as f32)]);
            let x = form.call("Tanh", [x]);
            form.call("Mul", [x, Arg::number(amplitude as f32)])
        }
    };
}

/// A layer and where it stands.
pub(crate) struct Place<'a> {
    layer: &'a Layer,
    pub(crate) site: &'a Site<'a>,
}

impl Place<'_> {
    /// A number of ONNX's.
    pub(crate) fn int(&self, what: &str, value: usize) -> Result<i64> {
        i64::try_from(value)
            .map_err(|_| Error::TooLarge { what: format!("{what} of `{}`", self.layer.name), value })
    }

    pub(crate) fn ints(&self, what: &str, values: &[usize]) -> Result<Vec<i64>> {
        values.iter().map(|value| self.int(what, *value)).collect()
    }

    /// An attribute of whole numbers.
    pub(crate) fn list(&self, what: &str, values: &[usize]) -> Result<Attribute> {
        Ok(Attribute::Ints(self.ints(what, values)?))
    }

    /// Height and width of the first input.
    pub(crate) fn size(&self) -> [usize; 2] {
        self.site.inputs.first().map_or([1, 1], Shape::size)
    }

    /// That it can't be written for pictures of any size.
    pub(crate) fn needs_size(&self, reason: &str) -> Error {
        let (node, op) = (self.layer.name.clone(), self.layer.op.operation().kind());
        Error::NeedsSize { node, op, reason: reason.into() }
    }

    fn inputs(&self) -> Vec<Arg> {
        (0..self.layer.inputs.len()).map(Arg::Input).collect()
    }

    /// The input, the weight, and the bias if there is one.
    fn weighted(&self, bias: bool) -> Vec<Arg> {
        let mut args = vec![Arg::Input(0), Arg::Param(0)];
        args.extend(bias.then_some(Arg::Param(1)));
        args
    }

    fn conv(&self, form: &mut Form, conv: &Conv2d) -> Result<()> {
        form.call("Conv", self.weighted(conv.bias));
        form.with("kernel_shape", self.list("a kernel", &conv.kernel_size)?);
        form.with("strides", self.list("a stride", &conv.stride)?);
        form.with("dilations", self.list("a dilation", &conv.dilation)?);
        form.with("group", Attribute::Int(self.int("the groups", conv.groups)?));
        let sides = (conv.kernel_size, conv.stride, conv.dilation);
        window::pads(form, conv.padding, sides, self)
    }

    fn conv_transpose(&self, form: &mut Form, conv: &ConvTranspose2d) -> Result<()> {
        form.call("ConvTranspose", self.weighted(conv.bias));
        let [rows, columns] = conv.padding;
        form.with("kernel_shape", self.list("a kernel", &conv.kernel_size)?);
        form.with("strides", self.list("a stride", &conv.stride)?);
        form.with("dilations", self.list("a dilation", &conv.dilation)?);
        form.with("group", Attribute::Int(self.int("the groups", conv.groups)?));
        form.with("pads", self.list("a padding", &[rows, columns, rows, columns])?);
        if conv.output_padding != [0, 0] {
            form.with("output_padding", self.list("an output padding", &conv.output_padding)?);
        }
        Ok(())
    }

    /// ONNX divides alpha by the size, and an odd neighbourhood lies there as here. An even one is a convolution over
    /// the squares with a band of ones.
    fn normalise(&self, form: &mut Form, norm: &LocalResponseNorm) -> Result<()> {
        if norm.size % 2 == 1 {
            form.call("LRN", [Arg::Input(0)]);
            form.with("size", Attribute::Int(self.int("a neighbourhood", norm.size)?));
            form.with("alpha", Attribute::Float((norm.alpha * norm.size as f64) as f32));
            form.with("beta", Attribute::Float(norm.beta as f32));
            form.with("bias", Attribute::Float(norm.k as f32));
            return Ok(());
        }
        let channels = self.site.output.channels();
        let mut band = vec![0.0; channels * channels];
        for channel in 0..channels {
            let end = (channel + norm.size / 2).min(channels);
            band[channel * channels..][channel.saturating_sub(norm.size / 2)..end].fill(norm.alpha as f32);
        }
        let squares = form.call("Mul", [Arg::Input(0), Arg::Input(0)]);
        let band = Arg::Floats { dims: vec![channels, channels, 1, 1], values: band };
        let sums = form.call("Conv", [squares, band]);
        let sums = form.call("Add", [sums, Arg::number(norm.k as f32)]);
        let scale = form.call("Pow", [sums, Arg::number(norm.beta as f32)]);
        form.call("Div", [Arg::Input(0), scale]);
        Ok(())
    }

    /// The pixels from `offset` on, as many as the second input has.
    fn crop(&self, form: &mut Form, offset: [usize; 2]) -> Result<()> {
        let starts = Arg::Ints(self.ints("an offset", &offset)?);
        let ends = match self.site.free_size {
            true => {
                let size = form.call("Shape", [Arg::Input(1)]);
                form.with("start", Attribute::Int(2));
                form.call("Add", [size, starts.clone()])
            }
            false => {
                let [height, width] = self.site.output.size();
                Arg::Ints(self.ints("a size", &[offset[0] + height, offset[1] + width])?)
            }
        };
        form.call("Slice", [Arg::Input(0), starts, ends, Arg::Ints(vec![2, 3])]);
        Ok(())
    }

    /// To the height and width of the second input.
    fn upsample(&self, form: &mut Form, align: Align) -> Result<()> {
        let [height, width] = self.site.output.size();
        let sizes = match (self.site.batch, self.site.free_size) {
            (Some(batch), false) => {
                Arg::Ints(self.ints("a size", &[batch, self.site.output.channels(), height, width])?)
            }
            (_, free) => {
                let rows = form.call("Shape", [Arg::Input(0)]);
                form.with("end", Attribute::Int(2));
                let size = match free {
                    true => {
                        let size = form.call("Shape", [Arg::Input(1)]);
                        form.with("start", Attribute::Int(2));
                        size
                    }
                    false => Arg::Ints(self.ints("a size", &[height, width])?),
                };
                let sizes = form.call("Concat", [rows, size]);
                form.with("axis", Attribute::Int(0));
                sizes
            }
        };
        form.call("Resize", [Arg::Input(0), Arg::Absent, Arg::Absent, sizes]);
        let places = match align {
            Align::Areas => "half_pixel",
            Align::Corners => "align_corners",
        };
        form.with("mode", Attribute::Text("linear".into()));
        form.with("coordinate_transformation_mode", Attribute::Text(places.into()));
        Ok(())
    }

    /// Means over regions: of one region, of equal ones, or as two products with the regions' shares.
    fn adaptive(&self, form: &mut Form, pool: AdaptiveAvgPool2d) -> Result<()> {
        if pool == AdaptiveAvgPool2d::GLOBAL {
            form.call("GlobalAveragePool", [Arg::Input(0)]);
            return Ok(());
        }
        let (size, output) = (self.size(), pool.output_size);
        if self.site.free_size {
            let [rows, columns] = [0, 1].map(|axis| self.shares(form, axis, output[axis]));
            let wide = form.call("MatMul", [rows?, Arg::Input(0)]);
            let columns = form.call("Transpose", [columns?]);
            form.call("MatMul", [wide, columns]);
            return Ok(());
        }
        if size == output {
            return Ok(());
        }
        if (0..2).all(|axis| size[axis].is_multiple_of(output[axis])) {
            let region = [size[0] / output[0], size[1] / output[1]];
            form.call("AveragePool", [Arg::Input(0)]);
            form.with("kernel_shape", self.list("a region", &region)?);
            form.with("strides", self.list("a region", &region)?);
            return Ok(());
        }
        let share = |axis: usize, transposed: bool| {
            let (size, output) = (size[axis], output[axis]);
            let mut values = vec![0.0; size * output];
            for region in 0..output {
                let (start, end) = (region * size / output, ((region + 1) * size).div_ceil(output));
                for pixel in start..end {
                    let place = if transposed { pixel * output + region } else { region * size + pixel };
                    values[place] = (1.0 / (end - start) as f64) as f32;
                }
            }
            let dims = if transposed { vec![size, output] } else { vec![output, size] };
            Arg::Floats { dims, values }
        };
        let wide = form.call("MatMul", [share(0, false), Arg::Input(0)]);
        form.call("MatMul", [wide, share(1, true)]);
        Ok(())
    }

    /// The shares of `output` regions in the pixels along an axis, `(output, pixels)`, for a number of pixels that the
    /// file's reader learns when it runs: region `i` spans pixels ⌊i·size/output⌋ to ⌈(i+1)·size/output⌉.
    fn shares(&self, form: &mut Form, axis: usize, output: usize) -> Result<Arg> {
        let (regions, axis) = (self.int("the regions", output)?, self.int("an axis", axis)?);
        let one = || Arg::Ints(vec![1]);
        let size = form.call("Shape", [Arg::Input(0)]);
        form.with("start", Attribute::Int(2 + axis)).with("end", Attribute::Int(3 + axis));
        let start = form.call("Mul", [Arg::Ints((0..regions).collect()), size.clone()]);
        let start = form.call("Div", [start, Arg::Ints(vec![regions])]);
        let end = form.call("Mul", [Arg::Ints((1..=regions).collect()), size.clone()]);
        let end = form.call("Add", [end, Arg::Ints(vec![regions - 1])]);
        let end = form.call("Div", [end, Arg::Ints(vec![regions])]);
        let start = form.call("Unsqueeze", [start, one()]);
        let end = form.call("Unsqueeze", [end, one()]);
        let last = form.call("Squeeze", [size]);
        let step = form.call("Squeeze", [one()]);
        let first = form.call("Sub", [step.clone(), step.clone()]);
        let pixels = form.call("Range", [first, last, step]);
        let behind = form.call("GreaterOrEqual", [pixels.clone(), start.clone()]);
        let before = form.call("Less", [pixels, end.clone()]);
        let inside = form.call("And", [behind, before]);
        let inside = form.call("Cast", [inside]);
        form.with("to", Attribute::Int(FLOAT));
        let count = form.call("Sub", [end, start]);
        let count = form.call("Cast", [count]);
        form.with("to", Attribute::Int(FLOAT));
        Ok(form.call("Div", [inside, count]))
    }
}

/// ONNX's number for f32.
pub(crate) const FLOAT: i64 = 1;
