//! A network of one's own in twenty lines: described once, and with that summed up, drawn, run and trainable.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use zoo::layers::{Conv2d, Graph, Linear, MaxPool2d, Mode, Node, Result, Scope, Shape};

/// Two convolutions with a shortcut around them.
fn unit(net: &mut Scope<'_>, x: Node) -> Result<Node> {
    let y = net.conv_norm_act(x, Conv2d::k3(32), "conv1", "bn1")?;
    let y = net.conv_norm(y, Conv2d::k3(32), "conv2", "bn2")?;
    let sum = net.add(y, x)?;
    net.relu(sum)
}

fn main() -> anyhow::Result<()> {
    let graph = Graph::build("mine", Shape::map(3, 64, 64), |net, picture| {
        let x = net.conv_norm_act(picture, Conv2d::k3(32).stride(2), "conv", "bn")?; // (n, 32, 32, 32)
        let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool")?; // (n, 32, 16, 16)
        let x = unit(&mut net.enter("unit1"), x)?;
        let x = unit(&mut net.enter("unit2"), x)?;
        net.head(x, zoo::layers::Head::Classes(7), 0.1, Linear::new, "fc")
    })?;
    let picture = zoo::Tensor::zeros((1, 3, 64, 64), candle_core::DType::F32, &zoo::Device::Cpu)?;
    println!("{:?}", graph.init(42)?.forward(&picture, Mode::Eval)?.dims());
    println!("{}", zoo_report::Drawing::of(&graph).mermaid());
    Ok(())
}

#[test]
fn it_runs() -> anyhow::Result<()> {
    main()
}
