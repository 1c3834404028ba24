//! Inference with the channels innermost against plain loops and the kernels on planes, on every instruction set.

use crate::common::{assert_close, numbers, on_every_isa, wide};
use crate::conv::for_each_product;
use proptest::prelude::*;
use zoo_kernels::conv::{Conv2d, Padding};
use zoo_kernels::nhwc::{
    Arena, Bands, Conv, Fold, Halo, Map, Method, Pointwise, Tail, average_pool, from_planes, global_average,
    max_pool, pointwise, to_planes,
};
use zoo_kernels::pool::{self, Pool2d};
use zoo_kernels::{Activation, Shape, with_isa};

/// What lies beyond every map: kernels must not touch it.
const WALL: f32 = 12345.0;

/// An arena in which maps lie one behind the other, walls between them.
struct Place {
    arena: Arena,
    maps: Vec<Map>,
}

impl Place {
    fn new(shapes: &[(Shape, Halo, usize)]) -> Self {
        let (mut at, mut maps) = (16, Vec::new());
        for &(shape, halo, beside) in shapes {
            let [n, c, h, w] = shape;
            let whole = [n, c + beside, h, w];
            maps.push(Map::with_halo(at, whole, halo).channels(beside, c));
            at += Map::room(whole, halo) + 16;
        }
        let mut arena = Arena::new(at);
        arena.fill(WALL);
        Self { arena, maps }
    }

    fn put(&mut self, i: usize, planes: &[f32]) {
        from_planes(planes, &mut self.arena, self.maps[i]).unwrap();
    }

    fn get(&self, i: usize) -> Vec<f32> {
        let mut planes = vec![f32::NAN; self.maps[i].shape.iter().product()];
        to_planes(&self.arena, self.maps[i], &mut planes).unwrap();
        planes
    }

    /// Numbers that still are as they were at first.
    fn walls(&self) -> usize {
        self.arena.iter().filter(|x| **x == WALL).count()
    }
}

fn apply(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        _ => x,
    }
}

/// A convolution with everything that may be folded into it, against the loop.
fn check(spec: &Conv2d, shape: Shape, method: Method, halo: Halo, beside: usize, seed: u64) {
    let output = spec.output_shape(shape).unwrap();
    let (inputs, outputs): (usize, usize) = (shape.iter().product(), output.iter().product());
    let input = numbers::<f32>(seed, inputs);
    let weight = numbers::<f32>(seed + 1, spec.weight_shape().iter().product());
    let scale = numbers::<f32>(seed + 2, spec.out_channels);
    let shift = numbers::<f32>(seed + 3, spec.out_channels);
    let residual = numbers::<f32>(seed + 4, outputs);
    let (x, w) = (wide(&input), wide(&weight));
    let mut sums = vec![0.0; outputs];
    for_each_product(spec, shape, |i, k, o| sums[o] += x[i] * w[k]);
    let pixels = output[2] * output[3];
    let channel = |i: usize| i / pixels % spec.out_channels;
    for (activation, added) in
        [(Activation::Identity, false), (Activation::Relu, true), (Activation::Relu6, true)]
    {
        let want: Vec<f64> = (0..outputs)
            .map(|i| {
                let sum = sums[i] * f64::from(scale[channel(i)]) + f64::from(shift[channel(i)]);
                apply(activation, sum + if added { f64::from(residual[i]) } else { 0.0 })
            })
            .collect();
        let mut place = Place::new(&[
            (shape, halo, beside / 2),
            (output, Halo::default(), beside),
            (output, Halo::default(), 0),
        ]);
        place.put(0, &input);
        place.put(2, &residual);
        let walls = place.walls();
        let fold = Fold { scale: Some(&scale), shift: Some(&shift) };
        let conv = Conv::new(spec, shape, &weight, fold, method).unwrap();
        assert_eq!(conv.output(), output);
        let maps = place.maps.clone();
        let tail = Tail { residual: added.then_some(maps[2]), activation };
        conv.run(&mut place.arena, maps[0], maps[1], tail).unwrap();
        let tolerance = if method == Method::Winograd4 { 6e-5 } else { 1e-5 };
        assert_close(&format!("{method:?} {spec:?} of {shape:?}"), &place.get(1), &want, tolerance);
        assert_eq!(place.walls() + outputs, walls, "{method:?} {spec:?} of {shape:?} wrote elsewhere");
        if added {
            // Over the residual.
            let over = Tail { residual: Some(maps[2]), activation };
            conv.run(&mut place.arena, maps[0], maps[2], over).unwrap();
            assert_eq!(place.get(2), place.get(1));
        }
    }
}

fn some_conv() -> impl Strategy<Value = (Conv2d, Shape)> {
    let channels = (1usize..4, 1usize..20, 1usize..40);
    let window = (1usize..5, 1usize..5, 1usize..4, 1usize..4, 1usize..3, 1usize..3);
    let padding = (0usize..3, 0usize..3, 0usize..3, 0usize..3);
    (channels, window, padding, 1usize..3, 1usize..14, 1usize..14).prop_map(
        |((groups, inputs, outputs), (kh, kw, sy, sx, dy, dx), (top, bottom, left, right), n, h, w)| {
            let spec = Conv2d {
                in_channels: groups * inputs,
                out_channels: groups * outputs,
                kernel_size: [kh, kw],
                stride: [sy, sx],
                padding: Padding { top, bottom, left, right },
                dilation: [dy, dx],
                groups,
            };
            let h = h.max(((kh - 1) * dy + 1).saturating_sub(top + bottom));
            let w = w.max(((kw - 1) * dx + 1).saturating_sub(left + right));
            (spec, [n, groups * inputs, h, w])
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_direct_convolution((spec, shape) in some_conv(), halo in 0usize..3, beside in 0usize..5, seed in 0u64..1000) {
        let halo = Halo { top: halo, bottom: halo + 1, left: halo, right: halo + 1 };
        on_every_isa(|_| {
            check(&spec, shape, Method::Direct, halo, beside, seed);
            check(&spec, shape, Method::Exact, halo, beside, seed);
        });
    }

    #[test]
    fn a_winograd_convolution(
        (spec, shape) in some_conv(), dilation in 1usize..4, padding in 0usize..4, seed in 0u64..1000
    ) {
        let spec = Conv2d {
            kernel_size: [3, 3], stride: [1, 1], dilation: [dilation, dilation], groups: 1,
            padding: Padding { top: padding, ..spec.padding }, ..spec
        };
        let reach = 2 * dilation + 1;
        let shape = [shape[0], shape[1], shape[2].max(reach), shape[3].max(reach)];
        on_every_isa(|_| {
            check(&spec, shape, Method::Winograd4, Halo::default(), 3, seed);
            check(&spec, shape, Method::Winograd2, Halo::default(), 3, seed);
        });
    }

    #[test]
    fn a_depthwise_convolution((spec, shape) in some_conv(), channels in 2usize..40, seed in 0u64..1000) {
        let spec = Conv2d { in_channels: channels, out_channels: channels, groups: channels, ..spec };
        let shape = [shape[0], channels, shape[2], shape[3]];
        on_every_isa(|_| {
            check(&spec, shape, Method::Depthwise, Halo::default(), 2, seed);
            check(&spec, shape, Method::Direct, Halo::default(), 2, seed);
        });
    }

    /// Every loop of its own: strides, widths on both sides of what goes together, edges wider than the kernel.
    #[test]
    fn a_depthwise_convolution_of_three_by_three(
        channels in 2usize..40, strides in (1usize..4, 1usize..4), size in (1usize..6, 1usize..40),
        padding in (0usize..4, 0usize..4, 0usize..5, 0usize..5), down in 1usize..3, halo in 0usize..2,
        beside in 0usize..9, seed in 0u64..1000,
    ) {
        let (top, bottom, left, right) = padding;
        let spec = Conv2d {
            in_channels: channels, out_channels: channels, groups: channels, kernel_size: [3, 3],
            stride: [strides.0, strides.1], padding: Padding { top, bottom, left, right }, dilation: [down, 1],
        };
        let height = size.0.max((2 * down + 1).saturating_sub(top + bottom));
        let shape = [2, channels, height, size.1.max(3_usize.saturating_sub(left + right))];
        let halo = Halo { top: halo, bottom: halo, left: halo, right: 2 * halo };
        on_every_isa(|_| check(&spec, shape, Method::Depthwise, halo, beside, seed));
    }

    #[test]
    fn pools(
        kernel in 1usize..5, stride in 1usize..4, padding in 0usize..3, ceil in any::<bool>(), pad in any::<bool>(),
        (n, c, h, w) in (1usize..3, 1usize..90, 4usize..12, 4usize..12), seed in 0u64..1000,
    ) {
        let mut window = Pool2d::new(kernel, stride).with_padding(padding.min(kernel / 2)).with_ceil_mode(ceil);
        window.count_include_pad = pad;
        let (shape, input) = ([n, c, h, w], numbers::<f32>(seed, n * c * h * w));
        let output = window.output_shape(shape).unwrap();
        let len = output.iter().product();
        on_every_isa(|_| {
            let mut want = vec![0.0; len];
            let mut place = Place::new(&[(shape, Halo::default(), 1), (output, Halo::default(), 2)]);
            place.put(0, &input);
            let [from, to] = [place.maps[0], place.maps[1]];
            pool::max_forward(&window, shape, &input, &mut want).unwrap();
            max_pool(&window, &mut place.arena, from, to).unwrap();
            assert_eq!(place.get(1), want);
            pool::average_forward(&window, shape, &input, &mut want).unwrap();
            average_pool(&window, &mut place.arena, from, to).unwrap();
            assert_close("average", &place.get(1), &wide(&want), 1e-6);
            let regions = [n, c, h.min(3), w.min(2)];
            let mut want = vec![0.0; regions.iter().product()];
            pool::adaptive_average_forward([h.min(3), w.min(2)], shape, &input, &mut want).unwrap();
            let mut place = Place::new(&[(shape, Halo::default(), 0), (regions, Halo::default(), 0)]);
            place.put(0, &input);
            let [from, to] = [place.maps[0], place.maps[1]];
            global_average(&mut place.arena, from, to).unwrap();
            assert_close("adaptive", &place.get(1), &wide(&want), 1e-6);
        });
    }

    #[test]
    fn pointwise_work(
        (n, c, h, w) in (1usize..3, 1usize..50, 1usize..6, 1usize..6), seed in 0u64..1000, parts in 0usize..8,
        activation in prop::sample::select(vec![Activation::Identity, Activation::Relu, Activation::Sigmoid]),
    ) {
        let (shape, len) = ([n, c, h, w], n * c * h * w);
        let (x, more) = (numbers::<f32>(seed, len), numbers::<f32>(seed + 1, len));
        let (scale, shift) = (numbers::<f32>(seed + 2, c), numbers::<f32>(seed + 3, c));
        let factors = numbers::<f32>(seed + 4, n * c);
        let (affine, scaled, added) = (parts & 1 > 0, parts & 2 > 0, parts & 4 > 0);
        let want: Vec<f64> = (0..len).map(|i| {
            let plane = i / (h * w);
            let mut y = f64::from(x[i]);
            if affine { y = y * f64::from(scale[plane % c]) + f64::from(shift[plane % c]); }
            if scaled { y *= f64::from(factors[plane]); }
            if added { y += f64::from(more[i]); }
            if activation == Activation::Sigmoid { 1.0 / (1.0 + (-y).exp()) } else { apply(activation, y) }
        }).collect();
        on_every_isa(|_| {
            let none = Halo::default();
            let mut place = Place::new(&[(shape, none, 1), (shape, none, 0), ([n, c, 1, 1], none, 0), (shape, none, 2)]);
            place.put(0, &x);
            place.put(1, &more);
            place.put(2, &factors);
            let maps = place.maps.clone();
            let work = Pointwise {
                affine: affine.then_some((&scale[..], &shift[..])),
                factor: scaled.then_some(maps[2]),
                addend: added.then_some(maps[1]),
                activation,
            };
            pointwise(&work, &mut place.arena, maps[0], maps[3]).unwrap();
            assert_close("pointwise", &place.get(3), &want, 1e-6);
            pointwise(&work, &mut place.arena, maps[0], maps[0]).unwrap();
            assert_eq!(place.get(0), place.get(3));
        });
    }
}

#[test]
fn long_sums_are_as_exact_as_short_ones() {
    // A 1x1 convolution of 4096 channels and a dense layer as a kernel as large as its map.
    for (channels, kernel) in [(4096, 1), (200, 6)] {
        let spec = Conv2d::new(channels, 40, kernel);
        on_every_isa(|_| {
            for method in [Method::Direct, Method::Exact] {
                check(&spec, [1, channels, kernel, kernel], method, Halo::default(), 0, 3);
            }
        });
    }
}

#[test]
fn a_batch_and_other_threads_give_the_same_bits() {
    let layers = [
        (Conv2d::new(24, 80, 3).with_padding(1), Method::Winograd4),
        (Conv2d::new(24, 80, 3).with_padding(1), Method::Winograd2),
        (Conv2d::new(24, 80, 3).with_padding(1), Method::Direct),
        (Conv2d::new(24, 80, 3).with_padding(1), Method::Exact),
        (Conv2d::new(300, 80, 1), Method::Direct),
        (Conv2d::new(300, 80, 1), Method::Exact),
        (Conv2d::new(40, 40, 3).with_padding(1).with_groups(40), Method::Depthwise),
    ];
    on_every_isa(|isa| {
        for (spec, method) in layers {
            let (n, c, side) = (5, spec.in_channels, 23);
            let weight = numbers::<f32>(1, spec.weight_shape().iter().product());
            let input = numbers::<f32>(2, n * c * side * side);
            let run = |threads: usize, pictures: std::ops::Range<usize>| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let input = &input[pictures.start * c * side * side..pictures.end * c * side * side];
                let shape = [pictures.len(), c, side, side];
                pool.install(|| {
                    with_isa(isa, || {
                        let conv = Conv::new(&spec, shape, &weight, Fold::default(), method).unwrap();
                        let none = Halo::default();
                        let mut place = Place::new(&[(shape, none, 0), (conv.output(), none, 0)]);
                        place.put(0, input);
                        let [from, to] = [place.maps[0], place.maps[1]];
                        let tail = Tail { residual: None, activation: Activation::Identity };
                        conv.run(&mut place.arena, from, to, tail).unwrap();
                        place.get(1)
                    })
                    .unwrap()
                })
            };
            let all = run(1, 0..n);
            assert_eq!(all, run(2, 0..n), "{method:?}: two threads");
            assert_eq!(all, run(3, 0..n), "{method:?}: three threads");
            let each = all.len() / n;
            for picture in [0, 3] {
                let alone = run(2, picture..picture + 1);
                assert_eq!(alone, all[picture * each..(picture + 1) * each], "{method:?}: picture {picture}");
            }
        }
    });
}

/// Convolutions one after the other, and together in bands.
fn check_bands(channels: [usize; 3], side: [usize; 2], depthwise: Conv2d, ends: [bool; 2], pictures: usize) {
    let [c, inner, outer] = channels;
    let none = Halo::default();
    let make = |spec: Conv2d, shape: Shape, method: Method, seed: u64| {
        let weight = numbers::<f32>(seed, spec.weight_shape().iter().product());
        let shift = numbers::<f32>(seed + 1, spec.out_channels);
        let fold = Fold { scale: None, shift: Some(&shift) };
        Conv::new(&spec, shape, &weight, fold, method).unwrap()
    };
    let expanded = [pictures, if ends[0] { inner } else { c }, side[0], side[1]];
    let input = [pictures, c, side[0], side[1]];
    let inner = expanded[1];
    let depthwise = Conv2d { in_channels: inner, out_channels: inner, groups: inner, ..depthwise };
    let filtered = depthwise.output_shape(expanded).unwrap();
    let output = [pictures, if ends[1] { outer } else { inner }, filtered[2], filtered[3]];
    let first = || ends[0].then(|| make(Conv2d::new(c, inner, 1), input, Method::Direct, 10));
    let second = || make(depthwise, expanded, Method::Depthwise, 20);
    let third = || ends[1].then(|| make(Conv2d::new(inner, outer, 1), filtered, Method::Direct, 30));
    let mut place = Place::new(&[
        (input, none, 0),
        (expanded, none, 0),
        (filtered, none, 0),
        (output, none, 3),
        (output, none, 0),
    ]);
    place.put(0, &numbers::<f32>(1, input.iter().product()));
    place.put(4, &numbers::<f32>(2, output.iter().product()));
    let maps = place.maps.clone();
    let plain = |activation| Tail { residual: None, activation };
    let (mut from, arena) = (maps[0], &mut place.arena);
    if let Some(conv) = first() {
        conv.run(arena, from, maps[1], plain(Activation::Relu6)).unwrap();
        from = maps[1];
    }
    let residual = ends[1].then_some(maps[4]);
    match third() {
        None => second().run(arena, from, maps[3], plain(Activation::Relu)).unwrap(),
        Some(conv) => {
            second().run(arena, from, maps[2], plain(Activation::Relu)).unwrap();
            conv.run(arena, maps[2], maps[3], Tail { residual, ..plain(Activation::Identity) }).unwrap();
        }
    }
    let want = place.get(3);
    place.put(3, &vec![f32::NAN; want.len()]);
    let walls = place.walls();
    let (expand, project) =
        (first().map(|conv| (conv, Activation::Relu6)), third().map(|conv| (conv, Activation::Identity)));
    let bands = Bands::new(expand, (second(), Activation::Relu), project).unwrap();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bands.run(&mut place.arena, maps[0], maps[3], residual)).unwrap();
        assert_eq!(place.get(3), want, "{depthwise:?} of {expanded:?} with {ends:?} on {threads} threads");
        assert_eq!(place.walls(), walls);
    }
}

#[test]
fn bands_are_the_convolutions_one_after_the_other() {
    let kernel = |size: usize, stride: usize, padding: usize| {
        let spec = Conv2d { stride: [stride, stride], ..Conv2d::new(1, 1, size) };
        spec.with_padding(padding)
    };
    on_every_isa(|_| {
        for ends in [[true, true], [true, false], [false, true]] {
            check_bands([5, 40, 9], [40, 31], kernel(3, 1, 1), ends, 1);
            check_bands([16, 96, 24], [90, 70], kernel(3, 2, 1), ends, 1);
            check_bands([8, 24, 33], [13, 17], kernel(5, 1, 0), ends, 2);
            check_bands([3, 20, 16], [7, 5], kernel(3, 2, 3), ends, 4);
            check_bands([4, 500, 4], [33, 64], Conv2d { dilation: [2, 1], ..kernel(3, 1, 2) }, ends, 1);
        }
    });
}

#[test]
fn weights_packed_in_parts_are_the_same() {
    let grouped = Conv2d::new(24, 48, 3).with_groups(3);
    let layers = [
        (Conv2d::new(24, 200, 3), Method::Winograd4),
        (Conv2d::new(24, 200, 3), Method::Winograd2),
        (Conv2d::new(24, 200, 3), Method::Direct),
        (Conv2d::new(24, 200, 3), Method::Exact),
        (grouped, Method::Direct),
        (Conv2d::new(40, 40, 3).with_groups(40), Method::Depthwise),
    ];
    on_every_isa(|_| {
        for (spec, method) in layers {
            let shape = [1, spec.in_channels, 9, 9];
            let weight = numbers::<f32>(1, spec.weight_shape().iter().product());
            let scale = numbers::<f32>(2, spec.out_channels);
            let fold = Fold { scale: Some(&scale), shift: Some(&scale) };
            let whole = Conv::new(&spec, shape, &weight, fold, method).unwrap();
            let mut conv = Conv::empty(&spec, shape, fold, method).unwrap();
            let (parts, each) = (conv.parts(1), weight.len() / spec.out_channels);
            assert_eq!(parts.iter().map(ExactSizeIterator::len).sum::<usize>(), spec.out_channels);
            assert!(parts.len() > 1 || method == Method::Depthwise);
            for channels in parts.into_iter().rev() {
                let own = &weight[channels.start * each..channels.end * each];
                conv.pack(channels, own, fold).unwrap();
            }
            let run = |conv: &Conv| {
                let mut place =
                    Place::new(&[(shape, Halo::default(), 0), (conv.output(), Halo::default(), 0)]);
                place.put(0, &numbers::<f32>(3, shape.iter().product()));
                let [from, to] = [place.maps[0], place.maps[1]];
                let tail = Tail { residual: None, activation: Activation::Identity };
                conv.run(&mut place.arena, from, to, tail).unwrap();
                place.get(1)
            };
            assert_eq!(run(&whole), run(&conv), "{method:?}");
            let part = conv.pack(1..2, &weight[..each], fold);
            assert!(part.is_err() || conv.parts(1).contains(&(1..2)), "{method:?}: a part of a part");
        }
    });
}

#[test]
fn maps_that_overlap_or_differ_are_refused() {
    let spec = Conv2d::new(3, 4, 3).with_padding(1);
    let weight = vec![0.5; 4 * 3 * 9];
    let conv = Conv::new(&spec, [1, 3, 5, 5], &weight, Fold::default(), Method::Direct).unwrap();
    let mut arena = Arena::new(1000);
    let tail = Tail { residual: None, activation: Activation::Identity };
    let input = Map::dense(0, [1, 3, 5, 5]);
    let over = conv.run(&mut arena, input, Map::dense(40, [1, 4, 5, 5]), tail).unwrap_err();
    assert!(over.to_string().contains("apart"), "{over}");
    let beyond = conv.run(&mut arena, input, Map::dense(980, [1, 4, 5, 5]), tail).unwrap_err();
    assert!(beyond.to_string().contains("arena of 1000"), "{beyond}");
    let other =
        conv.run(&mut arena, Map::dense(0, [1, 3, 6, 5]), Map::dense(100, [1, 4, 5, 5]), tail).unwrap_err();
    assert!(other.to_string().contains("[1, 3, 6, 5]"), "{other}");
    let late = Tail { activation: Activation::Sigmoid, ..tail };
    assert!(conv.run(&mut arena, input, Map::dense(100, [1, 4, 5, 5]), late).is_err());
    let grouped = Conv2d::new(4, 4, 3).with_groups(2);
    assert!(Conv::new(&grouped, [1, 4, 5, 5], &[0.0; 72], Fold::default(), Method::Winograd4).is_err());
    assert!(Conv::new(&spec, [1, 3, 5, 5], &weight[1..], Fold::default(), Method::Direct).is_err());
    // Sizes that no memory has, and sums of them that go round, are refused before anything is done about them.
    let wide = Conv2d::new(8, 1 << 40, 1);
    assert!(Conv::new(&wide, [1, 8, 5, 5], &[], Fold::default(), Method::Direct).is_err());
    let tall = Map::dense(0, [1, 1, 1 << 45, 1]);
    assert!(max_pool(&Pool2d::new(1, 1), &mut arena, tall, tall).is_err());
    for (bottom, right) in [(usize::MAX - 998, 0), (0, usize::MAX)] {
        let halo = Halo { bottom, right, ..Halo::default() };
        let map = Map { shape: [1, 4, 1000, 2], start: 0, pixel: 4, row: 8, picture: 0, halo };
        let outcome = pointwise(&Pointwise::default(), &mut arena, map, map);
        assert!(outcome.is_err(), "{halo:?}");
    }
}
