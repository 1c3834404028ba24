//! candle's step: its layers, its tape, and its optimizer's update with the momentum that it lacks.

use anyhow::{Context, Result};
use candle_core::{ModuleT, Tensor, Var};
use candle_nn::{
    BatchNorm, Conv2d, Conv2dConfig, Linear, VarBuilder, VarMap, batch_norm, conv2d, conv2d_no_bias, linear,
    loss,
};

use crate::Step;
use crate::case::{Case, Loss, MOMENTUM, initial};

pub(crate) struct Stock {
    net: Box<dyn ModuleT>,
    variables: Vec<Var>,
    /// Made by the first step: what it keeps counts as the step's memory.
    velocities: Vec<Tensor>,
    pictures: Tensor,
    loss: Loss,
    rate: f64,
}

impl Stock {
    pub(crate) fn new(case: Case) -> Result<Self> {
        let map = VarMap::new();
        let pictures = case.pictures()?;
        let vb = VarBuilder::from_varmap(&map, pictures.dtype(), pictures.device());
        let net: Box<dyn ModuleT> = match case {
            Case::Lenet5B64 => Box::new(LeNet5::new(&vb)?),
            Case::Resnet18B4 => Box::new(ResNet::new(&vb, [2, 2, 2, 2], Unit::basic, 1)?),
            Case::Resnet50B4 => Box::new(ResNet::new(&vb, [3, 4, 6, 3], Unit::bottleneck, 4)?),
            Case::MobilenetBlock => Box::new(inverted_residual(&vb, 64, 6)?),
            Case::XceptionBlock => Box::new(middle_flow(&vb, 728)?),
        };
        let named = map.data().lock().map_err(|_| anyhow::anyhow!("the variables' lock is poisoned"))?;
        let mut variables = Vec::new();
        for (name, variable) in named.iter().filter(|(name, _)| !name.contains("running_")) {
            variable.set(&initial(name, variable.dims())?)?;
            variables.push(variable.clone());
        }
        drop(named);
        let (loss, rate) = (case.loss()?, case.learning_rate());
        Ok(Self { net, variables, velocities: Vec::new(), pictures, loss, rate })
    }
}

impl Step for Stock {
    fn params(&self) -> usize {
        self.variables.iter().map(|variable| variable.elem_count()).sum()
    }

    fn step(&mut self, check: bool) -> Result<Option<f64>> {
        let output = self.net.forward_t(&self.pictures, true)?;
        let (number, gradients) = match &self.loss {
            Loss::CrossEntropy { labels } => {
                let labels: Vec<u32> = labels.iter().map(|&label| label.into()).collect();
                let labels = Tensor::new(labels, output.device())?;
                let loss = loss::cross_entropy(&output, &labels)?;
                (Some(f64::from(loss.to_scalar::<f32>()?)), loss.backward()?)
            }
            // candle's tape begins at a loss: this one's gradient of the output is the given one.
            Loss::Given { gradient } => {
                let first = || output.detach().get(0)?.sqr()?.mean_all()?.to_scalar::<f32>();
                let number = if check { Some(f64::from(first()?)) } else { None };
                (number, (output * gradient)?.sum_all()?.backward()?)
            }
        };
        if self.velocities.is_empty() {
            let zeros: candle_core::Result<_> = self.variables.iter().map(|v| v.zeros_like()).collect();
            self.velocities = zeros?;
        }
        for (variable, velocity) in self.variables.iter().zip(&mut self.velocities) {
            let gradient = gradients.get(variable).context("a variable has no gradient")?;
            *velocity = ((&*velocity * MOMENTUM)? + gradient)?.detach();
            variable.set(&variable.sub(&(&*velocity * self.rate)?)?)?;
        }
        Ok(number)
    }
}

fn convolution(
    vb: &VarBuilder<'_>,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
) -> candle_core::Result<Conv2d> {
    let config = Conv2dConfig { padding: kernel / 2, stride, groups, ..Conv2dConfig::default() };
    conv2d_no_bias(channels[0], channels[1], kernel, config, vb.clone())
}

struct LeNet5 {
    convolutions: [Conv2d; 2],
    linears: [Linear; 3],
}

impl LeNet5 {
    fn new(vb: &VarBuilder<'_>) -> candle_core::Result<Self> {
        let padded = Conv2dConfig { padding: 2, ..Conv2dConfig::default() };
        let convolutions = [
            conv2d(1, 6, 5, padded, vb.pp("conv1"))?,
            conv2d(6, 16, 5, Conv2dConfig::default(), vb.pp("conv2"))?,
        ];
        let linears =
            [linear(400, 120, vb.pp("fc1"))?, linear(120, 84, vb.pp("fc2"))?, linear(84, 10, vb.pp("fc3"))?];
        Ok(Self { convolutions, linears })
    }
}

impl ModuleT for LeNet5 {
    fn forward_t(&self, x: &Tensor, _: bool) -> candle_core::Result<Tensor> {
        let mut x = x.clone();
        for convolution in &self.convolutions {
            x = x.apply(convolution)?.tanh()?.avg_pool2d(2)?;
        }
        let [fc1, fc2, fc3] = &self.linears;
        x.flatten_from(1)?.apply(fc1)?.tanh()?.apply(fc2)?.tanh()?.apply(fc3)
    }
}

/// A convolution with its norm.
struct ConvNorm(Conv2d, BatchNorm);

impl ConvNorm {
    fn new(
        vb: &VarBuilder<'_>,
        (conv, norm): (&str, &str),
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> candle_core::Result<Self> {
        let norm = batch_norm(channels[1], 1e-5, vb.pp(norm))?;
        Ok(Self(convolution(&vb.pp(conv), channels, kernel, stride, 1)?, norm))
    }
}

impl ModuleT for ConvNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        x.apply(&self.0)?.apply_t(&self.1, train)
    }
}

/// A residual unit: a ReLU between its convolutions, and one after the addition.
struct Unit {
    convolutions: Vec<ConvNorm>,
    shortcut: Option<ConvNorm>,
}

impl Unit {
    fn basic(vb: &VarBuilder<'_>, inputs: usize, width: usize, stride: usize) -> candle_core::Result<Self> {
        let convolutions = vec![
            ConvNorm::new(vb, ("conv1", "bn1"), [inputs, width], 3, stride)?,
            ConvNorm::new(vb, ("conv2", "bn2"), [width, width], 3, 1)?,
        ];
        Ok(Self { convolutions, shortcut: shortcut(vb, inputs, width, stride)? })
    }

    fn bottleneck(
        vb: &VarBuilder<'_>,
        inputs: usize,
        width: usize,
        stride: usize,
    ) -> candle_core::Result<Self> {
        let convolutions = vec![
            ConvNorm::new(vb, ("conv1", "bn1"), [inputs, width], 1, 1)?,
            ConvNorm::new(vb, ("conv2", "bn2"), [width, width], 3, stride)?,
            ConvNorm::new(vb, ("conv3", "bn3"), [width, 4 * width], 1, 1)?,
        ];
        Ok(Self { convolutions, shortcut: shortcut(vb, inputs, 4 * width, stride)? })
    }
}

fn shortcut(
    vb: &VarBuilder<'_>,
    inputs: usize,
    outputs: usize,
    stride: usize,
) -> candle_core::Result<Option<ConvNorm>> {
    if stride == 1 && inputs == outputs {
        return Ok(None);
    }
    ConvNorm::new(&vb.pp("downsample"), ("0", "1"), [inputs, outputs], 1, stride).map(Some)
}

impl ModuleT for Unit {
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        let mut y = x.clone();
        for (index, convolution) in self.convolutions.iter().enumerate() {
            if index > 0 {
                y = y.relu()?;
            }
            y = y.apply_t(convolution, train)?;
        }
        match &self.shortcut {
            Some(shortcut) => (y + x.apply_t(shortcut, train)?)?.relu(),
            None => (y + x)?.relu(),
        }
    }
}

struct ResNet {
    stem: ConvNorm,
    units: Vec<Unit>,
    fc: Linear,
}

impl ResNet {
    fn new(
        vb: &VarBuilder<'_>,
        units: [usize; 4],
        unit: fn(&VarBuilder<'_>, usize, usize, usize) -> candle_core::Result<Unit>,
        expansion: usize,
    ) -> candle_core::Result<Self> {
        let stem = ConvNorm::new(vb, ("conv1", "bn1"), [3, 64], 7, 2)?;
        let mut inputs = 64;
        let mut all = Vec::new();
        for (stage, count) in units.into_iter().enumerate() {
            for index in 0..count {
                let (width, stride) = (64 << stage, if stage > 0 && index == 0 { 2 } else { 1 });
                all.push(unit(&vb.pp(format!("layer{}.{index}", stage + 1)), inputs, width, stride)?);
                inputs = width * expansion;
            }
        }
        Ok(Self { stem, units: all, fc: linear(inputs, 1000, vb.pp("fc"))? })
    }
}

impl ModuleT for ResNet {
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        let x = x.apply_t(&self.stem, train)?.relu()?;
        // candle's pool pads nothing; after a ReLU, zeros are no larger than what is there.
        let x = x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?;
        let mut x = x.max_pool2d_with_stride(3, 2)?;
        for unit in &self.units {
            x = x.apply_t(unit, train)?;
        }
        x.mean((2, 3))?.apply(&self.fc)
    }
}

/// Layers in order, and the input added at the end.
struct Residual(Vec<Box<dyn ModuleT>>);

impl ModuleT for Residual {
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        let y = self.0.iter().try_fold(x.clone(), |y, layer| layer.forward_t(&y, train))?;
        x + y
    }
}

fn inverted_residual(
    vb: &VarBuilder<'_>,
    channels: usize,
    expansion: usize,
) -> candle_core::Result<Residual> {
    let wide = channels * expansion;
    let vb = vb.pp("conv");
    let relu6 = || -> Box<dyn ModuleT> { Box::new(candle_nn::Activation::Relu6) };
    Ok(Residual(vec![
        Box::new(convolution(&vb.pp("0.0"), [channels, wide], 1, 1, 1)?),
        Box::new(batch_norm(wide, 1e-5, vb.pp("0.1"))?),
        relu6(),
        Box::new(convolution(&vb.pp("1.0"), [wide, wide], 3, 1, wide)?),
        Box::new(batch_norm(wide, 1e-5, vb.pp("1.1"))?),
        relu6(),
        Box::new(convolution(&vb.pp("2"), [wide, channels], 1, 1, 1)?),
        Box::new(batch_norm(channels, 1e-5, vb.pp("3"))?),
    ]))
}

fn middle_flow(vb: &VarBuilder<'_>, channels: usize) -> candle_core::Result<Residual> {
    let vb = vb.pp("rep");
    let mut layers: Vec<Box<dyn ModuleT>> = Vec::new();
    for place in [1, 4, 7] {
        let separable = vb.pp(place);
        layers.push(Box::new(candle_nn::Activation::Relu));
        layers.push(Box::new(convolution(&separable.pp("conv1"), [channels; 2], 3, 1, channels)?));
        layers.push(Box::new(convolution(&separable.pp("pointwise"), [channels; 2], 1, 1, 1)?));
        layers.push(Box::new(batch_norm(channels, 1e-5, vb.pp(place + 1))?));
    }
    Ok(Residual(layers))
}
