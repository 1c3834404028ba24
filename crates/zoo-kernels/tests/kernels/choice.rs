//! Which method a layer of an answer is computed by.

use zoo_kernels::nhwc::{Conv, Method};
use zoo_kernels::{Isa, conv::Conv2d, with_isa};

use crate::common::on_every_isa;

#[test]
fn the_choice_is_a_table() {
    let three = |inputs: usize, outputs: usize| Conv2d::new(inputs, outputs, 3).with_padding(1);
    let layers = [
        ("vgg 3x3 64-64", 224, three(64, 64)),
        ("vgg 3x3 512-512", 14, three(512, 512)),
        ("resnet 3x3 64", 56, three(64, 64)),
        ("resnet 3x3 256", 14, three(256, 256)),
        ("resnet 3x3 512", 7, three(512, 512)),
        ("resnet 3x3/2 128", 56, three(128, 128).with_stride(2)),
        ("resnet stem 7x7/2", 224, Conv2d::new(3, 64, 7).with_padding(3).with_stride(2)),
        ("resnet 1x1 64-256", 56, Conv2d::new(64, 256, 1)),
        ("resnet dense", 1, Conv2d::new(2048, 1000, 1)),
        ("googlenet 3x3 16-48", 28, three(16, 48)),
        ("alexnet 3x3 192-384", 13, three(192, 384)),
        ("googlenet 3x3 192-384", 7, three(192, 384)),
        ("cifar 3x3 16-16", 32, three(16, 16)),
        ("narrow 3x3 8-24", 9, three(8, 24)),
        ("fcn 3x3 512 apart 4", 65, Conv2d { dilation: [4, 4], ..Conv2d::new(512, 512, 3) }.with_padding(4)),
        ("first 3x3 3-64", 224, three(3, 64)),
        ("resnext 3x3 g32 128", 56, three(128, 128).with_groups(32)),
        ("mobilenet dw 3x3 144", 56, three(144, 144).with_groups(144)),
        ("lenet 5x5 6-16", 14, Conv2d::new(6, 16, 5)),
    ];
    let table = layers.map(|(name, side, spec)| {
        let shape = [1, spec.in_channels, side, side];
        let chosen = |isa| with_isa(isa, || Conv::choose(&spec, shape, false).unwrap().name());
        let exact = Conv::choose(&spec, shape, true).unwrap().name();
        [Some(name), chosen(Isa::Portable), chosen(Isa::Avx2), chosen(Isa::Avx512), Some(exact)]
    });
    let want = include_str!("choice.txt");
    let lines: Vec<Vec<&str>> = want
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let is_right = lines.len() == table.len()
        && table.iter().zip(&lines).all(|(row, line)| {
            // A set that this machine lacks isn't asked.
            row.len() == line.len()
                && row.iter().zip(line).all(|(found, said)| found.is_none_or(|found| found == *said))
        });
    let cell = |cell: &Option<&str>| format!("{:<24}", cell.unwrap_or("?"));
    let now: Vec<String> =
        table.iter().map(|row| row.iter().map(cell).collect::<String>().trim_end().to_string()).collect();
    assert!(
        is_right,
        "the methods are now, on portable vectors, AVX2, AVX-512, and exact\n{}",
        now.join("\n")
    );
}

#[test]
fn the_choice_knows_neither_threads_nor_batch() {
    for (channels, side) in [(8, 7), (64, 56), (128, 28), (256, 14), (512, 7), (512, 14)] {
        let spec = Conv2d::new(channels, channels, 3).with_padding(1);
        on_every_isa(|isa| {
            let choose = |threads: usize, pictures: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let shape = [pictures, channels, side, side];
                pool.install(|| with_isa(isa, || Conv::choose(&spec, shape, false).unwrap()).unwrap())
            };
            assert_eq!(choose(1, 1), choose(3, 8), "{channels} at {side}");
            assert_eq!(Conv::choose(&spec, [1, channels, side, side], true).unwrap(), Method::Exact);
        });
    }
}
