//! Dense layers as the convolutions that they are.

use super::{Carry, Change};
use crate::{
    AdaptiveAvgPool2d, AvgPool2d, Conv2d, Error, Graph, Layer, Linear, Node, NodeSet, Op, Padding, Result,
    Shape, When, graph::Builder,
};

impl Graph {
    /// The same network without dense layers: a linear layer with M outputs on a C×H×W map is a convolution of M
    /// filters of C×H×W without padding, its weights the same numbers (Long et al. 2015, section 3.1; Sermanet et
    /// al. 2013, section 3.5). At the nominal size the outputs are the same, as 1×1 maps; on a larger picture
    /// they are maps, one vector of logits for each place where the nominal picture fits, `stride` pixels apart.
    ///
    /// An adaptive pool, global ones among them, becomes an average pool with the window that it has at the
    /// nominal size. Auxiliary outputs are left out. Squeeze-and-excitation still sees the whole picture.
    ///
    /// # Errors
    /// A layer that has no equivalent on maps, by name: a pool over regions of different sizes, a radial basis
    /// layer, an operation on a flattened map that is neither a linear layer nor element-wise.
    pub fn convolutionalize(&self) -> Result<(Self, Carry)> {
        let mut carry = Carry::default();
        let outputs: Vec<_> = self.outputs.iter().filter(|output| output.when == When::Always).collect();
        let needed = self.ancestors(outputs.iter().map(|output| output.node).chain([Node(0)]));
        let gates = self.gates();
        let mut builder = Builder::new(self.name.clone());
        let mut moved: Vec<Option<Node>> = Vec::with_capacity(self.layers.len());
        for (node, layer) in self.nodes() {
            if !needed.contains(node) {
                let unused = layer.params.iter().map(|param| (param.name.clone(), Change::Drop));
                carry.changes.extend(unused);
                moved.push(None);
                continue;
            }
            let inputs: Vec<Node> = layer.inputs.iter().filter_map(|input| moved[input.0]).collect();
            let before = inputs.first().map(|input| builder.layers[input.0].output);
            let op = match before {
                Some(before) if !gates.contains(node) => on_maps(layer, before)?,
                _ => Some(layer.op.clone()),
            };
            let new = match (op, inputs.first()) {
                (None, Some(&input)) => input,
                (op, _) => {
                    let op = op.unwrap_or_else(|| layer.op.clone());
                    builder.push(layer.name.clone(), op, inputs)?
                }
            };
            for (old, param) in layer.params.iter().zip(&builder.layers[new.0].params) {
                if old.shape != param.shape {
                    carry.changes.insert(old.name.clone(), Change::Reshape(param.shape.clone()));
                }
            }
            moved.push(Some(new));
        }
        for output in outputs {
            if let Some(node) = moved[output.node.0] {
                builder.output(&output.name, node, output.when)?;
            }
        }
        Ok((builder.finish()?, carry))
    }

    /// All that some channel scale needs.
    fn gates(&self) -> NodeSet {
        let scales = self.layers.iter().filter(|layer| matches!(layer.op, Op::ScaleChannels(_)));
        self.ancestors(scales.filter_map(|layer| layer.inputs.get(1).copied()))
    }
}

/// What becomes of a node outside of gates, whose first input is the nominal map `before` (or a vector, if the
/// network's input is one); `None` where its reader may read its input instead.
fn on_maps(layer: &Layer, before: Shape) -> Result<Option<Op>> {
    let [height, width] = before.size();
    let refuse = |reason: String| {
        Err(Error::Misfit { node: layer.name.clone(), op: layer.op.operation().kind(), reason })
    };
    if matches!(before, Shape::Vector { .. }) {
        return refuse(format!(
            "it reads a vector of {before} that was never a map, so it can't slide over one"
        ));
    }
    Ok(Some(match &layer.op {
        Op::Flatten(_) => return Ok(None),
        Op::Linear(linear) => convolution(linear, [height, width]).into(),
        Op::AdaptiveAvgPool2d(AdaptiveAvgPool2d { output_size }) => {
            let [rows, columns] = *output_size;
            if [rows, columns] == [height, width] {
                return Ok(None);
            }
            if height % rows != 0 || width % columns != 0 {
                return refuse(format!(
                    "it shares {height}x{width} pixels among {rows}x{columns} regions, which are not all of one \
                     size; a pool that slides has one window"
                ));
            }
            let kernel_size = [height / rows, width / columns];
            // One region slides by single pixels; several lie side by side, as they do at the nominal size.
            let stride = if [rows, columns] == [1, 1] { [1, 1] } else { kernel_size };
            AvgPool2d { kernel_size, stride, ..AvgPool2d::new(1, 1) }.into()
        }
        op @ (Op::Activation(_) | Op::Dropout(_)) => op.clone(),
        op @ (Op::Softmax(_) | Op::Concat(_) | Op::Add(_)) if [height, width] == [1, 1] => op.clone(),
        op if matches!(layer.output, Shape::Map { .. }) => op.clone(),
        _ => {
            return refuse(format!(
                "it reads a flattened map of {before}, and has no equivalent on a larger one"
            ));
        }
    }))
}

/// The linear layer as filters of `kernel_size`.
fn convolution(linear: &Linear, kernel_size: [usize; 2]) -> Conv2d {
    Conv2d {
        bias: linear.bias,
        weight_init: linear.weight_init.clone(),
        bias_init: linear.bias_init.clone(),
        ..Conv2d::new(linear.out_features, kernel_size).padding(Padding::None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{Device, Tensor};

    use crate::{
        Conv2d, Graph, Linear, MaxPool2d, Mode, Net, Padding, Rbf, Result, Scope, Shape, rng::Stream,
    };

    /// The network as it is and convolutionalized, with the same weights.
    fn both(dense: &Graph) -> (Net, Net) {
        let net = dense.init(3).unwrap();
        let tensors: HashMap<String, Tensor> =
            net.tensors().map(|(param, tensor)| (param.name.clone(), tensor.clone())).collect();
        let (graph, carry) = dense.convolutionalize().unwrap();
        let tensors = carry.tensors(&tensors).unwrap();
        (net, graph.load_tensors(&tensors, &Device::Cpu).unwrap())
    }

    fn picture(shape: Shape) -> Tensor {
        let mut stream = Stream::new(1, "picture");
        let values: Vec<f32> = (0..2 * shape.elements()).map(|_| stream.normal() as f32).collect();
        Tensor::from_vec(values, shape.with_batch(2), &Device::Cpu).unwrap()
    }

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn assert_close(a: &Tensor, b: &Tensor) {
        assert_eq!(a.elem_count(), b.elem_count());
        for (a, b) in flat(a).into_iter().zip(flat(b)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }

    /// Without padding, every vector of the map is what the dense network says of the crop there.
    fn assert_slides(dense: &Graph, stride: usize) {
        let (dense, convolutional) = both(dense);
        let nominal = dense.graph().input();
        let [height, width] = nominal.size();
        let larger = picture(Shape::map(nominal.channels(), height + 2 * stride, width + stride));
        let map = convolutional.forward(&larger, Mode::Eval).unwrap();
        assert_eq!(map.dims()[2..], [3, 2]);
        for (row, column) in (0..3).flat_map(|row| (0..2).map(move |column| (row, column))) {
            let crop = larger.narrow(2, row * stride, height).unwrap();
            let crop = crop.narrow(3, column * stride, width).unwrap();
            let there = map.narrow(2, row, 1).unwrap().narrow(3, column, 1).unwrap();
            assert_close(&there, &dense.forward(&crop, Mode::Eval).unwrap());
        }
    }

    fn classifier(net: &mut Scope<'_>, x: crate::Node) -> Result<()> {
        let x = net.flatten(x)?;
        let x = net.dropout(x, 0.5)?;
        let x = net.linear(x, Linear::new(9), "fc1")?;
        let x = net.relu(x)?;
        let x = net.linear(x, Linear::new(4), "fc2")?;
        net.output("logits", x)
    }

    #[test]
    fn dense_layers_slide() {
        let graph = Graph::build("dense", Shape::map(2, 11, 14), |net, picture| {
            let x = net.conv(picture, Conv2d::k3(5).padding(Padding::None), "conv1")?; // (n, 5, 9, 12)
            let x = net.relu(x)?;
            let x = net.max_pool(x, MaxPool2d::new(3, 3), "pool1")?; // (n, 5, 3, 4)
            let x = net.adaptive_avg_pool(x, [3, 4], "avgpool")?;
            classifier(net, x)
        });
        assert_slides(&graph.unwrap(), 3);
    }

    #[test]
    fn global_pools_slide_by_single_pixels() {
        let graph = Graph::build("global", Shape::map(2, 9, 12), |net, picture| {
            let x = net.conv(picture, Conv2d::k3(5).padding(Padding::None), "conv1")?;
            let x = net.relu(x)?;
            net.head(x, crate::Head::Classes(4), 0.2, crate::Linear::new, "fc")
        });
        assert_slides(&graph.unwrap(), 1);
    }

    #[test]
    fn regions_that_divide_the_map_become_a_pool_side_by_side() {
        let graph = Graph::build("regions", Shape::map(2, 8, 12), |net, picture| {
            let x = net.adaptive_avg_pool(picture, [2, 3], "avgpool")?;
            classifier(net, x)
        });
        assert_slides(&graph.unwrap(), 4);
    }

    #[test]
    fn gates_stay_and_auxiliary_heads_go() {
        let graph = Graph::build("gated", Shape::map(2, 6, 6), |net, picture| {
            let x = net.conv(picture, Conv2d::k3(4), "conv1")?;
            let gate = net.global_avg_pool(x)?;
            let gate = net.linear(gate, Linear::new(4), "gate")?;
            let x = net.scale_channels(x, gate)?;
            let aux = net.flatten(x)?;
            let aux = net.linear(aux, Linear::new(3), "aux.fc")?;
            net.head(x, crate::Head::Classes(4), 0.0, crate::Linear::new, "fc")?;
            net.training_output("aux", aux)
        });
        let (dense, convolutional) = both(&graph.unwrap());
        let graph = convolutional.graph();
        assert_eq!(graph.layer("gate").unwrap().params[0].shape, [4, 4]);
        assert_eq!(graph.layer("fc").unwrap().params[0].shape, [4, 4, 1, 1]);
        assert!(graph.layer("aux.fc").is_err() && graph.outputs().len() == 1);
        let picture = picture(Shape::map(2, 6, 6));
        assert_close(
            &convolutional.forward(&picture, Mode::Eval).unwrap(),
            &dense.forward(&picture, Mode::Eval).unwrap(),
        );
    }

    #[test]
    fn what_has_no_equivalent_is_named() {
        let uneven = Graph::build("uneven", Shape::map(2, 14, 14), |net, picture| {
            let x = net.adaptive_avg_pool(picture, [4, 4], "pool")?;
            classifier(net, x)
        });
        let error = uneven.unwrap().convolutionalize().unwrap_err().to_string();
        assert!(error.contains("`pool`") && error.contains("14x14") && error.contains("4x4"), "{error}");
        let vector = Graph::build("vector", Shape::vector(7), |net, x| {
            let x = net.linear(x, Linear::new(2), "fc")?;
            net.output("logits", x)
        });
        assert!(vector.unwrap().convolutionalize().unwrap_err().to_string().contains("`fc`"));
        let codes = Rbf { classes: 2, codes: vec![1.0; 8].into() };
        let rbf = Graph::build("rbf", Shape::map(1, 2, 2), |net, picture| {
            let x = net.flatten(picture)?;
            let x = net.add_op(codes, &[x], "rbf")?;
            net.output("logits", x)
        });
        let error = rbf.unwrap().convolutionalize().unwrap_err().to_string();
        assert!(error.contains("`rbf`") && error.contains("1x2x2"), "{error}");
    }
}
