//! Convolutions against plain loops, over all that a convolution can be, on every instruction set.

use crate::common::{assert_close, assert_gradient, dot, numbers, on_every_isa, tolerance, unwritten, wide};
use proptest::prelude::*;
use zoo_kernels::conv::{self, Conv2d, Method, Padding, Pass, Prepared};
use zoo_kernels::{Activation, Element, Epilogue, Isa, KernelError, Shape, with_isa};

/// Calls `visit(input index, weight index, output index)` for every product of the convolution.
pub(crate) fn for_each_product(
    spec: &Conv2d,
    [n, c, h, w]: Shape,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let [_, o, oh, ow] = spec.output_shape([n, c, h, w]).unwrap();
    let ([kh, kw], (cg, og)) = (spec.kernel_size, (c / spec.groups, o / spec.groups));
    for (picture, out) in (0..n).flat_map(|p| (0..o).map(move |m| (p, m))) {
        for (oy, ox) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
            for channel in 0..cg {
                for (ky, kx) in (0..kh).flat_map(|y| (0..kw).map(move |x| (y, x))) {
                    let y = (oy * spec.stride[0] + ky * spec.dilation[0]).wrapping_sub(spec.padding.top);
                    let x = (ox * spec.stride[1] + kx * spec.dilation[1]).wrapping_sub(spec.padding.left);
                    if y < h && x < w {
                        let from = ((picture * c + out / og * cg + channel) * h + y) * w + x;
                        visit(
                            from,
                            ((out * cg + channel) * kh + ky) * kw + kx,
                            ((picture * o + out) * oh + oy) * ow + ox,
                        );
                    }
                }
            }
        }
    }
}

/// All three passes, and the two of the transposed convolution, against the loop.
fn check<T: Element>(spec: &Conv2d, shape: Shape, seed: u64) {
    let output = spec.output_shape(shape).unwrap();
    let (inputs, outputs) = (shape.iter().product(), output.iter().product());
    let weights: usize = spec.weight_shape().iter().product();
    let input = numbers::<T>(seed, inputs);
    let weight = numbers::<T>(seed + 1, weights);
    let grad = numbers::<T>(seed + 2, outputs);
    let bias = numbers::<T>(seed + 3, spec.out_channels);
    let in_bias = numbers::<T>(seed + 4, spec.in_channels);

    let (x, w, g) = (wide(&input), wide(&weight), wide(&grad));
    let (mut out, mut to_input, mut to_weight) = (vec![0.0; outputs], vec![0.0; inputs], vec![0.0; weights]);
    for_each_product(spec, shape, |i, k, o| {
        out[o] += x[i] * w[k];
        to_input[i] += g[o] * w[k];
        to_weight[k] += g[o] * x[i];
    });
    let pixels = output[2] * output[3];
    let with_bias = |i: usize, v: &f64| v + bias[i / pixels % spec.out_channels].to_f64();
    let biased: Vec<f64> = out.iter().enumerate().map(|(i, v)| with_bias(i, v)).collect();
    let mut to_bias = vec![0.0; spec.out_channels];
    for (i, g) in g.iter().enumerate() {
        to_bias[i / pixels % spec.out_channels] += g;
    }
    let in_pixels = shape[2] * shape[3];
    let transposed: Vec<f64> = to_input
        .iter()
        .enumerate()
        .map(|(i, v)| v + in_bias[i / in_pixels % spec.in_channels].to_f64())
        .collect();

    on_every_isa(|isa| {
        let what = |pass: &str| format!("{pass} of {spec:?} on {shape:?} with {isa:?}");
        let tolerance = tolerance::<T>();
        let mut got = unwritten::<T>(outputs);
        conv::forward(spec, shape, &input, &weight, None, &mut got).unwrap();
        assert_close(&what("forward"), &got, &out, tolerance);
        conv::forward(spec, shape, &input, &weight, Some(&bias), &mut got).unwrap();
        assert_close(&what("forward with bias"), &got, &biased, tolerance);
        check_epilogues(spec, shape, seed, [&input, &weight], &out, &what(""));
        let mut got = unwritten::<T>(inputs);
        conv::grad_input(spec, shape, &grad, &weight, &mut got).unwrap();
        assert_close(&what("grad_input"), &got, &to_input, tolerance);
        let (mut got, mut got_bias) = (unwritten::<T>(weights), unwritten::<T>(spec.out_channels));
        conv::grad_weight(spec, shape, &input, &grad, &mut got, Some(&mut got_bias)).unwrap();
        assert_close(&what("grad_weight"), &got, &to_weight, tolerance);
        assert_close(&what("grad_bias"), &got_bias, &to_bias, tolerance);

        // The transposed convolution of the same weights goes from the output's shape to the input's.
        let up = conv::Transposed::of(spec, [shape[2], shape[3]], [output[2], output[3]]);
        assert_eq!(up.output_shape(output).unwrap(), shape);
        let mut got = unwritten::<T>(inputs);
        up.forward(output, &grad, &weight, Some(&in_bias), &mut got).unwrap();
        assert_close(&what("transposed"), &got, &transposed, tolerance);
        let mut got = unwritten::<T>(outputs);
        up.grad_input(output, &input, &weight, &mut got).unwrap();
        assert_close(&what("transposed grad_input"), &got, &out, tolerance);
        let (mut got, mut got_bias) = (unwritten::<T>(weights), unwritten::<T>(spec.in_channels));
        up.grad_weight(output, &grad, &input, &mut got, Some(&mut got_bias)).unwrap();
        assert_close(&what("transposed grad_weight"), &got, &to_weight, tolerance);
        let total: f64 = x.iter().sum();
        assert!((wide(&got_bias).iter().sum::<f64>() - total).abs() <= 1e-4 * total.abs().max(10.0));
    });
}

/// What follows the sums, with and without a prepared weight: `sums` are the exact ones. A picture's answer must not
/// depend on the others, nor on the preparation.
fn check_epilogues<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    seed: u64,
    [input, weight]: [&[T]; 2],
    sums: &[f64],
    what: &str,
) {
    let output = spec.output_shape(shape).unwrap();
    let (channels, pixels) = (spec.out_channels, output[2] * output[3]);
    let (scale, shift) = (numbers::<T>(seed + 5, channels), numbers::<T>(seed + 6, channels));
    let residual = numbers::<T>(seed + 7, sums.len());
    let activations =
        [Activation::Identity, Activation::Relu, Activation::Relu6, Activation::Sigmoid, Activation::Tanh];
    let prepared = Prepared::new(spec, [shape[2], shape[3]], weight).unwrap();
    for (i, activation) in activations.into_iter().enumerate() {
        // Each activation with another choice of what is there.
        let bits = seed as usize + i;
        let epilogue = Epilogue {
            scale: (bits & 1 == 0).then_some(&scale[..]),
            shift: (bits & 2 == 0).then_some(&shift[..]),
            residual: (bits & 4 == 0).then_some(&residual[..]),
            activation,
        };
        let want = sums.iter().enumerate().map(|(i, &sum)| {
            let channel = i / pixels % channels;
            let scale = epilogue.scale.map_or(1.0, |scale| scale[channel].to_f64());
            let shift = epilogue.shift.map_or(0.0, |shift| shift[channel].to_f64());
            let residual = epilogue.residual.map_or(0.0, |residual| residual[i].to_f64());
            sum * scale + shift + residual
        });
        let before: Vec<f64> = want.collect();
        let want: Vec<f64> = before.iter().map(|&x| activation.apply(x)).collect();
        let largest = |values: &[f64]| values.iter().fold(1.0f64, |most, x| most.max(x.abs()));
        // An activation enlarges no error, but those it gets are relative to what it is applied to.
        let tolerance = tolerance::<T>() * largest(&before) / largest(&want);
        let there = [epilogue.scale.is_some(), epilogue.shift.is_some(), epilogue.residual.is_some()];
        let what = format!("{activation:?} with {there:?} after {}{what}", prepared.method());
        let (mut got, mut once) = (unwritten::<T>(sums.len()), unwritten::<T>(sums.len()));
        conv::forward_with(spec, shape, input, weight, &epilogue, &mut got).unwrap();
        assert_close(&what, &got, &want, tolerance);
        prepared.forward(shape, input, &epilogue, &mut once).unwrap();
        assert!(got == once, "prepared: {what}");
        let each = sums.len() / shape[0];
        for (picture, input) in input.chunks_exact(input.len() / shape[0]).enumerate() {
            let part = picture * each..(picture + 1) * each;
            let epilogue =
                Epilogue { residual: epilogue.residual.map(|residual| &residual[part.clone()]), ..epilogue };
            let (alone, one) = ([1, shape[1], shape[2], shape[3]], &mut once[..each]);
            conv::forward_with(spec, alone, input, weight, &epilogue, one).unwrap();
            assert!(got[part.clone()] == *one, "one picture: {what}");
            prepared.forward(alone, input, &epilogue, one).unwrap();
            assert!(got[part] == *one, "one picture, prepared: {what}");
        }
    }
}

prop_compose! {
    fn any_conv()(
        groups in prop_oneof![3 => Just(1usize), 1 => 2..5usize],
        cg in 1..6usize, og in 1..12usize, depthwise in prop::bool::weighted(0.3),
        kernel in [1..5usize, 1..5usize], stride in [1..4usize, 1..4usize], dilation in [1..3usize, 1..3usize],
        pads in [0..4usize, 0..4usize, 0..4usize, 0..4usize],
        n in 1..4usize, extra in [0..24usize, 0..40usize], seed in any::<u32>(),
    ) -> (Conv2d, Shape, u64) {
        let (cg, og) = if depthwise { (1, 1) } else { (cg, og) };
        let groups = if depthwise { groups + 2 } else { groups };
        let padding = Padding { top: pads[0], bottom: pads[1], left: pads[2], right: pads[3] };
        let spec = Conv2d {
            in_channels: cg * groups, out_channels: og * groups,
            kernel_size: kernel, stride, padding, dilation, groups,
        };
        // The smallest legal input, and something on top.
        let side = |i: usize, pad: usize| {
            ((kernel[i] - 1) * dilation[i] + 1).saturating_sub(pad).max(1) + extra[i]
        };
        let shape = [n, cg * groups, side(0, pads[0] + pads[1]), side(1, pads[2] + pads[3])];
        (spec, shape, u64::from(seed))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_convolution_agrees_with_the_loop((spec, shape, seed) in any_conv()) {
        check::<f32>(&spec, shape, seed);
    }

    #[test]
    fn any_convolution_agrees_with_the_loop_in_f64((spec, shape, seed) in any_conv()) {
        check::<f64>(&spec, shape, seed);
    }
}

prop_compose! {
    /// Layers that Winograd's tiles suit, and some that are just too small for them.
    fn any_layer_of_3x3()(
        channels in [1..5usize, 1..5usize], pads in [0..4usize, 0..4usize, 0..4usize, 0..4usize],
        n in 1..4usize, size in [3..20usize, 3..20usize], seed in any::<u32>(),
    ) -> (Conv2d, Shape, u64) {
        let padding = Padding { top: pads[0], bottom: pads[1], left: pads[2], right: pads[3] };
        let spec = Conv2d { padding, ..Conv2d::new(16 * channels[0], 16 * channels[1], 3) };
        (spec, [n, spec.in_channels, size[0], size[1]], u64::from(seed))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_layer_of_3x3_agrees_with_the_loop((spec, shape, seed) in any_layer_of_3x3()) {
        check::<f32>(&spec, shape, seed);
        check::<f64>(&spec, shape, seed);
    }
}

#[test]
fn depthwise_layers_that_halve_agree_with_the_loop() {
    let spec = Conv2d::new(3, 3, 3).with_stride(2).with_padding(1).with_groups(3);
    for width in [1, 2, 3, 8, 15, 16, 17, 18, 31, 32, 33, 34, 49, 64, 65, 66, 67, 97] {
        for height in [1, 2, 3, 16, 17, 18, 35] {
            check::<f32>(&spec, [2, 3, height, width], (100 * height + width) as u64);
            check::<f64>(&spec, [1, 3, height, width], (100 * height + width) as u64);
        }
    }
}

/// The errors of the output and of both gradients in f32, relative to the largest of each: the worst over all
/// instruction sets.
fn errors(channels: usize) -> [f64; 3] {
    let (spec, shape) = (Conv2d::new(channels, 64, 3).with_padding(1), [2, channels, 28, 28]);
    let input = numbers::<f32>(1, shape.iter().product());
    let weight = numbers::<f32>(2, 64 * channels * 9);
    let grad = numbers::<f32>(3, spec.output_shape(shape).unwrap().iter().product());
    let mut exact = [grad.len(), input.len(), weight.len()].map(|len| vec![0.0; len]);
    for_each_product(&spec, shape, |i, k, o| {
        let [x, w, g] = [input[i], weight[k], grad[o]].map(f64::from);
        exact[0][o] += x * w;
        exact[1][i] += g * w;
        exact[2][k] += g * x;
    });
    let mut worst = [0.0f64; 3];
    on_every_isa(|_| {
        let mut got = exact.each_ref().map(|exact| unwritten::<f32>(exact.len()));
        conv::forward(&spec, shape, &input, &weight, None, &mut got[0]).unwrap();
        conv::grad_input(&spec, shape, &grad, &weight, &mut got[1]).unwrap();
        conv::grad_weight(&spec, shape, &input, &grad, &mut got[2], None).unwrap();
        for (worst, (got, exact)) in worst.iter_mut().zip(got.iter().zip(&exact)) {
            let scale = exact.iter().fold(0.0f64, |scale, x| scale.max(x.abs()));
            let error =
                got.iter().zip(exact).fold(0.0f64, |most, (a, b)| most.max((f64::from(*a) - b).abs()));
            *worst = worst.max(error / scale);
        }
    });
    worst
}

#[test]
fn transformed_tiles_are_nearly_as_exact_as_sums() {
    // Channels that don't come in sixteens are summed up plainly.
    let (tiles, sums) = (errors(256), errors(250));
    assert!(tiles.iter().all(|&error| error < 4e-6), "{tiles:?}");
    assert!(sums.iter().all(|&error| error < 2e-6), "{sums:?}");
    assert!(tiles.iter().zip(sums).all(|(&tiles, sums)| tiles > sums), "no tiles: {tiles:?} {sums:?}");
}

#[test]
fn known_layers_agree_with_the_loop() {
    // Sizes past one block of channels, one block of pixels, one panel, and one part of rows.
    check::<f32>(&Conv2d::new(70, 137, 3).with_padding(1), [2, 70, 14, 14], 1);
    check::<f32>(&Conv2d::new(450, 33, 1), [3, 450, 7, 7], 2);
    check::<f32>(&Conv2d::new(3, 64, 7).with_stride(2).with_padding(3), [2, 3, 65, 63], 3);
    check::<f32>(&Conv2d::new(8, 300, 3).with_stride(2).with_padding(1), [1, 8, 28, 29], 4);
    check::<f32>(&Conv2d::new(1, 6, 5).with_padding(2), [9, 1, 28, 28], 5);
    check::<f32>(&Conv2d::new(40, 40, 3).with_padding(1).with_groups(40), [2, 40, 19, 19], 6);
    check::<f32>(&Conv2d::new(12, 12, 3).with_stride(2).with_padding(1).with_groups(12), [2, 12, 56, 57], 7);
    check::<f32>(&Conv2d::new(64, 64, 3).with_padding(1).with_groups(16), [2, 64, 20, 20], 8);
    check::<f32>(&Conv2d::new(24, 36, 3).with_padding(1).with_groups(6), [2, 24, 24, 25], 13);
    check::<f32>(&Conv2d::new(20, 30, 7), [2, 20, 7, 7], 9);
    check::<f32>(&Conv2d::new(2, 5, 3).with_stride(2).with_padding(1), [10, 2, 60, 57], 11);
    check::<f32>(&Conv2d::new(64, 64, 3).with_padding(1), [2, 64, 21, 20], 12);
    // Few panels and many rows, past one block of channels: joined pictures, pictures each by itself, groups.
    check::<f32>(&Conv2d::new(800, 137, 1), [3, 800, 7, 7], 14);
    check::<f32>(&Conv2d::new(90, 140, 3).with_stride(2).with_padding(1), [2, 90, 30, 29], 15);
    check::<f32>(&Conv2d::new(300, 280, 1).with_groups(2), [2, 300, 9, 9], 16);
    // The padded copy's rows are as long as the target's rows are apart, but are none of them.
    let spec = Conv2d { kernel_size: [1, 3], stride: [2, 1], dilation: [1, 2], ..Conv2d::new(4, 3, 1) };
    check::<f32>(
        &Conv2d { padding: Padding { top: 2, bottom: 1, left: 2, right: 2 }, ..spec },
        [1, 4, 21, 4],
        10,
    );
}

#[test]
fn gradients_are_derivatives() {
    let specs = [
        Conv2d::new(2, 4, 3).with_padding(1).with_stride(2),
        Conv2d::new(4, 4, 3).with_padding(2).with_groups(4).with_dilation(2),
        Conv2d::new(4, 6, 2).with_groups(2),
    ];
    for spec in specs {
        let shape = [2, spec.in_channels, 6, 9];
        let output = spec.output_shape(shape).unwrap();
        let x = numbers::<f64>(1, shape.iter().product());
        let w = numbers::<f64>(2, spec.weight_shape().iter().product());
        let g = numbers::<f64>(3, output.iter().product());
        let loss = |x: &[f64], w: &[f64]| {
            let mut out = unwritten(g.len());
            conv::forward(&spec, shape, x, w, None, &mut out).unwrap();
            dot(&out, &g)
        };
        let (mut dx, mut dw) = (unwritten(x.len()), unwritten(w.len()));
        conv::grad_input(&spec, shape, &g, &w, &mut dx).unwrap();
        conv::grad_weight(&spec, shape, &x, &g, &mut dw, None).unwrap();
        assert_gradient("conv dx", &x, &dx, |x| loss(x, &w));
        assert_gradient("conv dw", &w, &dw, |w| loss(&x, w));
    }
}

/// Of a batch whose padded copies would take more than 16 MiB, pictures take turns. Whole numbers add up without rounding.
#[test]
fn the_weights_gradient_of_a_large_batch_is_the_sum_of_its_parts() {
    let spec = Conv2d::new(8, 4, 3).with_padding(1).with_stride(2);
    let gradient = |input: &[f32], grad: &[f32]| {
        let shape = [input.len() / (8 * 160 * 160), 8, 160, 160];
        let mut weight = unwritten(4 * 8 * 9);
        conv::grad_weight(&spec, shape, input, grad, &mut weight, None).unwrap();
        weight
    };
    let whole = |seed, count| numbers::<f32>(seed, count).into_iter().map(|x| (4.0 * x).round()).collect();
    let (input, grad): (Vec<f32>, Vec<f32>) = (whole(1, 43 * 8 * 160 * 160), whole(2, 43 * 4 * 80 * 80));
    on_every_isa(|_| {
        let mut sums = vec![0.0; 4 * 8 * 9];
        for (input, grad) in input.chunks(10 * 8 * 160 * 160).zip(grad.chunks(10 * 4 * 80 * 80)) {
            let part = gradient(input, grad);
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        assert_eq!(gradient(&input, &grad), sums);
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    let spec = Conv2d::new(3, 4, 3);
    let refuse = |spec: Conv2d, shape: Shape| spec.output_shape(shape).unwrap_err();
    let too_large = refuse(spec, [1, 3, 2, 9]);
    assert!(matches!(too_large, KernelError::KernelTooLarge { side: "height", kernel: 3, padded: 2, .. }));
    assert!(matches!(
        refuse(spec, [1, 4, 9, 9]),
        KernelError::Mismatch { left_value: 4, right_value: 3, .. }
    ));
    assert!(matches!(refuse(spec, [0, 3, 9, 9]), KernelError::Zero { .. }));
    assert!(matches!(refuse(spec.with_stride(0), [1, 3, 9, 9]), KernelError::Zero { what: "stride", .. }));
    assert!(matches!(
        refuse(spec.with_dilation(0), [1, 3, 9, 9]),
        KernelError::Zero { what: "dilation", .. }
    ));
    assert!(matches!(refuse(spec.with_groups(2), [1, 3, 9, 9]), KernelError::Groups { groups: 2, .. }));
    assert!(matches!(refuse(spec.with_groups(0), [1, 3, 9, 9]), KernelError::Zero { what: "groups", .. }));
    assert!(matches!(refuse(spec.with_padding(usize::MAX), [1, 3, 9, 9]), KernelError::Overflow { .. }));
    assert!(matches!(refuse(spec.with_dilation(usize::MAX), [1, 3, 9, 9]), KernelError::Overflow { .. }));
    let error =
        conv::forward(&spec, [1, 3, 5, 5], &[0f32; 75], &[0.0; 108], None, &mut [0.0; 35]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conv2d: `out` has 35 elements, but its shape [1, 4, 3, 3] needs 36: pass the whole tensor, contiguous"
    );
}

#[test]
fn absurd_paddings_and_strides_cost_nothing() {
    let far = 1usize << 40;
    let padding = Padding { top: far, bottom: 0, left: 0, right: far };
    let spec = Conv2d { padding, stride: [far / 2, far - 1], ..Conv2d::new(2, 2, 2).with_groups(2) };
    assert_eq!(spec.output_shape([1, 2, 3, 3]).unwrap(), [1, 2, 3, 2]);
    check::<f32>(&spec, [1, 2, 3, 3], 1);
    check::<f32>(&Conv2d { groups: 1, ..spec }, [1, 2, 3, 3], 2);
    check::<f32>(&Conv2d::new(2, 3, 3).with_stride(usize::MAX), [1, 2, 4, 5], 3);
}

/// The methods of the layers of known networks, with AVX2 if the machine has it.
#[test]
fn methods_of_known_layers() {
    let dense = |c, o, k| Conv2d::new(c, o, k);
    let layers = [
        ("resnet stem 7x7/2", [4, 3, 224, 224], dense(3, 64, 7).with_stride(2).with_padding(3)),
        ("resnet 3x3 64", [4, 64, 56, 56], dense(64, 64, 3).with_padding(1)),
        ("resnet 3x3/2 64-128", [4, 64, 56, 56], dense(64, 128, 3).with_stride(2).with_padding(1)),
        ("resnet 3x3 512", [4, 512, 7, 7], dense(512, 512, 3).with_padding(1)),
        ("resnet 3x3/2 256-512", [4, 256, 14, 14], dense(256, 512, 3).with_stride(2).with_padding(1)),
        ("resnet 1x1/2 64-128", [4, 64, 56, 56], dense(64, 128, 1).with_stride(2)),
        ("resnet50 1x1 64-256", [4, 64, 56, 56], dense(64, 256, 1)),
        ("resnext 3x3 g32 128", [4, 128, 56, 56], dense(128, 128, 3).with_padding(1).with_groups(32)),
        ("lenet 5x5 1-6", [64, 1, 28, 28], dense(1, 6, 5).with_padding(2)),
        ("lenet 5x5 6-16", [64, 6, 14, 14], dense(6, 16, 5)),
        ("xception dw 3x3 728", [4, 728, 19, 19], dense(728, 728, 3).with_padding(1).with_groups(728)),
        (
            "inception 1x7 128-192",
            [1, 128, 17, 17],
            Conv2d { kernel_size: [1, 7], padding: Padding::symmetric(0, 3), ..dense(128, 192, 1) },
        ),
    ];
    let table = || {
        let method = |pass, spec: &Conv2d, shape| conv::choose(pass, spec, shape).unwrap().to_string();
        layers.map(|(name, shape, spec)| {
            let [forward, input, weight] =
                [Pass::Forward, Pass::GradInput, Pass::GradWeight].map(|pass| method(pass, &spec, shape));
            format!("{name:<22} {forward:<24} {input:<24} {weight}")
        })
    };
    let Some(table) = with_isa(Isa::Avx2, table) else { return };
    let want = include_str!("methods.txt");
    assert!(table.join("\n") == want.trim_end(), "the methods are now\n{}", table.join("\n"));
}

#[test]
fn a_method_is_refused_where_the_shape_is() {
    assert!(conv::choose(Pass::GradInput, &Conv2d::new(3, 4, 3), [1, 4, 9, 9]).is_err());
    let prepared = Prepared::new(&Conv2d::new(3, 4, 1), [9, 9], &[0f32; 12]).unwrap();
    assert_eq!(prepared.method(), Method::Packed);
    let error = prepared.forward([1, 3, 9, 8], &[0.0; 216], &Epilogue::default(), &mut [0.0; 288]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "conv2d: the input's width is 8, but the prepared width is 9: they must be equal"
    );
}
