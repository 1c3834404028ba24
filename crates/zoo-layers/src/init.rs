//! How a fresh parameter gets its values. Each paper decides; an operation only has PyTorch's default.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

use crate::rng::Stream;

/// Which side of a layer a variance is kept on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// Inputs of one output value: keeps the forward signal's variance.
    In,
    /// Outputs that one input value reaches: keeps the gradient's variance.
    Out,
}

/// A parameter's initial distribution.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// One number everywhere.
    Constant(f64),
    /// Uniform in `[-bound, bound)`.
    Uniform {
        /// Half the width.
        bound: f64,
    },
    /// Uniform in `[-gain / sqrt(fan_in), gain / sqrt(fan_in))`. With a gain of 1 it is PyTorch's default for
    /// convolutions and linear layers (there spelled `kaiming_uniform_(a=sqrt(5))`).
    UniformFanIn {
        /// The numerator.
        gain: f64,
    },
    /// Uniform with variance `2 / (fan_in + fan_out)` (Glorot and Bengio 2010, equation 16).
    XavierUniform,
    /// Normal with the given standard deviation.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Normal, redrawn beyond two standard deviations.
    TruncatedNormal {
        /// Standard deviation before truncation.
        std: f64,
    },
    /// Normal with variance `2 / fan`: keeps the variance through ReLUs (He et al. 2015, "Delving deep into
    /// rectifiers", equations 10 and 14).
    KaimingNormal(Fan),
    /// The kernel of bilinear interpolation on the diagonal of channels, zero elsewhere (Long et al. 2015,
    /// section 3.3): a transposed convolution that starts as bilinear upsampling.
    Bilinear,
    /// Given values, in row-major order.
    Values(Arc<[f32]>),
}

impl Init {
    /// All zeros.
    pub const ZEROS: Self = Self::Constant(0.0);
    /// All ones.
    pub const ONES: Self = Self::Constant(1.0);

    /// Draws a parameter of `shape` (outputs first) from `stream`.
    pub fn sample(&self, shape: &[usize], stream: Stream, dtype: DType, device: &Device) -> Result<Tensor> {
        let count: usize = shape.iter().product();
        let receptive: usize = shape.iter().skip(2).product();
        let fan_in = shape.iter().skip(1).product::<usize>().max(1) as f64;
        let fan_out = (shape.first().copied().unwrap_or(1) * receptive).max(1) as f64;
        let uniform = |bound: f64| draw(count, &stream, 1, |s| s.range(-bound, bound));
        let normal = |std: f64| draw(count, &stream, 2, |s| std * s.normal());
        let values = match self {
            Self::Constant(value) => vec![*value as f32; count],
            Self::Uniform { bound } => uniform(*bound),
            Self::UniformFanIn { gain } => uniform(gain / fan_in.sqrt()),
            Self::XavierUniform => uniform((6.0 / (fan_in + fan_out)).sqrt()),
            Self::Normal { std } => normal(*std),
            Self::TruncatedNormal { std } => {
                let mut stream = stream;
                (0..count).map(|_| (std * truncated(&mut stream)) as f32).collect()
            }
            Self::KaimingNormal(fan) => {
                let fan = if *fan == Fan::In { fan_in } else { fan_out };
                normal((2.0 / fan).sqrt())
            }
            Self::Bilinear => bilinear(shape),
            Self::Values(values) => values.to_vec(),
        };
        Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
    }
}

/// Values of which each takes `numbers` of the stream, so that threads can share them: the bits are those of one.
fn draw(
    count: usize,
    stream: &Stream,
    numbers: u64,
    value: impl Fn(&mut Stream) -> f64 + Sync + Send,
) -> Vec<f32> {
    let mut values = vec![0.0; count];
    zoo_kernels::pieces(&mut values, 1 << 14, |start, piece| {
        let mut stream = stream.clone().after(start as u64 * numbers);
        piece.fill_with(|| value(&mut stream) as f32);
    });
    values
}

/// Standard normal, drawn again until it lies within two deviations: it takes as many numbers as that needs.
fn truncated(stream: &mut Stream) -> f64 {
    loop {
        let z = stream.normal();
        if z.abs() <= 2.0 {
            return z;
        }
    }
}

/// Weights (in, out, k, k) of a transposed convolution that interpolates bilinearly.
fn bilinear(shape: &[usize]) -> Vec<f32> {
    let &[inputs, outputs, height, width] = shape else {
        return vec![0.0; shape.iter().product()];
    };
    let tent = |size: usize| -> Vec<f64> {
        let factor = size.div_ceil(2) as f64;
        let centre = if size % 2 == 1 { factor - 1.0 } else { factor - 0.5 };
        (0..size).map(|i| 1.0 - (i as f64 - centre).abs() / factor).collect()
    };
    let (rows, columns) = (tent(height), tent(width));
    let mut values = vec![0.0; inputs * outputs * height * width];
    for channel in 0..inputs.min(outputs) {
        let start = (channel * outputs + channel) * height * width;
        for (y, row) in rows.iter().enumerate() {
            for (x, column) in columns.iter().enumerate() {
                values[start + y * width + x] = (row * column) as f32;
            }
        }
    }
    values
}
