//! The same bits whatever the number of threads and the size of the caches: this test starts itself with 1, 2 and 4 threads, and
//! with hardly any cache.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;

use crate::common::{numbers, unwritten};
use zoo_kernels::conv::{self, Conv2d};
use zoo_kernels::gemm;
use zoo_kernels::loss::Loss;
use zoo_kernels::lrn::{self, Lrn, LrnForm};
use zoo_kernels::nhwc::{Arena, Bands, Conv, Fold, Map, Method, Tail, from_planes};
use zoo_kernels::norm::{self, Gradients, Norm, Saved, Stats};
use zoo_kernels::pool::{self, Pool2d};
use zoo_kernels::upsample::{self, Corners};
use zoo_kernels::{Activation, Caches, Shape, activation, scale};

/// Set for the processes that only compute, and for those of them that shall go by small caches.
const CHILD: &str = "ZOO_KERNELS_THREADS_CHILD";
const SMALL: &str = "ZOO_KERNELS_SMALL_CACHES";

/// What layers of answers give, by each method and in bands.
fn answers(mut add: impl FnMut(&[f32])) {
    let run = |input: Shape, output: Shape, work: &dyn Fn(&mut Arena, Map, Map)| -> Vec<f32> {
        let from = Map::dense(0, input);
        let len = from.shape.iter().product();
        let to = Map::dense(len, output);
        let mut arena = Arena::new(len + output.iter().product::<usize>());
        from_planes(&numbers(8, len), &mut arena, from).unwrap();
        work(&mut arena, from, to);
        arena[len..].to_vec()
    };
    let make = |spec: Conv2d, shape: Shape, method: Method| {
        let weight = numbers(9, spec.weight_shape().iter().product());
        Conv::new(&spec, shape, &weight, Fold::default(), method).unwrap()
    };
    let tail = Tail { residual: None, activation: Activation::Identity };
    let three = Conv2d::new(48, 96, 3).with_padding(1);
    for (spec, method) in [
        (three, Method::Winograd4),
        (three, Method::Winograd2),
        (three, Method::Direct),
        (three, Method::Exact),
        (Conv2d::new(48, 200, 1), Method::Direct),
    ] {
        let shape = [2, 48, 60, 61];
        let conv = make(spec, shape, method);
        add(&run(shape, conv.output(), &|arena, from, to| conv.run(arena, from, to, tail).unwrap()));
    }
    let (input, inner) = ([2, 16, 70, 71], [2, 96, 70, 71]);
    let depthwise = make(Conv2d::new(96, 96, 3).with_padding(1).with_groups(96), inner, Method::Depthwise);
    let expand = make(Conv2d::new(16, 96, 1), input, Method::Direct);
    let bands = Bands::new(Some((expand, Activation::Relu6)), (depthwise, Activation::Relu6), None).unwrap();
    add(&run(input, inner, &|arena, from, to| bands.run(arena, from, to, None).unwrap()));
}

/// One hash over the bits of every kernel's results, at sizes that several threads share.
fn everything() -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut add = |values: &[f32]| values.iter().for_each(|x| x.to_bits().hash(&mut hasher));
    for (spec, side) in [
        (Conv2d::new(64, 96, 3).with_padding(1), 28),
        (Conv2d::new(32, 200, 1), 28),
        (Conv2d::new(3, 32, 7).with_stride(2).with_padding(3), 65),
        (Conv2d::new(64, 64, 3).with_padding(1).with_groups(8).with_dilation(1), 20),
        (Conv2d::new(96, 96, 3).with_padding(1).with_groups(96), 31),
        (Conv2d::new(300, 40, 3).with_padding(1), 7),
        // Its weight's gradient is more than a core's cache holds.
        (Conv2d::new(500, 500, 1), 12),
    ] {
        let shape = [3, spec.in_channels, side, side + 1];
        let output = spec.output_shape(shape).unwrap();
        let (x, w) = (numbers(1, shape.iter().product()), numbers(2, spec.weight_shape().iter().product()));
        let g: Vec<f32> = numbers(3, output.iter().product());
        let (mut out, mut dx, mut dw) = (unwritten(g.len()), unwritten(x.len()), unwritten(w.len()));
        let mut db = unwritten(spec.out_channels);
        conv::forward(&spec, shape, &x, &w, None, &mut out).unwrap();
        conv::grad_input(&spec, shape, &g, &w, &mut dx).unwrap();
        conv::grad_weight(&spec, shape, &x, &g, &mut dw, Some(&mut db)).unwrap();
        [out, dx, dw, db].iter().for_each(|values| add(values));
    }
    let shape @ [n, c, h, w] = [4, 24, 40, 41];
    let len = n * c * h * w;
    let (x, g) = (numbers::<f32>(4, len), numbers::<f32>(5, len));
    let mut out = unwritten(len);
    let (gamma, beta): (Vec<f32>, Vec<f32>) = (numbers(6, c), numbers(7, c));
    let norm = Norm { gamma: &gamma, beta: &beta, epsilon: 1e-5, activation: Activation::Relu };
    let (mut mean, mut variance) = (unwritten(c), unwritten(c));
    let mut stats = Stats { mean: &mut mean, variance: &mut variance };
    norm::train_forward(&norm, shape, &x, None, &mut out, &mut stats).unwrap();
    let (mut dx, mut dgamma, mut dbeta) = (unwritten(len), unwritten(c), unwritten(c));
    let gradients = Gradients { input: &mut dx, residual: None, gamma: &mut dgamma, beta: &mut dbeta };
    let saved = Saved::Batch { mean: &mean, variance: &variance };
    norm::backward(&norm, saved, shape, &x, None, &g, gradients).unwrap();
    [&out, &dx, &dgamma, &dbeta, &mean, &variance].iter().for_each(|values| add(values));

    let pool = Pool2d::new(3, 2).with_padding(1);
    let small: usize = pool.output_shape(shape).unwrap().iter().product();
    let mut pooled = unwritten(small);
    pool::max_forward(&pool, shape, &x, &mut pooled).unwrap();
    pool::max_backward(&pool, shape, &x, &pooled, &g[..small], &mut dx).unwrap();
    [&pooled, &dx].iter().for_each(|values| add(values));
    pool::average_forward(&pool, shape, &x, &mut pooled).unwrap();
    pool::average_backward(&pool, shape, &g[..small], &mut dx).unwrap();
    [&pooled, &dx].iter().for_each(|values| add(values));

    let mut large = unwritten(n * c * 70 * 50);
    upsample::forward(Corners::Edges, [70, 50], shape, &x, &mut large).unwrap();
    upsample::backward(Corners::Edges, [70, 50], shape, &large, &mut dx).unwrap();
    [&large, &dx].iter().for_each(|values| add(values));
    let lrn = Lrn { size: 5, alpha: 1e-2, beta: 0.75, k: 2.0, form: LrnForm::Sum };
    lrn::forward(&lrn, shape, &x, &mut out).unwrap();
    lrn::backward(&lrn, shape, &x, &g, &mut dx).unwrap();
    [&out, &dx].iter().for_each(|values| add(values));
    activation::forward(Activation::Tanh, &x, &mut out).unwrap();
    add(&out);
    let mut ds = unwritten(n * c);
    scale::backward(shape, &x, &g[..n * c], &g, &mut dx, &mut ds).unwrap();
    [&dx, &ds].iter().for_each(|values| add(values));
    let labels: Vec<i64> = (0..n * h * w).map(|i| (i % c) as i64).collect();
    let loss = Loss { dice: 1.0, focal: 1.0, ..Loss::CROSS_ENTROPY };
    add(&[loss.gradient(shape, &x, &labels, &mut dx).unwrap() as f32]);
    add(&dx);
    let mut product = unwritten(64 * 500);
    gemm::linear([64, 300, 500], &x[..64 * 300], &g[..300 * 500], None, &mut product).unwrap();
    add(&product);
    answers(add);
    hasher.finish()
}

#[test]
fn results_do_not_depend_on_the_threads() {
    if std::env::var_os(CHILD).is_some() {
        if std::env::var_os(SMALL).is_some() {
            assert!(Caches { second: 0, last: 0 }.assume());
            assert!(!Caches::UNKNOWN.assume(), "once is for ever");
        }
        std::fs::write(std::env::var_os(CHILD).unwrap(), everything().to_string()).unwrap();
        return;
    }
    let hashes = [("1", false), ("2", false), ("4", false), ("2", true)].map(|(threads, small)| {
        let name = format!("zoo-kernels-{}-{threads}-{small}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "threads::results_do_not_depend_on_the_threads"])
            .env("RAYON_NUM_THREADS", threads)
            .env(CHILD, &file);
        if small {
            command.env(SMALL, "1");
        }
        let status = command.output().unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        let hash = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        hash
    });
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
}
