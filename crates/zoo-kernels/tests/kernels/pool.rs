//! Pools and bilinear resampling against plain loops.

use crate::common::{assert_close, assert_gradient, dot, numbers, on_every_isa, tolerance, unwritten, wide};
use proptest::prelude::*;
use zoo_kernels::conv::Padding;
use zoo_kernels::pool::{self, Pool2d};
use zoo_kernels::upsample::{self, Corners};
use zoo_kernels::{Element, KernelError, Shape};

/// For each output pixel of a plane: its window's pixels in order, and what an average divides by.
fn windows(pool: &Pool2d, [_, _, h, w]: Shape, [_, _, oh, ow]: Shape) -> Vec<(Vec<usize>, usize)> {
    let p = pool.padding;
    let side = |o: usize, i: usize, size: usize, before: usize, after: usize| {
        let start = (o * pool.stride[i]) as isize - before as isize;
        let inside: Vec<usize> = (0..pool.kernel_size[i])
            .map(|k| start + (k * pool.dilation[i]) as isize)
            .filter(|&at| at >= 0 && at < size as isize)
            .map(|at| at as usize)
            .collect();
        let end = (start + pool.kernel_size[i] as isize).min((size + after) as isize);
        let count = if pool.count_include_pad { (end - start) as usize } else { inside.len() };
        (inside, count)
    };
    let pixel = |oy: usize, ox: usize| {
        let (rows, down) = side(oy, 0, h, p.top, p.bottom);
        let (columns, across) = side(ox, 1, w, p.left, p.right);
        (rows.iter().flat_map(|y| columns.iter().map(move |x| y * w + x)).collect(), down * across)
    };
    (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))).map(|(oy, ox)| pixel(oy, ox)).collect()
}

fn check<T: Element>(pool: &Pool2d, shape: Shape, input: &[T], seed: u64) {
    let output = pool.output_shape(shape).unwrap();
    let windows = windows(pool, shape, output);
    let (pixels, planes) = (shape[2] * shape[3], shape[0] * shape[1]);
    let (inputs, outputs) = (pixels * planes, windows.len() * planes);
    let grad = numbers::<T>(seed + 1, outputs);
    let x = wide(input);
    let (mut most, mut to_most) = (vec![f64::NEG_INFINITY; outputs], vec![0.0; inputs]);
    let (mut mean, mut to_mean) = (vec![0.0; outputs], vec![0.0; inputs]);
    for o in 0..outputs {
        let (plane, (window, count)) = (o / windows.len() * pixels, &windows[o % windows.len()]);
        let mut winner = window.first().map(|i| plane + i);
        for i in window.iter().map(|i| plane + i) {
            if x[i] > most[o] || (x[i].is_nan() && !most[o].is_nan()) {
                (most[o], winner) = (x[i], Some(i));
            }
            mean[o] += x[i] / *count as f64;
            to_mean[i] += grad[o].to_f64() / *count as f64;
        }
        if let Some(winner) = winner {
            to_most[winner] += grad[o].to_f64();
        }
    }
    on_every_isa(|isa| {
        let what = |pass: &str| format!("{pass} of {pool:?} on {shape:?} with {isa:?}");
        let (mut out, mut to) = (unwritten::<T>(outputs), unwritten::<T>(inputs));
        pool::max_forward(pool, shape, input, &mut out).unwrap();
        assert_close(&what("max"), &out, &most, 0.0);
        pool::max_backward(pool, shape, input, &out, &grad, &mut to).unwrap();
        assert_close(&what("max backward"), &to, &to_most, tolerance::<T>());
        if pool.dilation != [1, 1] {
            assert!(pool::average_forward(pool, shape, input, &mut out).is_err());
        } else if x.iter().all(|x| x.is_finite()) {
            pool::average_forward(pool, shape, input, &mut out).unwrap();
            assert_close(&what("average"), &out, &mean, tolerance::<T>());
            pool::average_backward(pool, shape, &grad, &mut to).unwrap();
            assert_close(&what("average backward"), &to, &to_mean, tolerance::<T>());
        }
    });
}

prop_compose! {
    fn any_pool()(
        kernel in [1..5usize, 1..5usize], stride in [1..5usize, 1..5usize],
        dilation in prop_oneof![2 => Just([1, 1]), 1 => [1..4usize, 1..4usize]],
        pads in [0..9usize, 0..9usize, 0..9usize, 0..9usize], ceil_mode: bool, count_include_pad: bool,
        planes in [1..3usize, 1..4usize], extra in [0..12usize, 0..40usize], seed in any::<u32>(),
    ) -> (Pool2d, Shape, u64) {
        let reach = [0, 1].map(|i: usize| (kernel[i] - 1) * dilation[i] + 1);
        let pad = |i: usize, p: usize| p % (reach[i] / 2 + 1);
        let padding = Padding {
            top: pad(0, pads[0]), bottom: pad(0, pads[1]), left: pad(1, pads[2]), right: pad(1, pads[3]),
        };
        let pool = Pool2d { kernel_size: kernel, stride, padding, dilation, ceil_mode, count_include_pad };
        let side = |i: usize, p: usize| reach[i].saturating_sub(p).max(1) + extra[i];
        let shape = [
            planes[0], planes[1], side(0, padding.top + padding.bottom), side(1, padding.left + padding.right),
        ];
        (pool, shape, u64::from(seed))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pool_agrees_with_the_loop((pool, shape, seed) in any_pool()) {
        let len = shape.iter().product();
        check::<f32>(&pool, shape, &numbers(seed, len), seed);
        check::<f64>(&pool, shape, &numbers(seed, len), seed);
        // Few different values: ties, which the first pixel wins, and infinities and NaN among them.
        let few: Vec<f32> = numbers::<f32>(seed, len).iter().map(|x| (x * 2.0).round()).collect();
        check(&pool, shape, &few, seed);
        let odd = few.iter().enumerate().map(|(i, &x)| match i % 23 {
            7 => f32::NEG_INFINITY,
            15 => f32::NAN,
            _ => x,
        });
        check(&pool, shape, &odd.collect::<Vec<_>>(), seed);
    }

    #[test]
    fn adaptive_averages_agree_with_the_loop(
        size in [1..9usize, 1..9usize], sides in [1..20usize, 1..20usize], seed in any::<u32>(),
    ) {
        let shape @ [_, _, h, w] = [2, 3, sides[0], sides[1]];
        let (x, g) = (numbers::<f64>(seed.into(), 6 * h * w), numbers::<f64>(9, 6 * size[0] * size[1]));
        let (mut out, mut to) = (vec![0.0; g.len()], vec![0.0; x.len()]);
        for (o, out) in out.iter_mut().enumerate() {
            let (plane, oy, ox) = (o / (size[0] * size[1]), o / size[1] % size[0], o % size[1]);
            let window = |o: usize, i: usize| o * sides[i] / size[i]..((o + 1) * sides[i]).div_ceil(size[i]);
            let (rows, columns) = (window(oy, 0), window(ox, 1));
            let count = (rows.len() * columns.len()) as f64;
            for (y, x_) in rows.flat_map(|y| columns.clone().map(move |x| (y, x))) {
                let i = (plane * h + y) * w + x_;
                *out += x[i] / count;
                to[i] += g[o] / count;
            }
        }
        on_every_isa(|_| {
            let (mut got, mut got_to) = (unwritten(g.len()), unwritten(x.len()));
            pool::adaptive_average_forward(size, shape, &x, &mut got).unwrap();
            assert_close("adaptive", &got, &out, 1e-12);
            pool::adaptive_average_backward(size, shape, &g, &mut got_to).unwrap();
            assert_close("adaptive backward", &got_to, &to, 1e-12);
        });
    }

    #[test]
    fn bilinear_agrees_with_the_formula(
        size in [1..20usize, 1..20usize], sides in [1..12usize, 1..12usize], centres: bool,
    ) {
        let corners = if centres { Corners::Centres } else { Corners::Edges };
        let shape @ [_, _, h, w] = [2, 2, sides[0], sides[1]];
        let (x, g) = (numbers::<f64>(1, 4 * h * w), numbers::<f64>(2, 4 * size[0] * size[1]));
        let place = |o: usize, i: usize| {
            if centres {
                if size[i] == 1 { 0.0 } else { (o * (sides[i] - 1)) as f64 / (size[i] - 1) as f64 }
            } else {
                ((o as f64 + 0.5) * sides[i] as f64 / size[i] as f64 - 0.5).max(0.0)
            }
        };
        // The weight of input pixel `p` for a place is that of a tent, at the far border of a plateau.
        let weight = |place: f64, p: usize, i: usize| {
            if p + 1 == sides[i] && place > p as f64 { 1.0 } else { (1.0 - (place - p as f64).abs()).max(0.0) }
        };
        let want: Vec<f64> = (0..g.len()).map(|o| {
            let (plane, oy, ox) = (o / (size[0] * size[1]), o / size[1] % size[0], o % size[1]);
            (0..h * w).map(|i| {
                let (y, x_) = (i / w, i % w);
                x[plane * h * w + i] * weight(place(oy, 0), y, 0) * weight(place(ox, 1), x_, 1)
            }).sum()
        }).collect();
        let run = |x: &[f64]| {
            let mut out = unwritten(g.len());
            upsample::forward(corners, size, shape, x, &mut out).unwrap();
            out
        };
        on_every_isa(|_| {
            assert_close("bilinear", &run(&x), &want, 1e-12);
            let mut to = unwritten(x.len());
            upsample::backward(corners, size, shape, &g, &mut to).unwrap();
            assert_gradient("bilinear dx", &x, &to, |x| dot(&run(x), &g));
        });
    }
}

#[test]
fn a_plain_pool_has_the_whole_gradient() {
    let pool = Pool2d::new(2, 2);
    let mut to = [9.0f32; 4];
    pool::max_backward(&pool, [1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0], &[4.0], &[1.0], &mut to).unwrap();
    assert_eq!(to, [0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn ceil_mode_counts_as_pytorch_does() {
    let size = |pool: Pool2d, side: usize| pool.output_shape([1, 1, side, side]).unwrap()[2];
    assert_eq!(size(Pool2d::new(3, 2), 112), 55);
    assert_eq!(size(Pool2d::new(3, 2).with_ceil_mode(true), 112), 56);
    // The window after the last would start in the padding behind the input.
    assert_eq!(size(Pool2d::new(2, 2).with_padding(1).with_ceil_mode(true), 3), 2);
    assert_eq!(size(Pool2d::new(2, 3).with_padding(1).with_ceil_mode(true), 5), 2);
}

#[test]
fn what_does_not_fit_is_refused() {
    let refuse = |pool: Pool2d, shape: Shape| pool.output_shape(shape).unwrap_err();
    assert!(matches!(
        refuse(Pool2d::new(3, 2).with_padding(2), [1, 1, 9, 9]),
        KernelError::PoolPadding { .. }
    ));
    assert!(matches!(refuse(Pool2d::new(3, 0), [1, 1, 9, 9]), KernelError::Zero { .. }));
    assert!(matches!(refuse(Pool2d::new(0, 1), [1, 1, 9, 9]), KernelError::Zero { .. }));
    assert!(matches!(refuse(Pool2d::new(3, 1), [1, 1, 2, 9]), KernelError::KernelTooLarge { .. }));
    assert!(matches!(refuse(Pool2d::new(3, 1), [1, 0, 9, 9]), KernelError::Zero { .. }));
    assert!(matches!(refuse(Pool2d::new(usize::MAX, 1), [1, 1, 2, 9]), KernelError::KernelTooLarge { .. }));
    assert!(matches!(
        refuse(Pool2d::new(3, 1).with_padding(usize::MAX), [1, 1, 2, 9]),
        KernelError::Overflow { .. }
    ));
    assert!(pool::max_forward(&Pool2d::new(2, 2), [1, 1, 4, 4], &[0f32; 15], &mut [0.0; 4]).is_err());
    assert!(upsample::forward(Corners::Edges, [0, 1], [1, 1, 1, 1], &[0f32], &mut []).is_err());
}
