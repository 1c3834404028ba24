//! The inception module and the convolution that it is made of.

use std::fmt::Display;

use zoo_layers::{BatchNorm2d, Conv2d, Init, MaxPool2d, Node, Padding, Result, Scope};

use crate::{Inception, Norm, Style, Widest};

/// An inception module (figure 2b): four views of the same map, 1×1, 3×3, 5×5 and a max pool, side by side; 1×1
/// convolutions in front of the expensive ones keep them cheap. `(n, c, h, w)` becomes
/// `(n, widths.out_channels(), h, w)`.
///
/// ```
/// use zoo_googlenet::{Inception, Style, inception};
/// use zoo_layers::{Activation, Conv2d, Graph, Shape};
///
/// let widths = Inception {
///     conv1x1: 64, reduce3x3: 96, conv3x3: 128, reduce5x5: 16, conv5x5: 32, pool_projection: 32,
/// };
/// // SE-Inception (Hu et al. 2017, figure 2): the module's output, each channel scaled by what the whole map says.
/// let graph = Graph::build("se_inception", Shape::map(192, 28, 28), |net, x| {
///     let mut module = net.enter("inception3a");
///     let map = inception(&mut module, x, widths, Style::PAPER)?;              // (n, 256, 28, 28)
///     let mut se = module.enter("se");
///     let gate = se.adaptive_avg_pool(map, [1, 1], "squeeze")?;                // (n, 256, 1, 1)
///     let gate = se.conv(gate, Conv2d::k1(16), "fc1")?;
///     let gate = se.relu(gate)?;
///     let gate = se.conv(gate, Conv2d::k1(256), "fc2")?;
///     let gate = se.activation(gate, Activation::Sigmoid)?;
///     let scaled = se.scale_channels(map, gate)?;
///     net.output("features", scaled)
/// })?;
/// assert_eq!(graph.get(graph.main_output().node).output, Shape::map(256, 28, 28));
/// # Ok::<(), zoo_layers::Error>(())
/// ```
///
/// # Errors
/// What does not fit, by node.
pub fn inception(net: &mut Scope<'_>, x: Node, widths: Inception, style: Style) -> Result<Node> {
    let norm = style.norm;
    let widest = match style.widest {
        Widest::K5 => Conv2d::k5(widths.conv5x5),
        Widest::K3 => Conv2d::k3(widths.conv5x5),
    };
    let ones = conv(net, x, Conv2d::k1(widths.conv1x1), norm, "branch1")?;

    let threes = conv(net, x, Conv2d::k1(widths.reduce3x3), norm, "branch2.0")?;
    let threes = conv(net, threes, Conv2d::k3(widths.conv3x3), norm, "branch2.1")?;

    let fives = conv(net, x, Conv2d::k1(widths.reduce5x5), norm, "branch3.0")?;
    let fives = conv(net, fives, widest, norm, "branch3.1")?;

    let pooled = net.max_pool(x, MaxPool2d::new(3, 1).padding(Padding::All(1)), "branch4.0")?;
    let pooled = conv(net, pooled, Conv2d::k1(widths.pool_projection), norm, "branch4.1")?;

    net.concat(&[ones, threes, fives, pooled])
}

/// A convolution called `name.conv`, its norm `name.bn`, if any, and a ReLU.
///
/// # Errors
/// What does not fit, by node.
pub fn conv(net: &mut Scope<'_>, x: Node, conv: Conv2d, norm: Norm, name: impl Display) -> Result<Node> {
    let mut net = net.enter(name);
    match norm {
        // torchvision's eps and initialisation; the norm takes care of the scale.
        Norm::Batch => {
            net.set_norm(BatchNorm2d::new().eps(1e-3));
            net.conv_norm_act(x, conv.weight_init(Init::Normal { std: 0.01 }), "conv", "bn")
        }
        Norm::None => {
            let x = net.conv(x, conv.weight_init(CAFFE_WEIGHTS).bias_init(CAFFE_BIAS), "conv")?;
            net.relu(x)
        }
    }
}

/// The paper says nothing of initialisation; these are the Caffe reproduction's: uniform with variance 1 / fan-in,
/// and biases that let every ReLU begin open. Without norms, smaller weights would leave 22 layers silent.
pub(crate) const CAFFE_WEIGHTS: Init = Init::UniformFanIn { gain: 1.732_050_807_568_877_2 };
pub(crate) const CAFFE_BIAS: Init = Init::Constant(0.2);
