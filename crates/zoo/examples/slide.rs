//! A classifier slides over a picture that is wider than its own: LeNet-5 with its dense layers as convolutions answers for
//! every fourth column of a seven beside a three.
//!
//! ```text
//! cargo run --release -p architecture-zoo --example slide
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;

use candle_core::D;
use zoo::{Picture, Tensor};

fn main() -> anyhow::Result<()> {
    for (place, (digit, sure)) in slide(Path::new("assets/digits"))?.into_iter().enumerate() {
        println!("columns {:2} to {:2}: {digit} ({:.1} %)", 4 * place, 4 * place + 27, 100.0 * sure);
    }
    Ok(())
}

/// The likeliest digit at each place, and how likely it is.
fn slide(digits: &Path) -> anyhow::Result<Vec<(u32, f32)>> {
    let prepare = zoo::model("lenet5")?.pretrained()?.prepare().clone();
    let digit = |name: &str| prepare.picture(&Picture::open(digits.join(name))?, name);
    let (seven, three) = (digit("7.png")?, digit("3.png")?);
    let gap = seven.narrow(3, 0, 4)?; // four columns without ink
    let wide = Tensor::cat(&[&seven, &gap, &three], 3)?; // (1, 1, 28, 60)
    let net = zoo::model("lenet5")?.convolutional().input_size(28, 60).pretrained()?;
    let maps = net.outputs(&wide)?.remove(0); // (1, 10, 1, 9)
    let likely = candle_nn::ops::softmax(&maps, 1)?.flatten_from(2)?.get(0)?; // (10, 9)
    let (digits, sure) = (likely.t()?.argmax(D::Minus1)?, likely.max(0)?);
    Ok(digits.to_vec1()?.into_iter().zip(sure.to_vec1()?).collect())
}

#[test]
fn each_end_is_told() -> anyhow::Result<()> {
    let places = slide(Path::new("../../assets/digits"))?;
    assert_eq!(places.len(), 9);
    assert_eq!((places[0].0, places[8].0), (7, 3));
    Ok(())
}
