//! The programs of README and book, as they stand there: `zoo-cli/tests/it/commands.rs` looks for them here.

#![expect(clippy::print_stdout, reason = "as the texts have it")]

use candle_core::{DType, Device, Tensor};
use zoo::layers::Mode;

/// Needs published weights.
#[expect(dead_code, reason = "it is compiled, and run by whoever has the weights")]
fn options() -> anyhow::Result<()> {
    let net = zoo::model("resnet50")?.classes(3).in_channels(1).output_stride(16).pretrained()?;
    net.save("mine.safetensors")?;
    Ok(())
}

/// Needs a picture of that name.
#[expect(dead_code, reason = "it is compiled, and run by whoever has the picture")]
fn seven() -> anyhow::Result<()> {
    let net = zoo::model("lenet5")?.pretrained()?;
    let answer = net.classify(&zoo::Picture::open("seven.png")?)?;
    println!("{}", answer.top[0].label);
    Ok(())
}

#[test]
fn a_digit_is_told() -> anyhow::Result<()> {
    let image = zoo::Picture::open("../../assets/digits/7.png")?;
    let net = zoo::model("lenet5")?.pretrained()?;
    let answer = net.classify(&image)?;
    println!("{} ({:.1} %)", answer.top[0].label, 100.0 * answer.top[0].probability);
    assert_eq!(answer.top[0].label, "7");
    Ok(())
}

#[test]
fn a_network_of_ones_own_answers() -> anyhow::Result<()> {
    use zoo_layers::{Conv2d, Graph, Linear, MaxPool2d, Shape};

    let graph = Graph::build("mine", Shape::map(3, 64, 64), |net, picture| {
        let x = net.conv_norm_act(picture, Conv2d::k3(32).stride(2), "conv1", "bn1")?;
        let x = net.max_pool(x, MaxPool2d::new(3, 2), "pool1")?;
        let x = net.global_avg_pool(x)?;
        let logits = net.linear(x, Linear::new(7), "fc")?;
        net.output("logits", logits)
    })?;
    let net = graph.init(42)?;
    let pictures = Tensor::zeros((2, 3, 64, 64), DType::F32, &Device::Cpu)?;
    assert_eq!(net.forward(&pictures, Mode::Eval)?.dims(), [2, 7]);
    Ok(())
}
