//! Occlusion: a grey square is moved over the picture.

use candle_core::{D, DType, Tensor};

use crate::{Error, Heat, Result};

/// Pictures that are answered at once.
const BATCH: usize = 8;

/// The square and its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occlusion {
    /// Side of the square in pixels of the prepared picture; 0 for a seventh of the shorter side.
    pub side: usize,
    /// Pixels from one place to the next; 0 for half a side.
    pub step: usize,
}

/// For each pixel of one prepared picture `(1, c, h, w)` by how much the class becomes less likely where the square covers it,
/// on average. It takes no gradients, so that whatever answers can be asked: `answer` gives pictures `(n, c, h, w)` a number
/// for each class.
///
/// # Errors
/// A square that is larger than the picture, those of `answer`.
pub fn occlusion<E: From<Error> + From<candle_core::Error>>(
    mut answer: impl FnMut(&Tensor) -> Result<Tensor, E>,
    picture: &Tensor,
    class: usize,
    options: Occlusion,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Heat, E> {
    let (_, channels, height, width) = picture.dims4()?;
    let short = height.min(width);
    let side = if options.side == 0 { (short / 7).max(1) } else { options.side };
    let step = if options.step == 0 { side.div_ceil(2) } else { options.step };
    if side > short {
        let (what, value) = ("the square's side", side.to_string());
        let wanted = format!("at most the picture's {short} pixels");
        return Err(Error::Option { what, value, wanted }.into());
    }
    let starts = |length: usize| {
        let mut starts: Vec<usize> = (0..=length - side).step_by(step).collect();
        if starts.last() != Some(&(length - side)) {
            starts.push(length - side);
        }
        starts
    };
    let places: Vec<(usize, usize)> =
        starts(height).iter().flat_map(|y| starts(width).into_iter().map(move |x| (*y, x))).collect();
    let plain = likelihoods(&answer(picture)?, class)?[0];
    let values = picture.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let (mut heat, mut covered) = (vec![0.0_f32; height * width], vec![0.0_f32; height * width]);
    for (done, some) in places.chunks(BATCH).enumerate() {
        let mut batch = Vec::with_capacity(some.len() * values.len());
        for &(top, left) in some {
            let mut copy = values.clone();
            for row in (0..channels).flat_map(|c| (top..top + side).map(move |y| (c * height + y) * width)) {
                // The mean of a normalised picture is zero.
                copy[row + left..row + left + side].fill(0.0);
            }
            batch.extend(copy);
        }
        let batch = Tensor::from_vec(batch, (some.len(), channels, height, width), picture.device())?;
        let answers = answer(&batch.to_dtype(picture.dtype())?)?;
        for (&(top, left), likelihood) in some.iter().zip(likelihoods(&answers, class)?) {
            for row in (top..top + side).map(|y| y * width) {
                for place in row + left..row + left + side {
                    heat[place] += plain - likelihood;
                    covered[place] += 1.0;
                }
            }
        }
        progress((done * BATCH + some.len()).min(places.len()), places.len());
    }
    let mean = heat.iter().zip(&covered).map(|(sum, times)| (sum / times.max(1.0)).max(0.0));
    Ok(Heat::new(height, width, mean.collect())?)
}

/// How likely the class is, for each picture; of a single output the output itself.
fn likelihoods(answers: &Tensor, class: usize) -> candle_core::Result<Vec<f32>> {
    let answers = match answers.rank() {
        4 => answers.mean(D::Minus1)?.mean(D::Minus1)?,
        _ => answers.clone(),
    };
    let answers = match answers.dim(1)? {
        1 => answers,
        _ => candle_nn::ops::softmax(&answers, 1)?,
    };
    answers.narrow(1, class, 1)?.squeeze(1)?.to_dtype(DType::F32)?.to_vec1()
}
