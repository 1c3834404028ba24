//! Every kernel at real shapes of the zoo's networks: `cargo bench -p zoo-bench --bench kernels [-- FILTER]`, a few
//! minutes. The throughput of products is in floating-point operations, of all else in numbers of the input.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use zoo_kernels::conv::{self, Conv2d, Prepared, Transposed};
use zoo_kernels::loss::Loss;
use zoo_kernels::lrn::{Lrn, LrnForm};
use zoo_kernels::norm::{Gradients, Norm, Saved, Stats};
use zoo_kernels::pool::Pool2d;
use zoo_kernels::upsample::Corners;
use zoo_kernels::{
    Activation, Epilogue, Result, Shape, activation, gemm, lrn, norm, pool, rbf, scale, softmax, upsample,
};

/// Numbers in -0.5..0.5 that nothing can shorten.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5).collect()
}

/// A group whose benches take about a second each.
fn group<'c>(criterion: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(150))
        .measurement_time(Duration::from_millis(500));
    group
}

/// One kernel: `work` is what it does in `count` operations or numbers.
fn kernel(
    group: &mut BenchmarkGroup<'_, WallTime>,
    (pass, layer): (&str, &str),
    count: usize,
    mut work: impl FnMut() -> Result<()>,
) {
    if let Err(error) = work() {
        panic!("{pass}, {layer}: {error}");
    }
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(BenchmarkId::new(pass, layer), |bencher| bencher.iter(|| black_box(work())));
}

fn convolutions(criterion: &mut Criterion) {
    let conv = Conv2d::new;
    let layers: [(&str, Shape, Conv2d); 15] = [
        ("lenet5 5x5 6-16", [64, 6, 14, 14], conv(6, 16, 5)),
        ("alexnet 11x11/4 3-64", [4, 3, 224, 224], conv(3, 64, 11).with_stride(4).with_padding(2)),
        ("vgg 3x3 64", [1, 64, 224, 224], conv(64, 64, 3).with_padding(1)),
        ("googlenet 1x1 480-192", [4, 480, 14, 14], conv(480, 192, 1)),
        ("resnet 7x7/2 3-64", [4, 3, 224, 224], conv(3, 64, 7).with_stride(2).with_padding(3)),
        ("resnet 3x3 64", [4, 64, 56, 56], conv(64, 64, 3).with_padding(1)),
        ("resnet 3x3/2 128-256", [4, 128, 28, 28], conv(128, 256, 3).with_stride(2).with_padding(1)),
        ("resnet 3x3 512", [4, 512, 7, 7], conv(512, 512, 3).with_padding(1)),
        ("resnet50 1x1 256-64", [4, 256, 56, 56], conv(256, 64, 1)),
        ("resnet50 1x1 512-2048", [4, 512, 7, 7], conv(512, 2048, 1)),
        ("resnext 3x3 128 in 32 groups", [4, 128, 56, 56], conv(128, 128, 3).with_padding(1).with_groups(32)),
        ("fcn 3x3 256 dilated by 2", [1, 256, 65, 65], conv(256, 256, 3).with_padding(2).with_dilation(2)),
        ("xception 1x1 728", [4, 728, 19, 19], conv(728, 728, 1)),
        ("xception depthwise 728", [4, 728, 19, 19], conv(728, 728, 3).with_padding(1).with_groups(728)),
        (
            "mobilenet depthwise /2 96",
            [4, 96, 112, 112],
            conv(96, 96, 3).with_stride(2).with_padding(1).with_groups(96),
        ),
    ];
    let mut group = group(criterion, "conv");
    for (layer, shape, spec) in layers {
        let Ok(output) = spec.output_shape(shape) else { continue };
        let (x, weight) = (numbers(shape.iter().product()), numbers(spec.weight_shape().iter().product()));
        let mut y = numbers(output.iter().product());
        let (mut dx, mut dw) = (x.clone(), weight.clone());
        let flop = 2 * y.len() * (weight.len() / spec.out_channels);
        kernel(&mut group, ("forward", layer), flop, || {
            conv::forward(&spec, shape, &x, &weight, None, &mut y)
        });
        if let Ok(prepared) = Prepared::new(&spec, [shape[2], shape[3]], &weight) {
            let shift = numbers(spec.out_channels);
            let relu = Epilogue { shift: Some(&shift), activation: Activation::Relu, ..Epilogue::default() };
            kernel(&mut group, ("prepared, bias and relu", layer), flop, || {
                prepared.forward(shape, &x, &relu, &mut y)
            });
        }
        kernel(&mut group, ("grad_input", layer), flop, || {
            conv::grad_input(&spec, shape, &y, &weight, &mut dx)
        });
        kernel(&mut group, ("grad_weight", layer), flop, || {
            conv::grad_weight(&spec, shape, &x, &y, &mut dw, None)
        });
    }
    group.finish();
}

fn transposed(criterion: &mut Criterion) {
    let mut group = group(criterion, "conv_transpose");
    // FCN-8s doubles its 21 classes' maps with a 4x4 of stride 2, and enlarges them with a 16x16 of stride 8.
    for (layer, shape, spec) in [
        ("fcn8s 4x4/2 21", [1, 21, 34, 34], Transposed::new(21, 21, 4, 2)),
        ("fcn8s 16x16/8 21", [1, 21, 70, 70], Transposed::new(21, 21, 16, 8)),
    ] {
        let Ok(output) = spec.output_shape(shape) else { continue };
        let (x, weight) = (numbers(shape.iter().product()), numbers(spec.weight_shape().iter().product()));
        let mut y = numbers(output.iter().product());
        let (mut dx, mut dw) = (x.clone(), weight.clone());
        let flop = 2 * x.len() * (weight.len() / spec.in_channels);
        kernel(&mut group, ("forward", layer), flop, || spec.forward(shape, &x, &weight, None, &mut y));
        kernel(&mut group, ("grad_input", layer), flop, || spec.grad_input(shape, &y, &weight, &mut dx));
        kernel(&mut group, ("grad_weight", layer), flop, || spec.grad_weight(shape, &x, &y, &mut dw, None));
    }
    group.finish();
}

fn linear(criterion: &mut Criterion) {
    let mut group = group(criterion, "linear");
    for (layer, sizes) in [
        ("lenet5 fc1 400-120", [64, 400, 120]),
        ("resnet50 fc 2048-1000", [4, 2048, 1000]),
        ("vgg fc1 25088-4096", [4, 25_088, 4096]),
    ] {
        let [rows, inputs, outputs] = sizes;
        let (x, weight) = (numbers(rows * inputs), numbers(inputs * outputs));
        let (mut y, mut dx, mut dw) = (numbers(rows * outputs), x.clone(), weight.clone());
        let flop = 2 * rows * inputs * outputs;
        kernel(&mut group, ("forward", layer), flop, || gemm::linear(sizes, &x, &weight, None, &mut y));
        kernel(&mut group, ("grad_input", layer), flop, || {
            gemm::linear_grad_input(sizes, &y, &weight, &mut dx)
        });
        kernel(&mut group, ("grad_weight", layer), flop, || gemm::linear_grad_weight(sizes, &x, &y, &mut dw));
    }
    group.finish();
}

fn norms(criterion: &mut Criterion) {
    let mut group = group(criterion, "batch_norm");
    for (layer, shape) in [
        ("resnet stem", [4, 64, 112, 112]),
        ("resnet50 stage 1", [4, 256, 56, 56]),
        ("resnet stage 4", [4, 512, 7, 7]),
        ("xception middle", [4, 728, 19, 19]),
    ] {
        let (len, channels) = (shape.iter().product(), shape[1]);
        let (x, dy) = (numbers(len), numbers(len));
        let (mut y, mut dx, mut added) = (numbers(len), numbers(len), numbers(len));
        let (gamma, beta) = (vec![1f32; channels], vec![0.1f32; channels]);
        let (mut mean, mut variance) = (vec![0f32; channels], vec![0f32; channels]);
        let (mut dg, mut db) = (vec![0f32; channels], vec![0f32; channels]);
        let relu = Norm { gamma: &gamma, beta: &beta, epsilon: 1e-5, activation: Activation::Relu };
        kernel(&mut group, ("train and relu", layer), len, || {
            let mut stats = Stats { mean: &mut mean, variance: &mut variance };
            norm::train_forward(&relu, shape, &x, None, &mut y, &mut stats)
        });
        let saved = Saved::Batch { mean: &mean, variance: &variance };
        kernel(&mut group, ("train and relu, backward", layer), len, || {
            let to = Gradients { input: &mut dx, residual: None, gamma: &mut dg, beta: &mut db };
            norm::backward(&relu, saved, shape, &x, None, &dy, to)
        });
        kernel(&mut group, ("train, addition and relu, backward", layer), len, || {
            let to = Gradients { input: &mut dx, residual: Some(&mut added), gamma: &mut dg, beta: &mut db };
            norm::backward(&relu, saved, shape, &x, Some(&y), &dy, to)
        });
        kernel(&mut group, ("inference and relu", layer), len, || {
            norm::eval_forward(&relu, shape, &x, None, (&mean, &variance), &mut added)
        });
    }
    group.finish();
}

fn pools(criterion: &mut Criterion) {
    let mut group = group(criterion, "pool");
    for (layer, shape, spec) in [
        ("lenet5 2x2", [64, 6, 28, 28], Pool2d::new(2, 2)),
        ("alexnet 3x3/2", [4, 64, 55, 55], Pool2d::new(3, 2)),
        ("resnet 3x3/2", [4, 64, 112, 112], Pool2d::new(3, 2).with_padding(1)),
        ("googlenet 3x3", [4, 480, 14, 14], Pool2d::new(3, 1).with_padding(1)),
        ("inception_v3 3x3", [4, 288, 35, 35], Pool2d::new(3, 1).with_padding(1)),
    ] {
        let Ok(output) = spec.output_shape(shape) else { continue };
        let len = shape.iter().product();
        let (x, mut y) = (numbers(len), numbers(output.iter().product()));
        let (dy, mut dx) = (y.clone(), x.clone());
        kernel(&mut group, ("max", layer), len, || pool::max_forward(&spec, shape, &x, &mut y));
        kernel(&mut group, ("max, backward", layer), len, || {
            pool::max_backward(&spec, shape, &x, &y, &dy, &mut dx)
        });
        kernel(&mut group, ("average", layer), len, || pool::average_forward(&spec, shape, &x, &mut y));
        kernel(&mut group, ("average, backward", layer), len, || {
            pool::average_backward(&spec, shape, &dy, &mut dx)
        });
    }
    let (layer, shape) = ("resnet50 global", [4, 2048, 7, 7]);
    let len = shape.iter().product();
    let (x, mut y, mut dx) = (numbers(len), numbers(len / 49), numbers(len));
    kernel(&mut group, ("average", layer), len, || pool::adaptive_average_forward([1, 1], shape, &x, &mut y));
    kernel(&mut group, ("average, backward", layer), len, || {
        pool::adaptive_average_backward([1, 1], shape, &y, &mut dx)
    });
    group.finish();
}

fn activations(criterion: &mut Criterion) {
    let mut group = group(criterion, "activation");
    let len = 4 * 64 * 56 * 56;
    let (x, z) = (numbers(len), numbers(len));
    let (mut y, mut dx) = (numbers(len), numbers(len));
    for (name, function) in [
        ("relu", Activation::Relu),
        ("relu6", Activation::Relu6),
        ("sigmoid", Activation::Sigmoid),
        ("tanh", Activation::Tanh),
    ] {
        kernel(&mut group, ("forward", name), len, || activation::forward(function, &x, &mut y));
        kernel(&mut group, ("backward", name), len, || activation::backward(function, &y, &z, &mut dx));
    }
    kernel(&mut group, ("addition and forward", "relu"), len, || {
        activation::add_forward(Activation::Relu, &x, &z, &mut y)
    });
    group.finish();
}

fn others(criterion: &mut Criterion) {
    let mut group = group(criterion, "other");
    let (layer, shape) = ("alexnet_paper conv1", [4, 96, 55, 55]);
    let len = shape.iter().product();
    let (x, dy) = (numbers(len), numbers(len));
    let (mut y, mut dx) = (numbers(len), numbers(len));
    let paper = Lrn { size: 5, alpha: 1e-4, beta: 0.75, k: 2.0, form: LrnForm::Sum };
    kernel(&mut group, ("lrn", layer), len, || lrn::forward(&paper, shape, &x, &mut y));
    kernel(&mut group, ("lrn, backward", layer), len, || lrn::backward(&paper, shape, &x, &dy, &mut dx));

    let (layer, shape, size) = ("fcn_resnet50 to 520x520", [1, 21, 65, 65], [520, 520]);
    let large = shape[1] * size[0] * size[1];
    let (x, mut y) = (numbers(shape.iter().product()), numbers(large));
    let mut dx = x.clone();
    kernel(&mut group, ("upsample", layer), large, || {
        upsample::forward(Corners::Edges, size, shape, &x, &mut y)
    });
    kernel(&mut group, ("upsample, backward", layer), large, || {
        upsample::backward(Corners::Edges, size, shape, &y, &mut dx)
    });

    let softmax = Loss { ignored: Some(255), ..Loss::CROSS_ENTROPY };
    for (layer, shape) in
        [("resnet 1000 classes", [64, 1000, 1, 1]), ("fcn 21 classes at 520x520", [1, 21, 520, 520])]
    {
        let len = shape.iter().product();
        let (logits, mut gradient) = (numbers(len), numbers(len));
        let labels: Vec<i64> = (0..(len / shape[1]) as i64).map(|i| i * 7 % shape[1] as i64).collect();
        kernel(&mut group, ("cross_entropy", layer), len, || {
            softmax.value(shape, &logits, &labels).map(|loss| assert!(loss.is_finite()))
        });
        kernel(&mut group, ("cross_entropy and gradient", layer), len, || {
            softmax.gradient(shape, &logits, &labels, &mut gradient).map(|loss| assert!(loss.is_finite()))
        });
    }

    for (layer, shape) in [("1000 classes", [64, 1000, 1]), ("fcn 21 classes at 520x520", [1, 21, 520 * 520])]
    {
        let len = shape.iter().product();
        let (x, mut y, mut dx) = (numbers(len), numbers(len), numbers(len));
        kernel(&mut group, ("softmax", layer), len, || softmax::forward(shape, &x, &mut y));
        kernel(&mut group, ("softmax, backward", layer), len, || softmax::backward(shape, &y, &x, &mut dx));
    }

    let (layer, sizes) = ("lenet5_paper", [64, 84, 10]);
    let (x, codes, mut y) = (numbers(64 * 84), numbers(84 * 10), numbers(640));
    let (mut dx, mut dw) = (x.clone(), codes.clone());
    kernel(&mut group, ("rbf", layer), 64 * 84, || rbf::forward(sizes, &x, &codes, &mut y));
    kernel(&mut group, ("rbf, grad_input", layer), 64 * 84, || {
        rbf::grad_input(sizes, &x, &codes, &y, &mut dx)
    });
    kernel(&mut group, ("rbf, grad_codes", layer), 64 * 84, || {
        rbf::grad_codes(sizes, &x, &codes, &y, &mut dw)
    });

    let (layer, shape) = ("seresnet50 stage 1", [4, 256, 56, 56]);
    let len = shape.iter().product();
    let (x, factors, dy) = (numbers(len), numbers(4 * 256), numbers(len));
    let (mut y, mut df) = (numbers(len), numbers(4 * 256));
    kernel(&mut group, ("scale", layer), len, || scale::forward(shape, &x, &factors, &mut y));
    kernel(&mut group, ("scale, backward", layer), len, || {
        scale::backward(shape, &x, &factors, &dy, &mut y, &mut df)
    });
    group.finish();
}

criterion_group!(benches, convolutions, transposed, linear, norms, pools, activations, others);
criterion_main!(benches);
