//! Convolutions of any kind, and dense layers, as products of pixels with packed weights.

#![expect(unsafe_code, reason = "tasks share the arena, and tiles read pixels through addresses")]

use std::ops::Range;

use super::conv::{Fold, Tail};
use super::map::Map;
use super::tile::{self, Ahead, Tile};
use crate::activation::Activation;
use crate::caches::Caches;
use crate::conv::Conv2d;
use crate::isa::Isa;
use crate::lasting::Lasting;
use crate::par::{Shared, part, tasks};

/// How many numbers of a sum are added up in registers before they are added to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    /// So much of a panel of weights stays in the cache while pixels pass by.
    Long,
    /// Rounding errors grow with a sum's length: of 36 layers with 728 channels (Xception) they are 8e-7 instead of 2.2e-6,
    /// for results that are read and written again more often.
    Short,
}

impl Sums {
    fn block(self) -> usize {
        match self {
            Self::Long => 768,
            Self::Short => 128,
        }
    }
}

/// Products of a vector that are worth a task of their own.
const TASK: usize = 1 << 15;
/// Products of a vector that take as long as reading a number from the cache's last level.
const READ: f64 = 2.0;

/// Packed weights.
pub(super) struct Direct {
    spec: Conv2d,
    isa: Isa,
    sums: Sums,
    panels: Vec<Panel>,
    /// Panel by panel; in a panel for each number of the sum a row of output channels.
    weights: Lasting<f32>,
    /// Panel by panel, whole vectors.
    bias: Lasting<f32>,
    /// What a tap beyond the picture reads.
    zeros: Vec<f32>,
    /// Input channels that a panel sees.
    seen: usize,
    /// Pixels of a tile.
    rows: usize,
}

/// Output channels that are computed together.
#[derive(Clone, Copy, Debug)]
struct Panel {
    /// The first of the input channels that it sees.
    input: usize,
    /// First output channel and number of them.
    channel: usize,
    channels: usize,
    vectors: usize,
    /// Where its weights and biases begin.
    weights: usize,
    bias: usize,
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Direct").field("spec", &self.spec).field("panels", &self.panels.len()).finish()
    }
}

/// How many neighbouring groups are computed as one, with zeros where they don't see each other: so many that their
/// output channels fill a vector.
fn merged(spec: &Conv2d, lanes: usize) -> usize {
    let each = spec.out_channels / spec.groups;
    (1..=spec.groups).find(|&m| spec.groups.is_multiple_of(m) && m * each >= lanes).unwrap_or(spec.groups)
}

/// Packs a panel: for each tap and input channel a row of output channels. `weight` begins with the panel's own.
fn pack(spec: &Conv2d, panel: &Panel, seen: usize, weight: &[f32], fold: Fold<'_>, packed: &mut [f32]) {
    /// Input channels at a time: as many of all the panel's weights stay in the cache for all taps.
    const TOGETHER: usize = 16;
    let [_, depth, kh, kw] = spec.weight_shape();
    let (taps, width) = (kh * kw, packed.len() / (kh * kw * seen));
    let each = spec.out_channels / spec.groups;
    for start in (0..depth).step_by(TOGETHER) {
        for tap in 0..taps {
            for c in start..depth.min(start + TOGETHER) {
                for i in 0..panel.channels {
                    let out = panel.channel + i;
                    // The first input channel that this output channel sees, of those that its panel does.
                    let first = out / each * depth - panel.input;
                    packed[(tap * seen + first + c) * width + i] =
                        weight[(i * depth + c) * taps + tap] * fold.scale(out);
                }
            }
        }
    }
}

impl Direct {
    /// Without weights, for [`Direct::pack`] to fill in.
    pub(super) fn new(spec: &Conv2d, fold: Fold<'_>, isa: Isa, sums: Sums) -> Self {
        let lanes = isa.lanes::<f32>();
        let merged = merged(spec, lanes);
        let (seen, outs) =
            (merged * spec.in_channels / spec.groups, merged * spec.out_channels / spec.groups);
        let taps = spec.kernel_size[0] * spec.kernel_size[1];
        let mut panels = Vec::new();
        let (mut weights_len, mut bias_len) = (0, 0);
        for group in 0..spec.groups / merged {
            for channels in tile::panels(isa, outs) {
                let vectors = channels.len().div_ceil(lanes);
                panels.push(Panel {
                    input: group * seen,
                    channel: group * outs + channels.start,
                    channels: channels.len(),
                    vectors,
                    weights: weights_len,
                    bias: bias_len,
                });
                weights_len += taps * seen * vectors * lanes;
                bias_len += vectors * lanes;
            }
        }
        let weights = Lasting::zeroed(weights_len);
        let mut bias = Lasting::zeroed(bias_len);
        for panel in &panels {
            for i in 0..panel.channels {
                bias[panel.bias + i] = fold.shift(panel.channel + i);
            }
        }
        let widest = panels.iter().map(|panel| panel.vectors).max().unwrap_or(1);
        let rows = tile::most_rows(isa, widest);
        let zeros = vec![0.0; seen.max(spec.in_channels)];
        Self { spec: *spec, isa, sums, panels, weights, bias, zeros, seen, rows }
    }

    pub(super) fn sums(&self) -> Sums {
        self.sums
    }

    /// The output channels of each panel.
    pub(super) fn panels(&self) -> impl Iterator<Item = Range<usize>> {
        self.panels.iter().map(|panel| panel.channel..panel.channel + panel.channels)
    }

    /// Packs the weights of some whole panels' channels.
    pub(super) fn pack(&mut self, channels: &Range<usize>, weight: &[f32], fold: Fold<'_>) {
        let (spec, seen, lanes) = (&self.spec, self.seen, self.isa.lanes::<f32>());
        let [_, depth, kh, kw] = spec.weight_shape();
        let panels: Vec<&Panel> =
            self.panels.iter().filter(|panel| channels.contains(&panel.channel)).collect();
        let shared = Shared::new(&mut self.weights);
        tasks(panels.len(), weight.len(), |i| {
            let panel = panels[i];
            let own = &weight[(panel.channel - channels.start) * depth * kh * kw..];
            // SAFETY: each panel's numbers lie behind the last one's.
            let packed = unsafe { shared.slice(panel.weights, kh * kw * seen * panel.vectors * lanes) };
            pack(spec, panel, seen, own, fold, packed);
        });
    }

    pub(super) fn len(&self) -> usize {
        self.weights.len() + self.bias.len()
    }

    /// Whether a kernel's row is one segment: its taps lie side by side in the input, zeros around it too.
    fn reads_rows(&self, input: &Map) -> bool {
        let (spec, [_, c, h, w]) = (&self.spec, input.shape);
        let reach = |i: usize, windows: usize| {
            (windows - 1) * spec.stride[i] + (spec.kernel_size[i] - 1) * spec.dilation[i] + 1
        };
        let windows = |i: usize, size: usize, padding: usize| {
            (size + padding - (spec.kernel_size[i] - 1) * spec.dilation[i] - 1) / spec.stride[i] + 1
        };
        let p = spec.padding;
        let down = reach(0, windows(0, h, p.top + p.bottom));
        let across = reach(1, windows(1, w, p.left + p.right));
        spec.kernel_size[1] > 1
            && spec.dilation[1] == 1
            && self.seen == c
            && input.pixel == c
            && input.halo.top >= p.top
            && input.halo.left >= p.left
            && p.top + h + input.halo.bottom >= down
            && p.left + w + input.halo.right >= across
    }

    /// Computes; shapes, places and the activation are checked.
    pub(super) fn run(&self, arena: &mut [f32], input: &Map, out: &Map, tail: Tail) {
        let arena = Shared::new(arena);
        let job = self.job([arena, arena, arena], input, out, tail);
        let pixels = out.pixels();
        let [blocks, groups] = self.divide(pixels, input);
        let work = pixels.saturating_mul(self.weights.len());
        tasks(blocks * groups, work, |task| {
            let pixels = part(pixels, blocks, task / groups);
            let panels = part(self.panels.len(), groups, task % groups);
            job.task(pixels, &self.panels[panels]);
        });
    }

    fn job<'a>(&'a self, memories: [Shared<f32>; 3], input: &Map, out: &Map, tail: Tail) -> Job<'a> {
        let [from, to, beside] = memories;
        let taps = self.spec.kernel_size[0] * self.spec.kernel_size[1];
        let (count, length) = match self.reads_rows(input) {
            true => (self.spec.kernel_size[0], self.spec.kernel_size[1] * self.seen),
            false => (taps, self.seen),
        };
        Job { conv: self, from, to, beside, input: *input, out: *out, tail, count, length }
    }

    /// Computes on this thread alone, from a map in one memory to one in another; the residual lies in a third.
    ///
    /// # Safety
    /// The maps lie in their memories, and nobody else writes what is read or uses what is written.
    pub(super) unsafe fn run_alone(&self, memories: [Shared<f32>; 3], input: &Map, out: &Map, tail: Tail) {
        self.job(memories, input, out, tail).task(0..out.pixels(), &self.panels);
    }

    /// Into how many blocks of pixels and groups of panels the work is divided: enough tasks for the threads to share
    /// evenly, with the least to read. Results don't depend on it.
    fn divide(&self, pixels: usize, input: &Map) -> [usize; 2] {
        let (threads, vectors) = (rayon::current_num_threads(), self.weights.len() / self.isa.lanes::<f32>());
        let wanted = (pixels.saturating_mul(vectors) / TASK).clamp(1, 8 * threads);
        let [n, c, h, w] = input.shape;
        let read = n * c * h * w;
        let (tiles, panels) = (pixels.div_ceil(self.rows), self.panels.len());
        // Half of a block of the cache for what a task reads, the rest for what passes by.
        let near = Caches::current().block() / size_of::<f32>() / 2;
        let least = (read / near).clamp(1, tiles);
        // Numbers read, and what the thread with the most to do computes, as long as reading so many. Blocks of pixels that the
        // near cache doesn't hold are read again for each panel: where there are more weights than that, that is cheaper than
        // to read these for each block.
        let cost = |[blocks, groups]: [usize; 2]| {
            let again = if blocks < least { panels * read } else { groups * read };
            let rounds = (blocks * groups).div_ceil(threads);
            let most = rounds * tiles.div_ceil(blocks) * panels.div_ceil(groups);
            let products =
                most as f64 * threads as f64 / (tiles * panels) as f64 * pixels as f64 * vectors as f64;
            (blocks * self.weights.len() + again) as f64 + products / READ
        };
        let divided = (1..=panels.min(wanted)).flat_map(|groups| {
            let blocks = wanted.div_ceil(groups);
            let held = blocks.max(least);
            [held, held.next_multiple_of(threads), blocks].map(|blocks| [blocks.min(tiles), groups])
        });
        divided.min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or([1, 1])
    }
}

/// One run.
#[derive(Clone, Copy)]
struct Job<'a> {
    conv: &'a Direct,
    /// Where the input lies, the output, and the residual.
    from: Shared<f32>,
    to: Shared<f32>,
    beside: Shared<f32>,
    input: Map,
    out: Map,
    tail: Tail,
    /// Segments of a sum, and numbers in each.
    count: usize,
    length: usize,
}

impl Job<'_> {
    /// Some pixels of some panels.
    fn task(&self, pixels: Range<usize>, panels: &[Panel]) {
        let conv = self.conv;
        let count = pixels.len().div_ceil(conv.rows);
        let tiles: Vec<Range<usize>> = (0..count).map(|i| part(pixels.len(), count, i)).collect();
        // Of each pixel of the block where its segments begin, tile by tile; where its result goes; and its residual.
        let mut segments = vec![std::ptr::null(); pixels.len() * self.count];
        let mut outs: Vec<*mut f32> = Vec::with_capacity(pixels.len());
        let mut residuals: Vec<*const f32> = Vec::new();
        let [from, to, beside] = [self.from, self.to, self.beside].map(Shared::get);
        if self.is_plain() {
            let place = |map: &Map, pixel: usize| map.start + pixel * map.pixel;
            for (segment, pixel) in segments.iter_mut().zip(pixels.clone()) {
                *segment = from.wrapping_add(place(&self.input, pixel)).cast_const();
            }
            outs.extend(pixels.clone().map(|pixel| to.wrapping_add(place(&self.out, pixel))));
            if let Some(map) = &self.tail.residual {
                residuals.extend(pixels.map(|pixel| beside.wrapping_add(place(map, pixel)).cast_const()));
            }
        } else {
            let mut walk = self.out.walk(pixels);
            for tile in &tiles {
                let (start, rows) = (tile.start * self.count, tile.len());
                for (r, pixel) in walk.by_ref().take(rows).enumerate() {
                    self.segments(pixel, |segment, address| segments[start + segment * rows + r] = address);
                    let [n, y, x] = pixel;
                    outs.push(to.wrapping_add(self.out.at(n, y, x)));
                    if let Some(map) = &self.tail.residual {
                        residuals.push(beside.wrapping_add(map.at(n, y, x)));
                    }
                }
            }
        }
        let parts = || {
            let blocks = blocks(self.count, self.length, conv.sums.block());
            blocks.flat_map(|block| panels.iter().map(move |panel| (block, panel)))
        };
        let mut next = parts().skip(1);
        for (block, panel) in parts() {
            let done = block.segment * self.length + block.from;
            let own = self.weights(&block, panel);
            let next = next.next().map_or(&[][..], |(block, panel)| self.weights(&block, panel));
            let ahead = Ahead::of(next, tiles.len(), block.segments * block.length);
            for (i, tile) in tiles.iter().enumerate() {
                let place = tile.start * self.count + block.segment * tile.len();
                // SAFETY: `Conv::run`, or whoever called `run_alone`, checked that all maps lie in their memories and that
                // the output is apart from the input; a segment's address is that of `length` numbers in the input (its
                // halo included, where `reads_rows` said so), or of zeros for as many channels. A panel's weights and
                // biases were packed for that many numbers. Other tasks write other pixels or other channels, and the
                // instruction set is that of `Isa::current` at packing.
                unsafe {
                    let call = Tile {
                        segments: segments.as_ptr().add(place),
                        count: block.segments,
                        from: panel.input + block.from,
                        length: block.length,
                        weights: own.as_ptr(),
                        ahead: ahead.part(i),
                        bias: (done == 0).then(|| conv.bias.as_ptr().add(panel.bias)),
                        residual: match self.tail.residual {
                            Some(_) if done == 0 => Some(residuals.as_ptr().add(tile.start)),
                            _ => None,
                        },
                        out: outs.as_ptr().add(tile.start),
                        channel: panel.channel,
                        channels: panel.channels,
                        activation: match block.is_last {
                            true => self.tail.activation,
                            false => Activation::Identity,
                        },
                    };
                    tile::run(conv.isa, tile.len(), panel.vectors, &call);
                }
            }
        }
    }

    /// Whether each output pixel sees one input pixel, and neither map has gaps.
    fn is_plain(&self) -> bool {
        let spec = &self.conv.spec;
        let maps = [Some(self.input), Some(self.out), self.tail.residual];
        spec.kernel_size == [1, 1]
            && spec.stride == [1, 1]
            && spec.padding == Default::default()
            && maps.iter().flatten().all(Map::is_even)
    }

    /// A panel's weights of a part of all sums.
    fn weights(&self, block: &Block, panel: &Panel) -> &[f32] {
        let width = panel.vectors * self.conv.isa.lanes::<f32>();
        let done = block.segment * self.length + block.from;
        &self.conv.weights[panel.weights + done * width..][..block.segments * block.length * width]
    }

    /// Gives `each` the addresses of an output pixel's segments.
    #[inline(always)]
    fn segments(&self, [n, y, x]: [usize; 3], mut each: impl FnMut(usize, *const f32)) {
        let (spec, input) = (&self.conv.spec, &self.input);
        let [_, _, h, w] = input.shape;
        let arena = self.from.get().cast_const();
        let (y, x) = (y * spec.stride[0], x * spec.stride[1]);
        let [kh, kw] = spec.kernel_size;
        if self.count == kh && self.length != self.conv.seen {
            // Rows, whose zeros around the picture are the halo's.
            let corner = input.start + n * input.picture + y * input.row + x * input.pixel
                - spec.padding.top * input.row
                - spec.padding.left * input.pixel;
            for row in 0..kh {
                each(row, arena.wrapping_add(corner + row * spec.dilation[0] * input.row));
            }
            return;
        }
        for i in 0..kh {
            let iy = (y + i * spec.dilation[0]).wrapping_sub(spec.padding.top);
            for j in 0..kw {
                let ix = (x + j * spec.dilation[1]).wrapping_sub(spec.padding.left);
                let address = match iy < h && ix < w {
                    true => arena.wrapping_add(input.at(n, iy, ix)),
                    false => self.conv.zeros.as_ptr(),
                };
                each(i * kw + j, address);
            }
        }
    }
}

/// The place of the `pixel`-th pixel of all pictures.
pub(super) fn place(map: &Map, pixel: usize) -> usize {
    if map.is_even() {
        return map.start + pixel * map.pixel;
    }
    let [_, _, h, w] = map.shape;
    map.at(pixel / (h * w), pixel / w % h, pixel % w)
}

/// A part of all sums.
#[derive(Clone, Copy)]
struct Block {
    /// The first of its segments, and how many.
    segment: usize,
    segments: usize,
    from: usize,
    length: usize,
    is_last: bool,
}

/// Divides sums over `count` segments of `length` numbers into blocks of at most `most`: several segments each, or a part
/// of one.
fn blocks(count: usize, length: usize, most: usize) -> impl Iterator<Item = Block> {
    let parts = length.div_ceil(most).max(1);
    let each = (most / length.max(1)).max(1);
    let groups = count.div_ceil(each);
    (0..groups * parts).map(move |i| {
        let (segments, within) = (part(count, groups, i / parts), part(length, parts, i % parts));
        let is_last = i + 1 == groups * parts;
        let (segment, segments) = (segments.start, segments.len());
        Block { segment, segments, from: within.start, length: within.len(), is_last }
    })
}
