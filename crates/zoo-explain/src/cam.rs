//! Class activation maps: a layer's maps added up, each weighted by what the score makes of it.

use candle_core::{D, Tensor};
use zoo_layers::{Graph, Mode, Net, Route};

use crate::{Heat, Result, Target};

/// A layer's maps and the score's gradients by them, both `(c, h, w)`.
struct Seen {
    maps: Tensor,
    gradients: Tensor,
}

/// Runs to the answer and back to the layer, and no further.
fn seen(net: &Net, picture: &Tensor, target: Target) -> Result<Seen> {
    let graph = net.graph();
    let (at, output) = (target.node(), graph.main_output());
    let maps = net.run(&[(Graph::PICTURE, picture)], &[at], Mode::Eval)?.remove(0).detach();
    // What goes past the layer to the answer, of a network with shortcuts or one that reads the picture's size, is computed
    // from the picture again, without a gradient.
    let beside = if at == Graph::PICTURE { vec![] } else { vec![Graph::PICTURE] };
    let given = [&maps, picture];
    let route = Route::new(Mode::Eval, [at].into_iter().chain(beside), [output.node]).with_gradients_of([at]);
    let pass = net.pass(&route, &given[..route.sources().len()])?;
    let score = target.score(&pass.outputs()[&output.name])?;
    let gradients = pass.gradients(&score.backward()?)?;
    let gradients = match gradients.nodes.get(&at) {
        Some(gradients) => gradients.squeeze(0)?,
        None => maps.zeros_like()?.squeeze(0)?,
    };
    Ok(Seen { maps: maps.squeeze(0)?, gradients })
}

/// Equations 1 and 2: `relu(Σ_k w_k A_k)` with `w_k` the mean of `dS/dA_k` over the pixels.
pub(crate) fn grad_cam(net: &Net, picture: &Tensor, target: Target) -> Result<Heat> {
    let Seen { maps, gradients } = seen(net, picture, target)?;
    let weights = gradients.mean_keepdim(D::Minus1)?.mean_keepdim(D::Minus2)?;
    weighted(&maps, &weights)
}

/// Equations 10 and 19: the weights are `Σ_ij a relu(g)` with `a = g² / (2 g² + (Σ_ij A) g³)`.
pub(crate) fn grad_cam_plus_plus(net: &Net, picture: &Tensor, target: Target) -> Result<Heat> {
    let Seen { maps, gradients } = seen(net, picture, target)?;
    let square = gradients.sqr()?;
    let cube = (&square * &gradients)?;
    let sums = maps.sum_keepdim(D::Minus1)?.sum_keepdim(D::Minus2)?;
    let divisor = ((&square * 2.0)? + cube.broadcast_mul(&sums)?)?;
    let is_zero = divisor.eq(0.0)?;
    let ones = divisor.ones_like()?;
    let shares = (&square / is_zero.where_cond(&ones, &divisor)?)?;
    let shares = is_zero.where_cond(&ones.zeros_like()?, &shares)?;
    let weights = (shares * gradients.relu()?)?.sum_keepdim(D::Minus1)?.sum_keepdim(D::Minus2)?;
    weighted(&maps, &weights)
}

fn weighted(maps: &Tensor, weights: &Tensor) -> Result<Heat> {
    // What is no number would be zero behind a ReLU of tensors, and nobody would know.
    Ok(Heat::of(&maps.broadcast_mul(weights)?.sum(0)?)?.rectified())
}
