//! How far away the pixels lie that a pixel's answer depends on.

use crate::{Align, Graph, Op, Shape};

/// What of the picture a pixel of the main output depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The pixel's answer depends on no pixel of the picture that is further away than this, along either side.
    pub halo: usize,
    /// A picture moved by a multiple of this has its answers moved by as much, away from the edges.
    pub stride: usize,
}

/// What a node's value stands for.
#[derive(Clone, Copy)]
struct At {
    /// Pixels of the picture between two of its own.
    stride: usize,
    halo: usize,
}

impl Graph {
    /// What a pixel of the main output depends on; nothing where some layer sees the whole picture, or is one of the user's
    /// own. The halo is an upper bound: half of every window, and a pixel of its map for what doesn't lie in the middle.
    ///
    /// ```
    /// use zoo_layers::{Align, Conv2d, Graph, Reach, Shape};
    ///
    /// let graph = Graph::build("small", Shape::map(3, 32, 32), |net, picture| {
    ///     let x = net.conv(picture, Conv2d::k3(8).stride(2), "conv1")?;
    ///     let x = net.conv(x, Conv2d::k3(4), "conv2")?;
    ///     let x = net.upsample_like(x, picture, Align::Areas)?;
    ///     net.output("logits", x)
    /// })?;
    /// assert_eq!(graph.reach(), Some(Reach { halo: 2 + 2 + 2, stride: 2 }));
    /// # Ok::<(), zoo_layers::Error>(())
    /// ```
    pub fn reach(&self) -> Option<Reach> {
        let main = self.main_output().node;
        let needed = self.ancestors([main]);
        let mut all: Vec<Option<At>> = Vec::with_capacity(self.layers().len());
        let mut stride = 1;
        for (node, layer) in self.nodes() {
            if !needed.contains(node) {
                all.push(None);
                continue;
            }
            let inputs: Vec<At> = layer.inputs.iter().filter_map(|input| all[input.0]).collect();
            let sizes: Vec<[usize; 2]> =
                layer.inputs.iter().map(|input| self.get(*input).output.size()).collect();
            let at = match (&layer.op, inputs.first()) {
                (Op::Input(_), _) | (_, None) => At { stride: 1, halo: 0 },
                (op, Some(&first)) => after(op, first, (&inputs, &sizes))?,
            };
            if !matches!(layer.output, Shape::Map { .. }) {
                return None;
            }
            stride = multiple(stride, at.stride);
            all.push(Some(at));
        }
        all[main.0].map(|at| Reach { halo: at.halo, stride })
    }
}

/// The least common multiple of two strides.
fn multiple(a: usize, b: usize) -> usize {
    let (mut divisor, mut rest) = (a, b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    a / divisor.max(1) * b
}

/// What an operation makes of its inputs; nothing if it sees the whole picture.
fn after(op: &Op, first: At, (inputs, sizes): (&[At], &[[usize; 2]])) -> Option<At> {
    let window = |kernel: [usize; 2], dilation: [usize; 2], stride: [usize; 2]| {
        let wide = (0..2).map(|axis| kernel[axis].saturating_sub(1) * dilation[axis]).max().unwrap_or(0);
        let off_centre = usize::from(wide % 2 == 1 || stride != [1, 1]);
        let halo = first.halo + (wide / 2 + off_centre) * first.stride;
        At { stride: first.stride * multiple(stride[0], stride[1]), halo }
    };
    Some(match op {
        Op::Conv2d(conv) => window(conv.kernel_size, conv.dilation, conv.stride),
        Op::MaxPool2d(pool) => window(pool.kernel_size, pool.dilation, pool.stride),
        Op::AvgPool2d(pool) => window(pool.kernel_size, [1, 1], pool.stride),
        Op::Subsample(_) => return None,
        Op::ConvTranspose2d(conv) => {
            let stride = conv.stride[0].max(conv.stride[1]).max(1);
            let kernel = conv.kernel_size[0].max(conv.kernel_size[1]);
            let reached = kernel.div_ceil(stride);
            At { stride: (first.stride / stride).max(1), halo: first.halo + reached * first.stride }
        }
        // Between aligned corners pixels lie as far apart as the whole picture says.
        Op::Upsample(up) if up.align == Align::Corners => return None,
        Op::Upsample(_) => {
            let wanted = inputs.get(1).map_or(1, |reference| reference.stride);
            // A map from which windows without padding have cut lies over the other one otherwise in every picture.
            let [small, large] = sizes else { return None };
            let times = (first.stride / wanted).max(1);
            if (0..2).any(|axis| small[axis] != large[axis].div_ceil(times)) {
                return None;
            }
            At { stride: wanted, halo: first.halo + first.stride }
        }
        // What is cut to another's size may lie up to a pixel of its own beside it.
        Op::Crop(_) => At { halo: first.halo + first.stride, ..first },
        Op::BatchNorm2d(_)
        | Op::Activation(_)
        | Op::Dropout(_)
        | Op::Add(_)
        | Op::Concat(_)
        | Op::LocalResponseNorm(_)
        | Op::SelectChannels(_)
        | Op::PadChannels(_)
        | Op::ChannelAffine(_)
        | Op::ChannelScaleShift(_)
        | Op::Softmax(_) => {
            let halo = inputs.iter().map(|input| input.halo).max().unwrap_or(first.halo);
            At { halo, ..first }
        }
        Op::Input(_)
        | Op::Linear(_)
        | Op::AdaptiveAvgPool2d(_)
        | Op::Flatten(_)
        | Op::ScaleChannels(_)
        | Op::Rbf(_)
        | Op::Custom(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::{Align, Conv2d, ConvTranspose2d, Graph, MaxPool2d, Padding, Shape};

    #[test]
    fn windows_add_up_by_the_stride_at_which_they_stand() {
        let graph = Graph::build("pools", Shape::map(1, 64, 64), |net, picture| {
            let x = net.conv(picture, Conv2d::k3(4), "conv1")?; // 1
            let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool")?; // +1
            let x = net.conv(x, Conv2d::k3(4).dilation(2), "conv2")?; // +4
            let x = net.conv_transpose(x, ConvTranspose2d::new(4, 4, 2), "up")?; // +4
            let x = net.crop_like(x, picture, 1)?; // +1
            net.output("logits", x)
        });
        let reach = graph.unwrap().reach().unwrap();
        assert_eq!((reach.halo, reach.stride), (11, 2));
    }

    #[test]
    fn windows_that_cut_a_map_lie_elsewhere_in_every_picture() {
        let graph = Graph::build("cut", Shape::map(1, 64, 64), |net, picture| {
            let conv = || Conv2d::k3(1).padding(Padding::None);
            let x = net.conv(picture, conv(), "conv1")?;
            let x = net.conv(x, conv(), "conv2")?;
            let x = net.upsample_like(x, picture, Align::Areas)?;
            net.output("out", x)
        });
        assert_eq!(graph.unwrap().reach(), None);
    }

    #[test]
    fn sides_with_other_strides_have_a_common_multiple() {
        let graph = Graph::build("uneven", Shape::map(1, 60, 60), |net, picture| {
            let x = net.conv(picture, Conv2d { stride: [2, 3], ..Conv2d::k3(1) }, "conv")?;
            net.output("out", x)
        });
        assert_eq!(graph.unwrap().reach().unwrap().stride, 6);
    }

    #[test]
    fn what_sees_the_whole_picture_has_no_end() {
        let graph = Graph::build("global", Shape::map(1, 8, 8), |net, picture| {
            let x = net.global_avg_pool(picture)?;
            net.output("mean", x)
        });
        assert_eq!(graph.unwrap().reach(), None);
    }
}
