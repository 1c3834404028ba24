//! A backbone's pyramid: the maps of a ResNet's four stages, as a detector or a segmenter wants them.
//!
//! ```text
//! cargo run --release -p architecture-zoo --example pyramid
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use candle_core::{DType, Device, Tensor};
use zoo::layers::Mode;

fn main() -> anyhow::Result<()> {
    let stages = ["layer1", "layer2", "layer3", "layer4"];
    // The classifier is cut off with its weights; the picture may have any size that the network can take.
    let graph = zoo::find("resnet18")?.graph()?.cut(&stages)?.at_size(192, 256)?;
    let backbone = graph.init(1)?; // `zoo::model("resnet18")?.at(&stages).pretrained()?` has published weights
    let picture = Tensor::zeros((1, 3, 192, 256), DType::F32, &Device::Cpu)?;
    for (name, map) in backbone.outputs(&picture, Mode::Eval)? {
        println!("{name}: {:?}, every {}. pixel", map.dims(), 256 / map.dim(3)?);
    }
    Ok(())
}

#[test]
fn it_runs() -> anyhow::Result<()> {
    main()
}
