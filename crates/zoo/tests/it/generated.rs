//! Weights that this side and the golden script generate alike, from each tensor's name.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use zoo_layers::{Graph, rng::Stream};

/// The values of the tensor called `name`, as `make_goldens.py` says.
pub(crate) fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let mut stream = Stream::from_key(zoo_layers::rng::hash_name(name));
    let fan_in: usize = shape.iter().skip(1).product();
    let [root3, root6] = [3.0, 6.0].map(|numerator: f64| (numerator / fan_in as f64).sqrt() as f32);
    let last = name.rsplit('.').next().unwrap_or(name);
    let ends = |suffix: &str| name.ends_with(suffix);
    let rule: Box<dyn Fn(f32) -> f32> = match (shape, last) {
        ([_, 1, _, _], _) => Box::new(move |f| f * root3),
        ([_, _, ..], _) => Box::new(move |f| f * root6),
        (_, "running_var") => Box::new(|f| 1.0 + 0.5 * f),
        (_, "running_mean" | "bias") => Box::new(|f| 0.1 * f),
        _ if ends("bn2.weight") || ends("bn3.weight") => Box::new(|f| (1.0 + 0.1 * f) * 0.5),
        _ => Box::new(|f| 1.0 + 0.1 * f),
    };
    let count: usize = shape.iter().product();
    (0..count).map(|_| rule((2.0 * stream.uniform() - 1.0) as f32)).collect()
}

/// A generated picture or batch.
pub(crate) fn input(name: &str, shape: &[usize], scale: f64) -> Tensor {
    let mut stream = Stream::from_key(zoo_layers::rng::hash_name(name));
    let count: usize = shape.iter().product();
    let root = 3.0_f64.sqrt() as f32;
    let draw = |_| (2.0 * stream.uniform() - 1.0) as f32 * root * scale as f32;
    Tensor::from_vec((0..count).map(draw).collect(), shape, &Device::Cpu).unwrap()
}

/// All parameters of `graph`, generated.
pub(crate) fn weights(graph: &Graph) -> HashMap<String, Tensor> {
    let tensor = |param: &zoo_layers::Param| {
        let values = values(&param.name, &param.shape);
        (param.name.clone(), Tensor::from_vec(values, param.shape.as_slice(), &Device::Cpu).unwrap())
    };
    graph.params().map(tensor).collect()
}
