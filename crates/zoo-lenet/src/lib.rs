//! The first convolutional network in wide use: five layers that read handwritten digits.
//!
//! *Gradient-Based Learning Applied to Document Recognition*, Y. LeCun, L. Bottou, Y. Bengio, P. Haffner,
//! Proceedings of the IEEE 86(11), 1998, [doi:10.1109/5.726791](https://doi.org/10.1109/5.726791), section II.B.
//!
//! ```text
//!            lenet5                         lenet5_paper
//! picture    (1, 28, 28), padded by 2       (1, 32, 32)
//! C1  5×5    (6, 28, 28)   conv1            (6, 28, 28)   c1
//! S2  2×2    (6, 14, 14)                    (6, 14, 14)   s2: coefficient and bias for each map
//! C3  5×5    (16, 10, 10)  conv2            (16, 10, 10)  c3: each map sees 3, 4 or 6 maps (table I)
//! S4  2×2    (16, 5, 5)                     (16, 5, 5)    s4
//! C5         (120)         fc1              (120, 1, 1)   c5: 5×5
//! F6         (84)          fc2              (84)          f6
//! output     (10)          fc3              (10)          output: distance to 10 codes of 7×12
//! ```
//!
//! | variant | parameters | MACs | test error |
//! |---|---|---|---|
//! | [`lenet5`] | 61,706 | 416,520 | 1.00 % on the 1,000 bundled test digits (weights in the program; 1.0, 1.1 and 0.8 of three seeds) |
//! | [`lenet5_paper`] | 60,000 | 326,520 | 0.95 % on MNIST's 10,000 (paper, section III.B) |
//! | [`mnist_convnet`] | 225,034 | 2,631,040 | see `zoo train mnist_convnet` |
//! | [`digitnet`] | 144,298 | 0.010 G | 0.80 % on the same (weights in the program; 0.9 to 1.1 of three seeds) |
//!
//! # What it introduced
//! Local receptive fields, shared weights and subsampling together, trained by gradient descent end to end.
//! Before, features were designed by hand and only the classifier was learned; a dense network that sees the
//! 32×32 picture as 1,024 unrelated numbers needs more weights, more examples and forgets that a shifted digit
//! is the same digit.
//!
//! # Differences from the paper
//! [`lenet5`] is the network as it is taught: C3 sees all maps, subsampling is a plain mean, tanh is not scaled,
//! the output is linear with softmax. [`lenet5_paper`] keeps all four as published, with two confessions:
//! * A subsampling unit's coefficient multiplies the mean of four pixels, not their sum: it is four times the
//!   paper's number.
//! * The output is minus the distance, so that the largest is the answer, as everywhere else in this zoo.
//!   The codes are drawn after figure 3; they are buffers and are not learned.
//!
//! [`mnist_convnet`] is no paper's: two 3×3 convolutions with ReLU and max pools, a dense layer with dropout, as
//! courses build it. Nor is [`digitnet`]: it is the smallest network of this zoo's parts that reads digits as well as
//! people do, VGG's pairs of 3×3 convolutions with batch norm, where LeNet-5 has one of 5×5.
//!
//! # Parameter names
//! As in the diagram; the sixteen maps of `c3` are `c3.0` to `c3.15`. [`mnist_convnet`]'s are `conv1`, `conv2`,
//! `fc1`, `fc2`; [`digitnet`]'s `conv1` to `conv5` with `bn1` to `bn5`, and `fc`.
//!
//! # Example
//! ```
//! let graph = zoo_lenet::lenet5()?;
//! let parameters: usize = graph.params().map(zoo_layers::Param::elements).sum();
//! assert_eq!(parameters, 61_706);
//! # Ok::<(), zoo_layers::Error>(())
//! ```

mod codes;

use zoo_layers::{
    Activation, AvgPool2d, ChannelAffine, Conv2d, Fan, Graph, Init, Linear, MaxPool2d, Node, Padding, Rbf,
    Result, Scope, SelectChannels, Shape,
};

/// Table I: the S2 maps that each C3 map sees.
const C3_SEES: [&[usize]; 16] = [
    &[0, 1, 2],
    &[1, 2, 3],
    &[2, 3, 4],
    &[3, 4, 5],
    &[0, 4, 5],
    &[0, 1, 5],
    &[0, 1, 2, 3],
    &[1, 2, 3, 4],
    &[2, 3, 4, 5],
    &[0, 3, 4, 5],
    &[0, 1, 4, 5],
    &[0, 1, 2, 5],
    &[0, 1, 3, 4],
    &[1, 2, 4, 5],
    &[0, 2, 3, 5],
    &[0, 1, 2, 3, 4, 5],
];

/// Section II.B draws weights uniformly within 2.4 / fan-in, here 1 / √fan-in: the paper's smaller range suits its
/// second-order learning rates, with which each weight finds its own scale.
const INIT: Init = Init::UniformFanIn { gain: 1.0 };

/// For convolutions with ReLU behind them.
const HE: Init = Init::KaimingNormal(Fan::Out);

/// LeNet-5 as it is taught, for 28×28 digits.
///
/// # Errors
/// None for this preset.
pub fn lenet5() -> Result<Graph> {
    let weights = Init::XavierUniform;
    Graph::build("lenet5", Shape::map(1, 28, 28), |net, picture| {
        let conv = |channels| Conv2d::k5(channels).weight_init(weights.clone());
        let linear = |features| Linear::new(features).weight_init(weights.clone());
        let x = net.conv(picture, conv(6), "conv1")?; // (n, 6, 28, 28)
        let x = net.activation(x, Activation::Tanh)?;
        let x = net.avg_pool(x, AvgPool2d::new(2, 2), "pool1")?; // (n, 6, 14, 14)
        let x = net.conv(x, conv(16).padding(Padding::None), "conv2")?; // (n, 16, 10, 10)
        let x = net.activation(x, Activation::Tanh)?;
        let x = net.avg_pool(x, AvgPool2d::new(2, 2), "pool2")?; // (n, 16, 5, 5)
        let x = net.flatten(x)?; // (n, 400)
        let x = net.linear(x, linear(120), "fc1")?;
        let x = net.activation(x, Activation::Tanh)?;
        let x = net.linear(x, linear(84), "fc2")?;
        let x = net.activation(x, Activation::Tanh)?;
        let logits = net.linear(x, linear(10), "fc3")?;
        net.output("logits", logits)
    })
}

/// LeNet-5 as published, for 32×32 digits.
///
/// # Errors
/// None for this preset.
pub fn lenet5_paper() -> Result<Graph> {
    let conv = |channels| Conv2d::k5(channels).padding(Padding::None).weight_init(INIT);
    Graph::build("lenet5_paper", Shape::map(1, 32, 32), |net, picture| {
        let x = net.conv(picture, conv(6), "c1")?; // (n, 6, 28, 28)
        let x = net.activation(x, Activation::ScaledTanh)?;
        let x = subsampling(net, x, "s2")?; // (n, 6, 14, 14)
        let maps = C3_SEES.iter().enumerate().map(|(map, sees)| {
            let seen = net.add_unnamed(SelectChannels { channels: sees.to_vec() }, &[x], "select")?;
            net.conv(seen, conv(1), format!("c3.{map}"))
        });
        let maps = maps.collect::<Result<Vec<_>>>()?;
        let x = net.concat(&maps)?; // (n, 16, 10, 10)
        let x = net.activation(x, Activation::ScaledTanh)?;
        let x = subsampling(net, x, "s4")?; // (n, 16, 5, 5)
        let x = net.conv(x, conv(120), "c5")?; // (n, 120, 1, 1)
        let x = net.activation(x, Activation::ScaledTanh)?;
        let x = net.flatten(x)?;
        let x = net.linear(x, Linear::new(84).weight_init(INIT), "f6")?;
        let x = net.activation(x, Activation::ScaledTanh)?; // (n, 84)
        let logits = net.add_op(Rbf { classes: 10, codes: codes::digits() }, &[x], "output")?;
        net.output("logits", logits)
    })
}

/// The mean of 2×2 pixels, times a learned coefficient, plus a learned bias, squashed (section II.B, layer S2).
fn subsampling(net: &mut Scope<'_>, x: Node, name: &str) -> Result<Node> {
    let mean = net.avg_pool(x, AvgPool2d::new(2, 2), format!("{name}_mean"))?;
    let affine = ChannelAffine { weight_init: Init::ONES, bias_init: Init::ZEROS };
    let x = net.add_op(affine, &[mean], name)?;
    net.activation(x, Activation::ScaledTanh)
}

/// A small ReLU network with dropout for 28×28 digits.
///
/// # Errors
/// None for this preset.
pub fn mnist_convnet() -> Result<Graph> {
    let he = Init::KaimingNormal(zoo_layers::Fan::In);
    Graph::build("mnist_convnet", Shape::map(1, 28, 28), |net, picture| {
        let conv = |channels| Conv2d::k3(channels).padding(Padding::None).weight_init(he.clone());
        let x = net.conv(picture, conv(32), "conv1")?; // (n, 32, 26, 26)
        let x = net.relu(x)?;
        let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool1")?; // (n, 32, 13, 13)
        let x = net.conv(x, conv(64), "conv2")?; // (n, 64, 11, 11)
        let x = net.relu(x)?;
        let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool2")?; // (n, 64, 5, 5)
        let x = net.flatten(x)?; // (n, 1600)
        let x = net.linear(x, Linear::new(128).weight_init(he.clone()), "fc1")?;
        let x = net.relu(x)?;
        let x = net.dropout(x, 0.5)?;
        let logits = net.linear(x, Linear::new(10), "fc2")?;
        net.output("logits", logits)
    })
}

/// Five 3×3 convolutions with batch norm for 28×28 digits.
///
/// # Errors
/// None for this preset.
pub fn digitnet() -> Result<Graph> {
    Graph::build("digitnet", Shape::map(1, 28, 28), |net, picture| {
        let conv = |channels| Conv2d::k3(channels).padding(Padding::None).weight_init(HE);
        let x = net.conv_norm_act(picture, conv(32), "conv1", "bn1")?; // (n, 32, 26, 26)
        let x = net.conv_norm_act(x, conv(32), "conv2", "bn2")?; // (n, 32, 24, 24)
        let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool1")?; // (n, 32, 12, 12)
        let x = net.conv_norm_act(x, conv(64), "conv3", "bn3")?; // (n, 64, 10, 10)
        let x = net.conv_norm_act(x, conv(64), "conv4", "bn4")?; // (n, 64, 8, 8)
        let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool2")?; // (n, 64, 4, 4)
        let x = net.conv_norm_act(x, conv(128), "conv5", "bn5")?; // (n, 128, 2, 2)
        let x = net.flatten(x)?; // (n, 512)
        let x = net.dropout(x, 0.2)?;
        let logits = net.linear(x, Linear::new(10), "fc")?;
        net.output("logits", logits)
    })
}
