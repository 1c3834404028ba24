//! Operations that candle lacks or gets wrong, composed of candle operations whose gradients are right.
//! They run on every candle device and in every floating type; the fast CPU paths are checked against them.

use candle_core::{DType, Device, Result, Tensor};

use crate::geometry::{Axis, Rounding, Window};

/// `rows · x · columnsᵀ` for every map of x `(n, c, h, w)`: each output pixel is a weighted sum of input pixels
/// with weights that factor into rows `(oh, h)` and columns `(ow, w)`. Average pooling of every kind and linear
/// interpolation are such sums, and their gradient is a matrix product's.
pub(crate) fn separable(x: &Tensor, rows: Matrix, columns: Matrix) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let (oh, ow) = (rows.rows, columns.rows);
    let columns = columns.transposed().tensor(x.dtype(), x.device())?;
    let y = x.contiguous()?.reshape((n * c * h, w))?.matmul(&columns)?;
    let rows = rows.transposed().tensor(x.dtype(), x.device())?;
    let y = y.reshape((n * c, h, ow))?.transpose(1, 2)?.contiguous()?.reshape((n * c * ow, h))?;
    y.matmul(&rows)?.reshape((n * c, ow, oh))?.transpose(1, 2)?.contiguous()?.reshape((n, c, oh, ow))
}

/// A small dense matrix of constants.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f64>,
}

impl Matrix {
    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    pub(crate) fn add(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.columns + column] += value;
    }

    pub(crate) fn transposed(&self) -> Self {
        let mut transposed = Self::zeros(self.columns, self.rows);
        for row in 0..self.rows {
            for column in 0..self.columns {
                transposed.add(column, row, self.values[row * self.columns + column]);
            }
        }
        transposed
    }

    pub(crate) fn tensor(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        Tensor::from_slice(&self.values, (self.rows, self.columns), device)?.to_dtype(dtype)
    }
}

/// Every `stride`-th index from `start`, `count` of them, along `dim`.
fn strided(x: &Tensor, dim: usize, start: usize, stride: usize, count: usize) -> Result<Tensor> {
    if stride == 1 {
        return x.narrow(dim, start, count);
    }
    let indices: Vec<u32> = (0..count).map(|i| (start + i * stride) as u32).collect();
    x.contiguous()?.index_select(&Tensor::from_vec(indices, count, x.device())?, dim)
}

/// Every k-th pixel along both axes, from the first.
pub(crate) fn subsample(x: &Tensor, stride: [usize; 2]) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let x = strided(x, 2, 0, stride[0], h.div_ceil(stride[0]))?;
    strided(&x, 3, 0, stride[1], w.div_ceil(stride[1]))
}

/// Adds `before` and `after` pixels of `value` along `dim`.
fn pad(x: &Tensor, dim: usize, before: usize, after: usize, value: f64) -> Result<Tensor> {
    let edge = |count: usize| -> Result<Tensor> {
        let mut dims = x.dims().to_vec();
        dims[dim] = count;
        Tensor::full(value as f32, dims, x.device())?.to_dtype(x.dtype())
    };
    match (before, after) {
        (0, 0) => Ok(x.clone()),
        (0, after) => Tensor::cat(&[x, &edge(after)?], dim),
        (before, 0) => Tensor::cat(&[&edge(before)?, x], dim),
        (before, after) => Tensor::cat(&[&edge(before)?, x, &edge(after)?], dim),
    }
}

/// The picture with its padding made of `value`, cut to just what the windows cover.
fn cover(x: &Tensor, axes: [Axis; 2], output: [usize; 2], value: f64) -> Result<Tensor> {
    let mut x = x.clone();
    for (i, axis) in axes.iter().enumerate() {
        let dim = i + 2;
        let covered = (output[i] - 1) * axis.stride + crate::geometry::reach(axis.kernel, axis.dilation);
        let missing = covered.saturating_sub(x.dim(dim)? + axis.before);
        x = pad(&x, dim, axis.before, missing, value)?;
        x = x.narrow(dim, 0, covered)?;
    }
    Ok(x)
}

/// Both axes of a window over `x`, and the output's size.
fn fit(x: &Tensor, window: &Window, rounding: Rounding) -> Result<([Axis; 2], [usize; 2])> {
    let (_, _, h, w) = x.dims4()?;
    let output = window.output([h, w], rounding).map_err(candle_core::Error::msg)?;
    Ok(([window.axis(0, h), window.axis(1, w)], output))
}

/// Convolution. candle's own has one padding, stride and dilation for both axes, and its gradient is wrong in
/// shape when the windows leave a different remainder along rows and columns; so the padding is made
/// beforehand and the picture cut to what the windows cover.
pub(crate) fn conv2d(x: &Tensor, weight: &Tensor, window: &Window, groups: usize) -> Result<Tensor> {
    let (axes, output) = fit(x, window, Rounding::Floor)?;
    let x = cover(x, axes, output, 0.0)?.contiguous()?;
    let (out_channels, in_channels, _, _) = weight.dims4()?;
    if in_channels == 1 && groups == out_channels && groups > 1 {
        return depthwise(&x, weight, window, output);
    }
    let [rows, columns] = window.stride;
    let weight = dilated(weight, window.dilation)?;
    if rows == columns {
        return x.conv2d(&weight, 0, rows, 1, groups);
    }
    subsample(&x.conv2d(&weight, 0, 1, 1, groups)?, window.stride)
}

/// The kernel with its holes written out as zeros.
pub(crate) fn dilated(weight: &Tensor, dilation: [usize; 2]) -> Result<Tensor> {
    if dilation == [1, 1] {
        return Ok(weight.clone());
    }
    let (_, _, height, width) = weight.dims4()?;
    let spread = |kernel: usize, dilation: usize| {
        let mut matrix = Matrix::zeros(crate::geometry::reach(kernel, dilation), kernel);
        (0..kernel).for_each(|tap| matrix.add(tap * dilation, tap, 1.0));
        matrix
    };
    separable(weight, spread(height, dilation[0]), spread(width, dilation[1]))
}

/// Transposed convolution without padding, of a weight `(c, out / groups, kh, kw)`; the output may be longer than
/// the last filter's end, by zeros, and is then a multiple of the stride. One matrix product gives every pixel's
/// filters; a filter that is `m` strides long then falls into `m` pieces along each axis, each of which lands in
/// the next stride's block, and laying out the blocks puts every value in its place. candle's own knows neither
/// groups nor rectangular strides.
pub(crate) fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    stride: [usize; 2],
    groups: usize,
) -> Result<Tensor> {
    let (n, channels, h, w) = x.dims4()?;
    let (_, out, kh, kw) = weight.dims4()?;
    let pieces = [kh.div_ceil(stride[0]), kw.div_ceil(stride[1])];
    let [rows, columns] = [pieces[0] * stride[0], pieces[1] * stride[1]];
    let weight = weight.pad_with_zeros(2, 0, rows - kh)?.pad_with_zeros(3, 0, columns - kw)?;
    let weight = weight.reshape((groups, channels / groups, out * rows * columns))?;
    let x = x.reshape((n, groups, channels / groups, h * w))?.permute((1, 2, 0, 3))?.contiguous()?;
    let x = x.reshape((groups, channels / groups, n * h * w))?;
    let filters = weight.transpose(1, 2)?.contiguous()?.matmul(&x)?;
    let out = out * groups;
    let filters = filters.reshape(vec![out, pieces[0], stride[0], pieces[1], stride[1], n, h, w])?;
    let mut sum: Option<Tensor> = None;
    for (down, right) in taps(pieces) {
        let piece = filters.narrow(1, down, 1)?.narrow(3, right, 1)?.squeeze(3)?.squeeze(1)?;
        let piece = piece.pad_with_zeros(4, down, pieces[0] - 1 - down)?;
        let piece = piece.pad_with_zeros(5, right, pieces[1] - 1 - right)?;
        sum = Some(match sum {
            None => piece,
            Some(sum) => (sum + piece)?,
        });
    }
    let blocks =
        sum.ok_or_else(|| candle_core::Error::msg("a transposed convolution has an empty kernel"))?;
    let [height, width] = [(h + pieces[0] - 1) * stride[0], (w + pieces[1] - 1) * stride[1]];
    blocks.permute(vec![3, 0, 4, 1, 5, 2])?.contiguous()?.reshape((n, out, height, width))
}

/// One filter for each channel, as one multiplication and addition for each tap: candle would run one
/// convolution for each channel.
fn depthwise(x: &Tensor, weight: &Tensor, window: &Window, output: [usize; 2]) -> Result<Tensor> {
    let channels = weight.dim(0)?;
    let mut sum: Option<Tensor> = None;
    for (row, column) in taps(window.kernel) {
        let tap = weight.narrow(2, row, 1)?.narrow(3, column, 1)?.reshape((1, channels, 1, 1))?;
        let term = shifted(x, window, output, row, column)?.broadcast_mul(&tap)?;
        sum = Some(match sum {
            None => term,
            Some(sum) => (sum + term)?,
        });
    }
    sum.ok_or_else(|| candle_core::Error::msg("a convolution has an empty kernel"))
}

fn taps([rows, columns]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

/// For every window, the pixel under one tap.
fn shifted(x: &Tensor, window: &Window, output: [usize; 2], row: usize, column: usize) -> Result<Tensor> {
    let x = strided(x, 2, row * window.dilation[0], window.stride[0], output[0])?;
    strided(&x, 3, column * window.dilation[1], window.stride[1], output[1])
}

/// Maximum over windows. A fold over the taps: a later pixel replaces an earlier one only if it is greater, so
/// of equal ones the first gets the gradient, as in PyTorch; NaN wins over everything.
pub(crate) fn max_pool2d(x: &Tensor, window: &Window, rounding: Rounding) -> Result<Tensor> {
    let (axes, output) = fit(x, window, rounding)?;
    let x = cover(x, axes, output, f64::NEG_INFINITY)?;
    let mut best: Option<Tensor> = None;
    for (row, column) in taps(window.kernel) {
        let pixel = shifted(&x, window, output, row, column)?.contiguous()?;
        best = Some(match best {
            None => pixel,
            Some(best) => {
                let wins = (pixel.gt(&best)? + pixel.ne(&pixel)?)?;
                wins.where_cond(&pixel, &best)?
            }
        });
    }
    best.ok_or_else(|| candle_core::Error::msg("a pool has an empty kernel"))
}

/// Where `x` is above zero, `x` (and the gradient); elsewhere zero (and none); NaN stays. candle's own ReLU
/// passes the gradient at zero.
pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    let zeros = x.zeros_like()?;
    x.le(&zeros)?.where_cond(&zeros, x)
}
