//! SmoothGrad: the picture's gradient, without the noise of a single one.

use candle_core::{DType, Tensor};
use zoo_layers::{Graph, Mode, Net, Route, rng::Stream};

use crate::{Error, Heat, Result, Target};

/// How many noisy copies, and how noisy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothGrad {
    /// Copies of the picture.
    pub samples: usize,
    /// Standard deviation of the noise, as a share of the picture's greatest value less its smallest.
    pub noise: f64,
    /// From what the noise is drawn.
    pub seed: u64,
}

impl Default for SmoothGrad {
    fn default() -> Self {
        Self { samples: 25, noise: 0.15, seed: 0 }
    }
}

/// For each pixel the greatest, over the channels, of the mean gradient's size.
pub(crate) fn smooth_grad(
    net: &Net,
    picture: &Tensor,
    target: Target,
    options: SmoothGrad,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Heat> {
    let SmoothGrad { samples, noise, seed } = options;
    if samples == 0 {
        let wanted = "at least 1".into();
        return Err(Error::Option { what: "the number of noisy copies", value: "0".into(), wanted });
    }
    if !noise.is_finite() || noise < 0.0 {
        let wanted = "a share of 0 or more".into();
        return Err(Error::Option { what: "the noise", value: noise.to_string(), wanted });
    }
    let (_, _, height, width) = picture.dims4()?;
    let values = picture.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    let spread = noise * f64::from(high - low);
    let mut random = Stream::new(seed, "smoothgrad");
    let graph = net.graph();
    let output = graph.main_output();
    let route = Route::new(Mode::Eval, [Graph::PICTURE], [output.node]).with_gradients_of([Graph::PICTURE]);
    let mut sums = vec![0.0_f64; values.len()];
    for sample in 0..samples {
        let noisy = values.iter().map(|value| value + (spread * random.normal()) as f32).collect();
        let noisy = Tensor::from_vec(noisy, picture.shape(), picture.device())?.to_dtype(picture.dtype())?;
        let pass = net.pass(&route, &[&noisy])?;
        let score = target.score(&pass.outputs()[&output.name])?;
        let gradients = pass.gradients(&score.backward()?)?;
        if let Some(gradient) = gradients.nodes.get(&Graph::PICTURE) {
            let gradient = gradient.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            sums.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += f64::from(value));
        }
        progress(sample + 1, samples);
    }
    let mut heat = vec![0.0_f32; height * width];
    for plane in sums.chunks_exact(height * width) {
        for (most, sum) in heat.iter_mut().zip(plane) {
            *most = most.max((sum / samples as f64).abs() as f32);
        }
    }
    Heat::new(height, width, heat)
}
