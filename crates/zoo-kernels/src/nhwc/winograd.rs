//! Winograd's F(4x4, 3x3), channels innermost: 36 products for each sixteen outputs instead of 144; and F(2x2, 3x3), 16
//! for each four instead of 36, where a picture has few pixels and its weights are many.
//!
//! Some tiles at a time are transformed, vector by vector of channels; then each of a tile's 36 numbers is a product of
//! its own, by the same register tile as all others; and the sums become pixels, with all that follows them. A dilated
//! convolution is as many plain ones as the square of its dilation, on every so many pixels: only where a tile's pixels
//! lie differs.

#![expect(unsafe_code, reason = "tasks share the arena, and tiles are read and written through addresses")]

use std::ops::Range;

use super::conv::{Fold, Tail};
use super::forms::{Form, axis, tiles};
use super::map::Map;
use super::tile::{self, Ahead, Tile};
use crate::activation::Activation;
use crate::caches::Caches;
use crate::conv::Conv2d;
use crate::conv::winograd::transform::{Line, Pixels, Source, Weight};
use crate::epilogue::finish;
use crate::error::Shape;
use crate::isa::{Isa, Kernel, dispatch};
use crate::lasting::Lasting;
use crate::par::{Shared, part, tasks};
use crate::scratch;
use crate::simd::Lanes;

/// Numbers between the products, so that not all of them begin in the same set of a cache.
const GAP: usize = 16;
/// The most tiles of a task.
const TILES: usize = 64;

/// Packed weights.
pub(super) struct Winograd {
    spec: Conv2d,
    form: Form,
    isa: Isa,
    panels: Vec<Panel>,
    /// Product by product, panel by panel; in a panel for each input channel a row of output channels.
    weights: Lasting<f32>,
    bias: Lasting<f32>,
    zeros: Vec<f32>,
    rows: usize,
}

/// Output channels that are computed together.
#[derive(Clone, Copy, Debug)]
struct Panel {
    channel: usize,
    channels: usize,
    vectors: usize,
}

impl std::fmt::Debug for Winograd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Winograd").field("spec", &self.spec).finish()
    }
}

impl Winograd {
    /// Without weights, for [`Winograd::pack`] to fill in.
    pub(super) fn new(spec: &Conv2d, form: Form, fold: Fold<'_>, isa: Isa) -> Self {
        let lanes = isa.lanes::<f32>();
        let vectors = spec.out_channels.div_ceil(lanes);
        let panel = |channels: Range<usize>| Panel {
            channel: channels.start,
            channels: channels.len(),
            vectors: channels.len().div_ceil(lanes),
        };
        let panels: Vec<Panel> = tile::panels(isa, spec.out_channels).map(panel).collect();
        let mut bias = Lasting::zeroed(vectors * lanes);
        for channel in 0..spec.out_channels {
            bias[channel] = fold.shift(channel);
        }
        let product = spec.in_channels * vectors * lanes + GAP;
        let weights = Lasting::zeroed(form.products() * product);
        let widest = panels.iter().map(|panel| panel.vectors).max().unwrap_or(1);
        let rows = tile::most_rows(isa, widest);
        let zeros = vec![0.0; spec.in_channels.max(vectors * lanes)];
        Self { spec: *spec, form, isa, panels, weights, bias, zeros, rows }
    }

    /// The output channels of each panel.
    pub(super) fn panels(&self) -> impl Iterator<Item = Range<usize>> {
        self.panels.iter().map(|panel| panel.channel..panel.channel + panel.channels)
    }

    /// Packs the weights of some whole panels' channels.
    pub(super) fn pack(&mut self, channels: &Range<usize>, weight: &[f32], fold: Fold<'_>) {
        let (spec, form, product) = (&self.spec, self.form, self.product());
        let panels: Vec<Panel> =
            self.panels.iter().copied().filter(|panel| channels.contains(&panel.channel)).collect();
        let (isa, first, shared) = (self.isa, channels.start, Shared::new(&mut self.weights));
        tasks(panels.len() * spec.in_channels, weight.len() * 16, |task| {
            let (panel, c) = (panels[task / spec.in_channels], task % spec.in_channels);
            let transform = Transform { spec, weight, first, fold, panel, c, to: shared, product };
            match form {
                Form::Two => dispatch(isa, Sides::<_, 4, 2>(transform)),
                Form::Four => dispatch(isa, Sides::<_, 6, 4>(transform)),
            }
        });
    }

    pub(super) fn len(&self) -> usize {
        self.weights.len() + self.bias.len()
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Numbers between the products of packed weights.
    fn product(&self) -> usize {
        self.spec.in_channels * self.bias.len() + GAP
    }

    /// A panel's weights of a product.
    fn weights_of(&self, product: usize, panel: &Panel) -> &[f32] {
        let start = product * self.product() + panel.channel * self.spec.in_channels;
        &self.weights[start..][..self.spec.in_channels * panel.vectors * self.isa.lanes::<f32>()]
    }

    /// About how many numbers a task works in.
    pub(super) fn working(&self, output: Shape) -> usize {
        let all = output[0] * tiles(&self.spec, self.form, output);
        self.form.products() * self.divide(all)[2] * (self.spec.in_channels + self.bias.len())
    }

    /// Into how many blocks of tiles and groups of panels the work is divided, and the most tiles in a block. Results
    /// don't depend on it.
    fn divide(&self, all: usize) -> [usize; 3] {
        let threads = rayon::current_num_threads();
        let each = self.form.products() * (self.spec.in_channels + self.bias.len());
        let room = Caches::current().task() / size_of::<f32>();
        let most = (room / each).clamp(self.rows.min(all), TILES);
        // As many blocks as the cache wants, or as keep all threads busy if weights are few to read again.
        let mut blocks = all.div_ceil(most);
        if self.weights.len() < room {
            let wanted = (2 * threads).min(all.div_ceil(self.rows));
            blocks = blocks.max(wanted);
        }
        if blocks > 1 {
            blocks = blocks.next_multiple_of(threads).min(all);
        }
        let groups = threads.div_ceil(blocks).min(self.panels.len());
        [blocks, groups, all.div_ceil(blocks)]
    }

    /// Computes; shapes, places and the activation are checked.
    pub(super) fn run(&self, arena: &mut [f32], input: &Map, out: &Map, tail: Tail) {
        let arena = Shared::new(arena);
        let dilation = self.spec.dilation;
        let [n, _, oh, ow] = out.shape;
        let (rows, columns) = (axis(dilation[0], self.form, oh), axis(dilation[1], self.form, ow));
        let all = n * rows.len() * columns.len();
        let [blocks, groups, _] = self.divide(all);
        let job = Job { conv: self, arena, input, out, tail, rows: &rows, columns: &columns };
        tasks(blocks * groups, usize::MAX, |task| {
            let tiles = part(all, blocks, task / groups);
            let panels = part(self.panels.len(), groups, task % groups);
            job.task(tiles, &self.panels[panels]);
        });
    }
}

/// One run.
struct Job<'a> {
    conv: &'a Winograd,
    arena: Shared<f32>,
    input: &'a Map,
    out: &'a Map,
    tail: Tail,
    rows: &'a [usize],
    columns: &'a [usize],
}

impl Job<'_> {
    /// Picture, row and column of a tile's first output.
    fn corner(&self, tile: usize) -> [usize; 3] {
        let (rows, columns) = (self.rows.len(), self.columns.len());
        let (n, rest) = (tile / (rows * columns), tile % (rows * columns));
        [n, self.rows[rest / columns], self.columns[rest % columns]]
    }

    /// Some tiles of some panels.
    fn task(&self, tiles: Range<usize>, panels: &[Panel]) {
        let (conv, lanes) = (self.conv, self.conv.isa.lanes::<f32>());
        let (Some(first), Some(last)) = (panels.first(), panels.last()) else { return };
        let width = conv.spec.in_channels.next_multiple_of(lanes);
        let outs = (last.channel + last.channels - first.channel).next_multiple_of(lanes);
        let count = tiles.len();
        let (seen, made) = (count * width + GAP, count * outs + GAP);
        let products = conv.form.products();
        let mut sources = scratch::take::<f32>(products * seen);
        let mut sums = scratch::take::<f32>(products * made);
        for (i, tile) in tiles.clone().enumerate() {
            let (to, channels, step) = (sources[i * width..].as_mut_ptr(), conv.spec.in_channels, seen);
            match conv.form {
                Form::Two => {
                    dispatch(conv.isa, IntoTile::<4> { pixels: self.sources(tile), channels, to, step });
                }
                Form::Four => {
                    dispatch(conv.isa, IntoTile::<6> { pixels: self.sources(tile), channels, to, step });
                }
            }
        }
        let rows = count.div_ceil(conv.rows);
        for product in 0..products {
            let (from, to) = (&sources[product * seen..], &mut sums[product * made..]);
            let segments: Vec<*const f32> = (0..count).map(|i| from[i * width..].as_ptr()).collect();
            let out: Vec<*mut f32> = (0..count).map(|i| to[i * outs..].as_mut_ptr()).collect();
            for (p, panel) in panels.iter().enumerate() {
                let own = conv.weights_of(product, panel);
                let next = match panels.get(p + 1) {
                    Some(next) => conv.weights_of(product, next),
                    None if product + 1 < products => conv.weights_of(product + 1, first),
                    None => &[],
                };
                let ahead = Ahead::of(next, rows, conv.spec.in_channels);
                for i in 0..rows {
                    let some = part(count, rows, i);
                    // SAFETY: each tile has as many numbers of this product as there are input channels, and room for
                    // the sums of all panels in whole vectors; the weights were packed so, for this instruction set.
                    unsafe {
                        let call = Tile {
                            segments: segments.as_ptr().add(some.start),
                            count: 1,
                            from: 0,
                            length: conv.spec.in_channels,
                            weights: own.as_ptr(),
                            ahead: ahead.part(i),
                            bias: Some(conv.zeros.as_ptr()),
                            residual: None,
                            out: out.as_ptr().add(some.start),
                            channel: panel.channel - first.channel,
                            channels: panel.vectors * lanes,
                            activation: Activation::Identity,
                        };
                        tile::run(conv.isa, some.len(), panel.vectors, &call);
                    }
                }
            }
        }
        for (i, tile) in tiles.enumerate() {
            let from = sums[i * outs..].as_ptr();
            let channels = first.channel..last.channel + last.channels;
            let work = FromTile { job: self, tile: self.corner(tile), channels, from, step: made };
            match conv.form {
                Form::Two => dispatch(conv.isa, Sides::<_, 4, 2>(work)),
                Form::Four => dispatch(conv.isa, Sides::<_, 6, 4>(work)),
            }
        }
    }

    /// Where the pixels that a tile sees lie: zeros beyond the picture.
    fn sources<const IN: usize>(&self, tile: usize) -> [[*const f32; IN]; IN] {
        let [n, y, x] = self.corner(tile);
        let (spec, [_, _, h, w]) = (&self.conv.spec, self.input.shape);
        let mut pixels = [[self.conv.zeros.as_ptr(); IN]; IN];
        for (i, row) in pixels.iter_mut().enumerate() {
            let y = (y + i * spec.dilation[0]).wrapping_sub(spec.padding.top);
            for (j, pixel) in row.iter_mut().enumerate() {
                let x = (x + j * spec.dilation[1]).wrapping_sub(spec.padding.left);
                if y < h && x < w {
                    *pixel = self.arena.get().wrapping_add(self.input.at(n, y, x)).cast_const();
                }
            }
        }
        pixels
    }
}

/// Work on tiles that see `IN` pixels along a side and make `OUT`.
struct Sides<W, const IN: usize, const OUT: usize>(W);

/// Transforms a tile's pixels.
struct IntoTile<const IN: usize> {
    pixels: [[*const f32; IN]; IN],
    channels: usize,
    to: *mut f32,
    step: usize,
}

impl<const IN: usize> Kernel<f32> for IntoTile<IN>
where
    Source: Line<IN, IN>,
{
    #[inline(always)]
    fn run<S: Lanes<Elem = f32>>(self) {
        let mut channel = 0;
        while channel < self.channels {
            let count = S::N.min(self.channels - channel);
            let mut half = [[S::splat(0.0); IN]; IN];
            for j in 0..IN {
                let mut column = [S::splat(0.0); IN];
                for (i, x) in column.iter_mut().enumerate() {
                    // SAFETY: an address is that of a pixel's channels, or of as many zeros.
                    *x = unsafe {
                        let from = self.pixels[i][j].add(channel);
                        if count == S::N { S::load(from) } else { S::load_part(from, count) }
                    };
                }
                for (row, x) in half.iter_mut().zip(Source::line(column)) {
                    row[j] = x;
                }
            }
            for (i, row) in half.into_iter().enumerate() {
                for (j, x) in Source::line(row).into_iter().enumerate() {
                    // SAFETY: a tile has room for whole vectors of each product.
                    unsafe { x.store(self.to.add((i * IN + j) * self.step + channel)) };
                }
            }
            channel += S::N;
        }
    }
}

/// Makes pixels of a tile's sums.
struct FromTile<'a> {
    job: &'a Job<'a>,
    tile: [usize; 3],
    channels: Range<usize>,
    from: *const f32,
    step: usize,
}

impl<const IN: usize, const OUT: usize> Kernel<f32> for Sides<FromTile<'_>, IN, OUT>
where
    Pixels: Line<IN, OUT>,
{
    #[inline(always)]
    fn run<S: Lanes<Elem = f32>>(self) {
        let Self(work) = self;
        let (job, [n, y, x]) = (work.job, work.tile);
        let [_, _, oh, ow] = job.out.shape;
        let [dy, dx] = job.conv.spec.dilation;
        // How many of the tile's rows and columns are in the picture.
        let rows = (oh - y).div_ceil(dy).min(OUT);
        let columns = (ow - x).div_ceil(dx).min(OUT);
        let arena = job.arena.get();
        let out = job.out.at(n, y, x);
        let (down, across) = (dy * job.out.row, dx * job.out.pixel);
        let residual = job.tail.residual.map(|map| (map.at(n, y, x), dy * map.row, dx * map.pixel));
        let mut channel = work.channels.start;
        while channel < work.channels.end {
            let count = S::N.min(work.channels.end - channel);
            let from = work.from.wrapping_add(channel - work.channels.start);
            let mut half = [[S::splat(0.0); IN]; OUT];
            for j in 0..IN {
                let mut column = [S::splat(0.0); IN];
                for (i, x) in column.iter_mut().enumerate() {
                    // SAFETY: a tile has whole vectors of each product's sums.
                    *x = unsafe { S::load(from.add((i * IN + j) * work.step)) };
                }
                for (row, x) in half.iter_mut().zip(Pixels::line(column)) {
                    row[j] = x;
                }
            }
            // SAFETY: biases are whole vectors; the pixels lie in the picture, and so in the maps, which `Conv::run`
            // checked. Tasks write other pixels or other channels.
            unsafe {
                let bias = S::load(job.conv.bias.as_ptr().add(channel));
                for (i, row) in half.into_iter().enumerate().take(rows) {
                    for (j, x) in Pixels::line(row).into_iter().enumerate() {
                        if j >= columns {
                            break;
                        }
                        let residual = match residual {
                            Some((at, down, across)) => {
                                Some(S::load_part(arena.add(at + i * down + j * across + channel), count))
                            }
                            None => None,
                        };
                        let sum = finish(x, None, Some(bias), residual, job.tail.activation);
                        let to = arena.add(out + i * down + j * across + channel);
                        if count == S::N {
                            sum.store(to);
                        } else {
                            sum.store_part(to, count);
                        }
                    }
                }
            }
            channel += S::N;
        }
    }
}

/// Transforms the weights from one input channel to a panel.
struct Transform<'a> {
    spec: &'a Conv2d,
    /// Those of the output channels from `first` on.
    weight: &'a [f32],
    first: usize,
    fold: Fold<'a>,
    panel: Panel,
    c: usize,
    to: Shared<f32>,
    product: usize,
}

impl<const IN: usize, const OUT: usize> Kernel<f32> for Sides<Transform<'_>, IN, OUT>
where
    Weight: Line<3, IN>,
{
    #[inline(always)]
    fn run<S: Lanes<Elem = f32>>(self) {
        let Self(work) = self;
        const TAPS: usize = 9;
        /// Numbers of the widest vector.
        const MOST: usize = 16;
        let (panel, channels) = (work.panel, work.spec.in_channels);
        let width = panel.vectors * S::N;
        for vector in 0..panel.vectors {
            let mut taps = [[0.0; MOST]; TAPS];
            for lane in 0..S::N.min(MOST) {
                let out = panel.channel + vector * S::N + lane;
                if out >= panel.channel + panel.channels {
                    break;
                }
                let scale = work.fold.scale(out);
                let from = &work.weight[((out - work.first) * channels + work.c) * TAPS..][..TAPS];
                for (tap, weight) in taps.iter_mut().zip(from) {
                    tap[lane] = weight * scale;
                }
            }
            let mut half = [[S::splat(0.0); 3]; IN];
            for j in 0..3 {
                // SAFETY: a vector has at most `MOST` numbers.
                let column = unsafe {
                    [S::load(taps[j].as_ptr()), S::load(taps[3 + j].as_ptr()), S::load(taps[6 + j].as_ptr())]
                };
                for (row, x) in half.iter_mut().zip(Weight::line(column)) {
                    row[j] = x;
                }
            }
            let place = panel.channel * channels + work.c * width + vector * S::N;
            for (i, row) in half.into_iter().enumerate() {
                for (j, x) in Weight::line(row).into_iter().enumerate() {
                    let at = (i * IN + j) * work.product + place;
                    // SAFETY: of each product the weights have whole vectors of all panels for each input channel;
                    // other tasks write other channels'.
                    unsafe { x.store(work.to.get().add(at)) };
                }
            }
        }
    }
}
