//! Contact sheets: a layer's maps of one picture, a convolution's filters.

use candle_core::{DType, Tensor};
use zoo_data::{Channels, Picture};
use zoo_layers::{Graph, Mode, Net, Node, Op};

use crate::{
    Error, Result,
    paint::{diverging, inferno, put},
    target::check_map,
};

/// About how wide a sheet is, in pixels.
const WIDTH: usize = 1200;
/// Between tiles, at least.
const GAP: usize = 3;
/// A tile is at most so many pixels wide or high.
const LARGEST: usize = 256;
/// What stands between tiles: dark, since tiles are light at their edges as a rule.
const GROUND: [u8; 3] = [44, 50, 62];

/// All maps that a layer (or a scope's last) makes of one prepared picture `(1, c, h, w)`, row by row in order. Each
/// is as bright as its own greatest value allows; maps that are negative somewhere are blue there, red where positive.
///
/// # Errors
/// A name that nothing has; [`Error::NoMap`]; a picture that does not fit.
pub fn maps(net: &Net, picture: &Tensor, name: &str) -> Result<Picture> {
    let node = net.graph().find(name)?;
    check_map(net.graph(), node)?;
    let maps = net.run(&[(Graph::PICTURE, picture)], &[node], Mode::Eval)?.remove(0);
    let maps = maps.squeeze(0)?.to_dtype(DType::F32)?;
    let (_, height, width) = maps.dims3()?;
    let values = finite(&maps, name)?;
    let is_signed = values.iter().any(|value| *value < 0.0);
    let tiles = values.chunks_exact(height * width).map(|map| {
        let most = map.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
        let level = |value: &f32| if most > 0.0 { value / most } else { 0.0 };
        let colour = if is_signed { diverging } else { inferno };
        map.iter().flat_map(|value| colour(level(value))).collect()
    });
    sheet(tiles.collect(), height, width)
}

/// The filters of the first convolution: as colours where it looks at colours, else each channel's weights apart, blue
/// for negative and red for positive ones.
///
/// # Errors
/// [`Error::NoFilters`] of a network without a convolution.
pub fn filters(net: &Net) -> Result<Picture> {
    let graph = net.graph();
    let first = graph.nodes().find(|(_, layer)| matches!(layer.op, Op::Conv2d(_)));
    let weights = first.and_then(|(node, _)| weights(net, node));
    let Some(weights) = weights else { return Err(Error::NoFilters { model: graph.name().into() }) };
    let weights = weights.to_dtype(DType::F32)?;
    let (_, channels, height, width) = weights.dims4()?;
    let values = finite(&weights, "the first convolution")?;
    let area = height * width;
    let tiles = match channels {
        3 => values.chunks_exact(3 * area).map(|filter| in_colour(filter, area)).collect(),
        _ => {
            let signed = |filter: &[f32]| {
                let most = filter.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
                filter.iter().flat_map(|value| diverging(value / most)).collect()
            };
            values.chunks_exact(area).map(signed).collect()
        }
    };
    sheet(tiles, height, width)
}

/// A filter over three colours, grey where it is zero.
fn in_colour(filter: &[f32], area: usize) -> Vec<u8> {
    let most = filter.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let level = |value: f32| (127.5 + 127.5 * value / most).round() as u8;
    (0..area).flat_map(|place| [0, 1, 2].map(|channel| level(filter[channel * area + place]))).collect()
}

fn weights(net: &Net, node: Node) -> Option<Tensor> {
    let name = &net.graph().get(node).params.first()?.name;
    net.tensors().find(|(param, _)| param.name == *name).map(|(_, tensor)| tensor.detach())
}

fn finite(tensor: &Tensor, what: &str) -> Result<Vec<f32>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err(Error::NotFinite { what: what.into() }),
    }
}

/// Tiles of RGB pixels in rows, about as many in a row as fill the width, each pixel a square of some.
fn sheet(tiles: Vec<Vec<u8>>, height: usize, width: usize) -> Result<Picture> {
    // Larger ones are shown by every so many pixels.
    let every = height.max(width).div_ceil(LARGEST);
    let (rows_in, columns_in) = (height.div_ceil(every), width.div_ceil(every));
    let square = (tiles.len() as f64 * height as f64 / width as f64).sqrt().ceil() as usize;
    let across = square.clamp(1, tiles.len().max(1));
    let times = (WIDTH / (across * columns_in)).clamp(1, 48);
    let gap = GAP.max(times / 3);
    let (tile_width, tile_height) = (columns_in * times, rows_in * times);
    let down = tiles.len().div_ceil(across);
    let sheet_width = across * (tile_width + gap) + gap;
    let sheet_height = down * (tile_height + gap) + gap;
    let mut pixels = GROUND.repeat(sheet_width * sheet_height);
    for (place, tile) in tiles.iter().enumerate() {
        let mut large = Vec::with_capacity(3 * tile_width * tile_height);
        for y in 0..tile_height {
            for x in 0..tile_width {
                let from = 3 * (y / times * every * width + x / times * every);
                large.extend_from_slice(&tile[from..from + 3]);
            }
        }
        let tile = Picture::new(tile_width, tile_height, Channels::Rgb, large)?;
        let x = gap + place % across * (tile_width + gap);
        let y = gap + place / across * (tile_height + gap);
        put(&mut pixels, sheet_width, (x, y), &tile);
    }
    Ok(Picture::new(sheet_width, sheet_height, Channels::Rgb, pixels)?)
}
