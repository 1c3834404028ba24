//! One block of the zoo's in a model of your own on candle: a convolution of candle's, squeeze-and-excitation, and a
//! classifier of candle's, trained by candle's optimizer.
//!
//! ```text
//! cargo run --release -p architecture-zoo --example squeeze_excite
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Linear, ModuleT, Optimizer, SGD, VarBuilder, VarMap};
use zoo::{
    layers::{Graph, Net, Shape},
    senet::squeeze_excite,
};

struct Mine {
    conv: Conv2d,
    /// A `Net` is a `candle_nn::ModuleT`, and its weights are the `VarBuilder`'s.
    gate: Net,
    classifier: Linear,
}

impl Mine {
    fn new(weights: VarBuilder<'_>) -> anyhow::Result<Self> {
        let gate = Graph::build("gate", Shape::map(16, 28, 28), |net, x| {
            let scaled = squeeze_excite(net, x, 4)?; // (n, 16, 28, 28), each channel times its number
            net.output("scaled", scaled)
        })?;
        let config = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
        Ok(Self {
            conv: candle_nn::conv2d(1, 16, 3, config, weights.pp("conv"))?,
            gate: gate.load(weights.pp("gate"))?,
            classifier: candle_nn::linear(16, 10, weights.pp("classifier"))?,
        })
    }
}

impl ModuleT for Mine {
    fn forward_t(&self, pictures: &Tensor, train: bool) -> Result<Tensor> {
        let maps = self.conv.forward(pictures)?.relu()?;
        let scaled = self.gate.forward_t(&maps, train)?;
        self.classifier.forward(&scaled.mean((2, 3))?)
    }
}

fn main() -> anyhow::Result<()> {
    let weights = VarMap::new();
    let model = Mine::new(VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu))?;
    let pictures = Tensor::randn(0f32, 1f32, (8, 1, 28, 28), &Device::Cpu)?;
    let labels = Tensor::arange(0u32, 8, &Device::Cpu)?;
    let mut optimizer = SGD::new(weights.all_vars(), 0.5)?;
    let loss =
        || -> Result<Tensor> { candle_nn::loss::cross_entropy(&model.forward_t(&pictures, true)?, &labels) };
    println!("before: {:.4}", loss()?.to_scalar::<f32>()?);
    for _ in 0..40 {
        optimizer.backward_step(&loss()?)?;
    }
    println!("after:  {:.4}", loss()?.to_scalar::<f32>()?);
    Ok(())
}

#[test]
fn it_runs() -> anyhow::Result<()> {
    main()
}
