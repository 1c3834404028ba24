//! Pictures of many sizes answered whole and in tiles, by networks with drawn weights: how long it takes, and at how many
//! pixels the answers differ. `cargo run --release --example tiles -- fcn_resnet50 1000x700 400`: a size, and MiB for tiles.

use std::error::Error;
use std::time::Instant;

use zoo::SEGMENT_MEMORY;
use zoo::data::{Channels, Picture};
use zoo::layers::rng::Stream;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, size, mebibytes] = &arguments[..] else { return Err("give a model, a size and MiB".into()) };
    let (width, height) = size.split_once('x').ok_or("write the size as 1000x700")?;
    let (width, height): (usize, usize) = (width.parse()?, height.parse()?);
    let net = zoo::model(model)?.fresh()?;
    let mut stream = Stream::new(1, "picture");
    let patches: Vec<u8> = (0..4096).map(|_| (stream.next_u64() & 255) as u8).collect();
    let at = |x: usize, y: usize, c: usize| patches[(x / 9 + y / 7 * 61 + c * 97) % 4096];
    let pixels = (0..width * height).flat_map(|place| (0..3).map(move |c| (place % width, place / width, c)));
    let pixels = pixels.map(|(x, y, c)| at(x, y, c)).collect();
    let picture = Picture::new(width, height, Channels::Rgb, pixels)?;
    let mut answers = Vec::new();
    for memory in [4 * SEGMENT_MEMORY, mebibytes.parse::<u64>()? << 20] {
        let begun = Instant::now();
        let answer = net.segment(&picture, memory)?;
        let classes = answer.areas.iter().filter(|&&area| area > 0).count();
        let said =
            format!("{} tiles, {classes} classes, {:.1} s", answer.tiles, begun.elapsed().as_secs_f64());
        answers.push((answer.mask, said));
    }
    let apart = answers[0].0.pixels().iter().zip(answers[1].0.pixels()).filter(|(a, b)| a != b).count();
    let said = format!("{model} {size}: {}; {}; {apart} pixels apart\n", answers[0].1, answers[1].1);
    std::io::Write::write_all(&mut std::io::stdout(), said.as_bytes())?;
    Ok(())
}
