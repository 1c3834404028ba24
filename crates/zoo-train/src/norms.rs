//! The statistics of norms, computed anew for weights that no longer move.

use candle_core::Device;
use zoo_layers::{Layer, Mode, Net, Node, Op, Route};

use crate::{Place, Result, Source, evaluate};

/// Pictures that statistics are computed from at most: a thousand are enough (Wu and Johnson 2021, section 3).
const PICTURES: usize = 4096;

/// Gives batch norms, but for frozen ones, the statistics of pictures as they are answered: means over the batches of the
/// first epoch of `train`, up to 4,096 pictures, whatever the norms' momentum.
///
/// What a norm keeps while a network learns lags behind weights that move, or is of other weights than their average, and it
/// is of pictures that are cut, changed and mixed. (Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3, call it
/// precise; `torch.optim.swa_utils.update_bn` is the same.)
///
/// Gives whether there is such a norm; if not, no picture is looked at.
///
/// # Errors
/// Pictures that don't fit the network.
pub fn precise_norms(net: &mut Net, train: &dyn Source, device: &Device) -> Result<bool> {
    let moves = |(node, layer): (Node, &Layer)| {
        matches!(layer.op, Op::BatchNorm2d(_)) && !net.frozen().has_statistics(node)
    };
    if !net.graph().nodes().any(moves) {
        return Ok(false);
    }
    let done = follow(net, train, device);
    net.move_statistics_by(None);
    net.forget_memory();
    done.map(|()| true)
}

/// The passes: the statistics after each are the means over those so far.
fn follow(net: &mut Net, train: &dyn Source, device: &Device) -> Result<()> {
    let route = Route::outputs(net.graph(), Mode::Train);
    let (mut pictures, mut passes) = (0, 0);
    for batch in train.batches(Place::default(), 1)? {
        let batch = batch?;
        if pictures >= PICTURES {
            break;
        }
        // One picture has no statistics.
        if batch.labels.len() < 2 {
            continue;
        }
        (pictures, passes) = (pictures + batch.labels.len(), passes + 1);
        net.draw_from(0, passes);
        net.move_statistics_by(Some(1.0 / passes as f64));
        let input = evaluate::input(net, None, &batch, device)?;
        net.pass(&route, &[&input])?;
    }
    Ok(())
}
