//! How much memory a convolution works in beside its arguments and result.

use super::flat;
use super::forward::{PACK, view};
use super::grad_weight::pictures_at_once;
use super::method::{Method, Pass, choose};
use super::panels::{Panels, Sizes};
use super::spec::Conv2d;
use super::unfolded;
use super::winograd;
use crate::error::{Result, Shape};
use crate::isa::Isa;
use crate::working::Working;

/// About what a pass holds for a while: transformed pictures and weights, packed weights and panels, padded copies. What a
/// task works in is smaller than its thread's caches and not counted, nor are sums that are split among tasks, less than
/// 2 MiB.
///
/// # Errors
/// As [`Conv2d::output_shape`].
pub fn working(pass: Pass, spec: &Conv2d, shape: Shape) -> Result<Working> {
    let output = spec.output_shape(shape)?;
    let ([n, c, h, w], [_, o, oh, ow]) = (shape, output);
    let weights: usize = spec.weight_shape().iter().product();
    let (from, [height, width]) = match pass {
        Pass::GradInput => (o, [h, w]),
        Pass::Forward | Pass::GradWeight => (c, [oh, ow]),
    };
    Ok(match (choose(pass, spec, shape)?, pass) {
        (Method::Depthwise | Method::Pairs, _) => Working::default(),
        (Method::WinogradPanels, Pass::GradWeight) => {
            Working::of(winograd::grad_weight_working([c, o], [n, oh, ow]))
        }
        (Method::WinogradPanels, _) => Working::of([winograd::panels_working(from, [n, height, width])]),
        (Method::WinogradBlocks, _) => Working::of([winograd::transformed_len(spec)]),
        (Method::GradientInPlace, _) | (Method::Packed, Pass::GradWeight) => Working::default(),
        (method, Pass::GradWeight) => {
            let view = view(&spec.bounded(shape, output), shape, [oh, ow]);
            let pictures = pictures_at_once(method, &view, n, c);
            Working::of([unfolded::copied(&view, pictures * c), if pictures < n { weights } else { 0 }])
        }
        (method, _) => {
            // Of the input's gradient the stride's first phase, which has the most taps, is the largest product.
            let kernel = spec.kernel_size;
            let taps = match pass {
                Pass::GradInput => [0, 1].map(|side| kernel[side].div_ceil(spec.stride[side])),
                Pass::Forward | Pass::GradWeight => kernel,
            };
            let packs = pass == Pass::GradInput || n * oh * ow >= PACK;
            let packed = if packs { weights / (kernel[0] * kernel[1]) * taps[0] * taps[1] } else { 0 };
            let source = match pass {
                Pass::GradInput => [o, oh, ow],
                Pass::Forward | Pass::GradWeight => [c, h, w],
            };
            let padded = source[0] * (source[1] + taps[0] - 1) * (source[2] + taps[1] - 1);
            let copied = matches!(method, Method::InPlace | Method::Padded);
            let pictures = if copied { flat::pictures(padded).min(n) } else { n };
            let (rows, channels, grid) = match pass {
                Pass::GradInput => (c, o, [h.div_ceil(spec.stride[0]), w.div_ceil(spec.stride[1])]),
                Pass::Forward | Pass::GradWeight => (o, c, [oh, ow]),
            };
            let gap = if copied { taps[1] - 1 } else { 0 };
            let sizes = Sizes {
                pictures,
                groups: spec.groups,
                rows: rows / spec.groups,
                channels: channels / spec.groups,
                taps: taps[0] * taps[1],
                pixels: grid[0] * (grid[1] + gap) - gap,
                is_gapless: gap == 0,
                in_place: method == Method::InPlace,
            };
            let panels = Panels::new::<f32>(Isa::current(), sizes);
            let first = panels.packed_first::<f32>().map_or(0, |each| panels.all() * each);
            Working::of([packed, first, if copied { pictures * padded } else { 0 }])
        }
    })
}
