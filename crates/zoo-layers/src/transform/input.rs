//! Another number of channels in the picture.

use candle_core::Tensor;

use super::{Carry, Change};
use crate::{Error, Graph, Op, Result, Shape, ops::Input};

impl Graph {
    /// The same network for pictures of `channels` channels: the convolutions that read the picture take so many,
    /// all else stays. Of a pretrained first weight, one channel gets the sum over the old ones (a grey picture is
    /// one whose channels are equal); more get the old ones in turn, scaled so that the signal keeps its size.
    ///
    /// # Errors
    /// No channels, a network that does not read maps, or one whose first layer can't take them.
    pub fn with_in_channels(&self, channels: usize) -> Result<(Self, Carry)> {
        let Shape::Map { height, width, .. } = self.input() else {
            return Err(Error::Misfit {
                node: "input".into(),
                op: "Input",
                reason: format!("it is a vector of {}, which has no channels", self.input()),
            });
        };
        let picture = Op::from(Input { shape: Shape::map(channels, height, width) });
        let graph = self.with_ops(|node, layer| match node.index() {
            0 => picture.clone(),
            _ => layer.op.clone(),
        })?;
        let mut carry = Carry::default();
        for (old, new) in self.layers.iter().zip(&graph.layers) {
            for (param, new_param) in old.params.iter().zip(&new.params) {
                if param.shape == new_param.shape {
                    continue;
                }
                // A transposed convolution has its input channels in front.
                let (&[_, in_channels, _, _], true) =
                    (new_param.shape.as_slice(), param.shape.first() == new_param.shape.first())
                else {
                    return Err(Error::Misfit {
                        node: old.name.clone(),
                        op: old.op.operation().kind(),
                        reason: format!(
                            "with {channels} input channels its parameter `{}` would become {:?} instead of \
                             {:?}; only a convolution can take other channels",
                            param.name, new_param.shape, param.shape
                        ),
                    });
                };
                carry.changes.insert(param.name.clone(), Change::InChannels(in_channels));
            }
        }
        Ok((graph, carry))
    }
}

/// A convolution's weight `(out, in, h, w)` for another number of input channels.
pub(super) fn with_in_channels(weight: &Tensor, channels: usize) -> candle_core::Result<Tensor> {
    let (_, old, _, _) = weight.dims4()?;
    if channels == old {
        return Ok(weight.clone());
    }
    if channels == 1 {
        return weight.sum_keepdim(1);
    }
    let copies = vec![weight; channels.div_ceil(old.max(1))];
    let tiled = Tensor::cat(&copies, 1)?.narrow(1, 0, channels)?;
    tiled * (old as f64 / channels as f64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{Device, Tensor};

    use crate::{Conv2d, Graph, Mode, Shape};

    fn graph() -> Graph {
        Graph::build("small", Shape::map(3, 6, 7), |net, picture| {
            let x = net.conv(picture, Conv2d::k3(4), "conv1")?;
            let x = net.relu(x)?;
            let x = net.conv(x, Conv2d::k3(2), "conv2")?;
            net.output("features", x)
        })
        .unwrap()
    }

    /// What the network answers for a picture whose channels are all the same, whatever their number.
    fn answer(channels: usize) -> Vec<f32> {
        let tensors: HashMap<String, Tensor> = graph()
            .init(5)
            .unwrap()
            .tensors()
            .map(|(param, tensor)| (param.name.clone(), tensor.clone()))
            .collect();
        let (graph, carry) = graph().with_in_channels(channels).unwrap();
        let net = graph.load_tensors(&carry.tensors(&tensors).unwrap(), &Device::Cpu).unwrap();
        let grey: Vec<f32> = (0..42).map(|i| (i as f32 * 0.7).sin()).collect();
        let grey = Tensor::from_vec(grey, (1, 1, 6, 7), &Device::Cpu).unwrap();
        let picture = Tensor::cat(&vec![grey; channels], 1).unwrap();
        net.forward(&picture, Mode::Eval).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn grey_pictures_are_answered_alike_whatever_the_channels() {
        let three = answer(3);
        for channels in [1, 6] {
            for (a, b) in answer(channels).into_iter().zip(&three) {
                assert!((a - b).abs() < 1e-5, "{channels} channels: {a} {b}");
            }
        }
        assert_ne!(answer(4), three); // Tiling repeats the first of three channels: alike in size, not in value.
    }

    /// timm: tiled along the input channels, cut, and scaled by the old number over the new one.
    #[test]
    fn more_channels_repeat_the_old_ones_in_turn() {
        let weight = Tensor::new(&[[[[1.0_f32]], [[2.0]], [[4.0]]]], &Device::Cpu).unwrap();
        let tiled =
            super::with_in_channels(&weight, 5).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (a, b) in tiled.iter().zip([1.0, 2.0, 4.0, 1.0, 2.0]) {
            assert!((a - b * 3.0 / 5.0).abs() < 1e-6, "{tiled:?}");
        }
        let summed = super::with_in_channels(&weight, 1).unwrap();
        assert_eq!(summed.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [7.0]);
    }

    #[test]
    fn only_the_first_weight_changes_and_no_channels_are_refused() {
        let (four, carry) = graph().with_in_channels(4).unwrap();
        assert_eq!(four.layer("conv1").unwrap().params[0].shape, [4, 4, 3, 3]);
        assert_eq!(carry.changes.keys().collect::<Vec<_>>(), ["conv1.weight"]);
        assert!(graph().with_in_channels(3).unwrap().1.is_empty());
        let error = graph().with_in_channels(0).unwrap_err().to_string();
        assert!(error.contains("input") && error.contains("0x6x7"), "{error}");
    }
}
