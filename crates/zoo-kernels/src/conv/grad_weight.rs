//! The gradients of weight and bias.
//!
//! The weight's gradient is a product whose sums run over all pixels of all pictures: `unfolded picture x turned
//! gradient`, of which the unfolded picture is read in place, and of the output's gradient the channels of each
//! pixel are laid side by side, a few hundred pixels at a time. The result, whose rows are (channel, tap), is
//! turned into the weight's layout while it is in the cache. A dense 1x1 kernel's unfolded picture is the picture:
//! there it may be the other way round, the input turned and the gradient read in place. Pictures whose padded copies would
//! take much memory take turns, and what each turn comes to is added up.
//!
//! Where the result is small and the sums are long, the pixels are split among tasks and their sums added up
//! in order; where it is large, its rows and columns are. How finely the pixels are follows from the shapes alone.

#![expect(unsafe_code, reason = "tiles read and write through pointers; the bounds are the view's")]

use super::depthwise;
use super::forward::view;
use super::method::{Method, Pass, pick};
use super::pairs;
use super::runs::{Runs, Tap, View};
use super::spec::Conv2d;
use super::unfolded::{self, Unfolded};
use super::winograd;
use crate::caches::Caches;
use crate::element::{Checked, Element};
use crate::error::{Result, Shape, check_len};
use crate::gemm::micro::{self, Block, Operands, Tiles};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, pieces, tasks};
use crate::scratch;
use crate::simd::{Lanes, transpose};

/// Pixels that are turned at once.
const DEPTH: usize = 256;
/// Tasks worth having.
const TASKS: usize = 8;
/// The numbers of the result that a task is worth: with fewer, and long sums, the pixels are split.
const WORTH: usize = 1 << 16;
/// The most vectors across a task's part of the result.
const WIDE: usize = 18;
/// Rows of the result that a task takes at least, so that turning is small beside the product.
const MIN_ROWS: usize = 64;
/// The largest padded copy, unless a picture's is larger: 16 MiB of f32.
const MOST: usize = 1 << 22;

/// `grad_weight` = the sum over all pixels of `grad_out * input`, and `grad_bias` that of `grad_out` alone.
///
/// `shape` is the input's; `grad_out` has [`Conv2d::output_shape`], `grad_weight` [`Conv2d::weight_shape`].
///
/// # Errors
/// As [`super::forward`].
pub fn grad_weight<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
    grad_bias: Option<&mut [T]>,
) -> Result<()> {
    let op = "conv2d grad_weight";
    let output = spec.output_shape(shape)?;
    check_len(op, "input", input.len(), &shape)?;
    check_len(op, "grad_out", grad_out.len(), &output)?;
    check_len(op, "grad_weight", grad_weight.len(), &spec.weight_shape())?;
    if let Some(grad_bias) = grad_bias {
        check_len(op, "grad_bias", grad_bias.len(), &[spec.out_channels])?;
        T::channel_sums(Checked, output, grad_out, grad_bias);
    }
    T::conv_grad_weight(Checked, spec, shape, output, input, grad_out, grad_weight);
    Ok(())
}

/// The weight's gradient with everything checked.
pub(super) fn correlate_weights<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    output: Shape,
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
) {
    let method = pick(Pass::GradWeight, spec, shape, output);
    match method {
        Method::Depthwise => {
            return depthwise::grad_weight(spec, shape, output, input, grad_out, grad_weight);
        }
        Method::Pairs => return pairs::grad_weight(spec, shape, output, input, grad_out, grad_weight),
        Method::WinogradPanels | Method::WinogradBlocks => {
            return winograd::grad_weight(spec, shape, [output[2], output[3]], input, grad_out, grad_weight);
        }
        Method::GradientInPlace | Method::InPlace | Method::Padded | Method::Packed => {}
    }
    let spec = &spec.bounded(shape, output);
    let isa = Isa::current();
    let [n, c, h, w] = shape;
    let [_, o, oh, ow] = output;
    let (channels, outs) = (c / spec.groups, o / spec.groups);
    let turned = method != Method::GradientInPlace;
    let (view, left, right) = if turned {
        (view(spec, shape, [oh, ow]), (input, channels), (grad_out, outs))
    } else {
        let taps = vec![Tap { dy: 0, dx: 0 }];
        let view = View { source: [oh, ow], source_picture: o * oh * ow, grid: [oh, ow], step: [1, 1], taps };
        (view, (grad_out, outs), (input, channels))
    };
    let right_picture = spec.groups * right.1 * oh * ow;
    let at_once = pictures_at_once(method, &view, n, spec.groups * left.1);
    let mut turn = scratch::take_shared::<T>(if at_once < n { grad_weight.len() } else { 0 });
    for first in (0..n).step_by(at_once) {
        let pictures = at_once.min(n - first);
        let source = &left.0[first * view.source_picture..][..pictures * view.source_picture];
        let product = Product {
            isa,
            unfolded: match method {
                Method::Packed => None,
                _ => Unfolded::new(isa, &view, left.1, source),
            },
            view: &view,
            source,
            channels: left.1,
            source_channel: if turned { h * w } else { oh * ow },
            rows: left.1 * view.taps.len(),
            right: &right.0[first * right_picture..][..pictures * right_picture],
            columns: right.1,
            groups: spec.groups,
            picture_pixels: oh * ow,
            pixels: pictures * oh * ow,
            turned,
        };
        if first == 0 {
            product.run(grad_weight);
        } else {
            product.run(&mut turn);
            add(grad_weight, &turn);
        }
    }
}

/// How many of `n` pictures of so many planes take part at once: all, unless padded copies of all would be large.
pub(super) fn pictures_at_once(method: Method, view: &View, n: usize, planes: usize) -> usize {
    match method {
        Method::Packed | Method::GradientInPlace => n,
        _ => (MOST / unfolded::copied(view, planes).max(1)).min(n).max(1),
    }
}

/// Adds sums of as many numbers, or several of them one after the other.
fn add<T: Element>(sums: &mut [T], more: &[T]) {
    let len = sums.len();
    pieces(sums, 1 << 12, |start, sums| {
        for other in more.chunks_exact(len) {
            for (sum, &more) in sums.iter_mut().zip(&other[start..]) {
                *sum += more;
            }
        }
    });
}

/// The product of every group, its sums running over all pixels.
struct Product<'a, T: Element> {
    isa: Isa,
    /// The left side's view, its numbers in place if they can be had, its channels in each group.
    view: &'a View,
    unfolded: Option<Unfolded<'a, T>>,
    source: &'a [T],
    channels: usize,
    source_channel: usize,
    rows: usize,
    /// The right side, and its channels in each group.
    right: &'a [T],
    columns: usize,
    groups: usize,
    picture_pixels: usize,
    pixels: usize,
    /// Whether the result's rows are the weight's columns.
    turned: bool,
}

impl<T: Element> Product<'_, T> {
    fn run(&self, grad_weight: &mut [T]) {
        let lanes = self.isa.lanes::<T>();
        let vectors = self.columns.div_ceil(lanes);
        let across = vectors.div_ceil(WIDE);
        let part_vectors = vectors.div_ceil(across);
        let across = vectors.div_ceil(part_vectors);
        let rows = |numbers: usize| (numbers / (part_vectors * lanes)).max(MIN_ROWS);
        let mut down = self.rows.div_ceil(rows(WORTH));
        let wanted = TASKS.div_ceil(self.groups * across * down);
        let splits = wanted.min(self.pixels.div_ceil(4 * DEPTH));
        if splits == 1 {
            down = (down * wanted).min(self.rows.div_ceil(MIN_ROWS)).max(down);
        }
        // What one task sums up stays in the cache; how the pixels are split, which shows in the sums, doesn't follow it.
        down = down.max(self.rows.div_ceil(rows(Caches::current().block() / size_of::<T>())));
        // Nor does whether all threads get as many tasks.
        let threads = rayon::current_num_threads();
        let even = (down..down + threads)
            .find(|down| (splits * self.groups * across * down).is_multiple_of(threads));
        down = even.filter(|down| self.rows >= down * MIN_ROWS).unwrap_or(down);
        let span = self.pixels.div_ceil(splits).next_multiple_of(DEPTH);
        let splits = self.pixels.div_ceil(span);
        let part_rows = self.rows.div_ceil(down).next_multiple_of(self.isa.rows::<T>());
        let down = self.rows.div_ceil(part_rows);

        // The first split's sums are the result, to which the others' are added.
        let len = grad_weight.len();
        let mut more = scratch::take_shared::<T>((splits - 1) * len);
        let (first, others) = (Shared::new(grad_weight), Shared::new(&mut more));
        let work = self.pixels.saturating_mul(len) / 8;
        tasks(splits * self.groups * down * across, work, |task| {
            let (column, rest) = (task % across, task / across);
            let (row, rest) = (rest % down, rest / down);
            let (group, split) = (rest % self.groups, rest / self.groups);
            let (first_row, first_column) = (row * part_rows, column * part_vectors * lanes);
            let part = Part {
                all: self,
                result: if split == 0 { first.get() } else { others.get().wrapping_add((split - 1) * len) },
                group,
                pixels: [split * span, ((split + 1) * span).min(self.pixels)],
                first_row,
                rows: part_rows.min(self.rows - first_row),
                first_column,
                columns: (part_vectors * lanes).min(self.columns - first_column),
            };
            dispatch(self.isa, part);
        });
        if splits > 1 {
            add(grad_weight, &more);
        }
    }
}

/// One task: some rows and columns of one group's result, summed over one split's pixels.
struct Part<'a, T: Element> {
    all: &'a Product<'a, T>,
    result: *mut T,
    group: usize,
    pixels: [usize; 2],
    first_row: usize,
    rows: usize,
    first_column: usize,
    columns: usize,
}

impl<T: Element> Kernel<T> for Part<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (all, [begin, end]) = (self.all, self.pixels);
        let stride = self.columns.next_multiple_of(S::N);
        let mut right = scratch::take::<T>(Tiles::new::<T>(all.isa, self.columns, DEPTH).len());
        let mut aside = scratch::take::<T>(if all.turned { self.rows * stride } else { 0 });
        let result = self.result.wrapping_add(self.group * all.rows * all.columns);
        let (c, c_row) = if all.turned {
            (aside.as_mut_ptr(), stride)
        } else {
            (result.wrapping_add(self.first_row * all.columns + self.first_column), all.columns)
        };
        let mut left = LeftSide::new(all, self.group, S::ROWS);
        for start in (begin..end).step_by(DEPTH) {
            let depth = DEPTH.min(end - start);
            left.find(start, depth);
            self.turn::<S>(start, depth, &mut right);
            let mut row = 0;
            while row < self.rows {
                // SAFETY: these are rows of the product.
                let (count, a, rows) = unsafe { left.rows::<S>(self.first_row + row, self.rows - row) };
                let steps = left.steps.as_ptr();
                let block = Block {
                    rows: count,
                    columns: self.columns,
                    depth,
                    operands: Operands::Offsets { a, rows, steps, b: right.as_ptr() },
                    c: c.wrapping_add(row * c_row),
                    c_row,
                    add: start > begin,
                    finish: None,
                };
                // SAFETY: `a` has these rows and pixels, `b` these tiles, and `c` is this task's part of the result
                // or of the sums aside.
                unsafe { micro::run(all.isa, &block) };
                row += count;
            }
        }
        if all.turned {
            for column in (0..self.columns).step_by(S::N) {
                // SAFETY: of each of these columns, whose row in the weight is this task's from `first_row` on.
                unsafe {
                    let to = result.add((self.first_column + column) * all.rows + self.first_row);
                    let size = (self.rows, S::N.min(self.columns - column));
                    transpose::<S>(aside.as_ptr().add(column), stride, to, all.rows, size);
                }
            }
        }
    }
}

impl<T: Element> Part<'_, T> {
    /// Lays the columns' channels of each pixel side by side, tile after tile.
    #[inline(always)]
    fn turn<S: Lanes<Elem = T>>(&self, start: usize, depth: usize, right: &mut [T]) {
        let all = self.all;
        let tiles = Tiles::new::<T>(all.isa, self.columns, depth);
        let (pixels, channels) = (all.picture_pixels, all.groups * all.columns);
        for tile in 0..tiles.count {
            let (first, count, width) = tiles.get(tile);
            let channel = self.group * all.columns + self.first_column + first;
            let mut done = 0;
            while done < depth {
                let (picture, pixel) = ((start + done) / pixels, (start + done) % pixels);
                let len = (pixels - pixel).min(depth - done);
                // SAFETY: these are `count` channels of one picture and `len` pixels of each; the tile has
                // `depth` rows of `width >= count` numbers.
                unsafe {
                    let from = all.right.as_ptr().add((picture * channels + channel) * pixels + pixel);
                    let to = right.as_mut_ptr().add(tile * tiles.step + done * width);
                    transpose::<S>(from, pixels, to, width, (count, len));
                }
                done += len;
            }
        }
    }
}

/// The left side for one block of pixels: in place, or, where that can't be had, packed a few rows at a time.
struct LeftSide<'a, T: Element> {
    all: &'a Product<'a, T>,
    group: usize,
    steps: [usize; DEPTH],
    runs: Runs,
    packed: scratch::Scratch<T>,
    packed_rows: Vec<usize>,
}

impl<'a, T: Element> LeftSide<'a, T> {
    /// With room for `rows` packed rows.
    fn new(all: &'a Product<'a, T>, group: usize, rows: usize) -> Self {
        let rows = if all.unfolded.is_some() { 0 } else { rows };
        Self {
            all,
            group,
            steps: std::array::from_fn(|i| i),
            runs: Runs::default(),
            packed: scratch::take(rows * DEPTH),
            packed_rows: (0..rows).map(|i| i * DEPTH).collect(),
        }
    }

    fn find(&mut self, start: usize, depth: usize) {
        match &self.all.unfolded {
            Some(unfolded) => unfolded.columns(start, &mut self.steps[..depth]),
            None => self.runs.find(self.all.view, start, depth),
        }
    }

    /// Where some of the `count` rows from `first` on lie, and how many of them.
    ///
    /// # Safety
    /// They are rows of the product.
    #[inline(always)]
    unsafe fn rows<S: Lanes<Elem = T>>(
        &mut self,
        first: usize,
        count: usize,
    ) -> (usize, *const T, *const usize) {
        let all = self.all;
        if let Some(unfolded) = &all.unfolded {
            let rows = unfolded.rows[first..first + count].as_ptr();
            let from = unfolded.numbers().as_ptr().wrapping_add(self.group * unfolded.group);
            return (count, from, rows);
        }
        let (count, taps) = (count.min(self.packed_rows.len()), all.view.taps.len());
        for i in 0..count {
            let (channel, tap) = ((first + i) / taps, (first + i) % taps);
            let from = (self.group * all.channels + channel) * all.source_channel;
            // SAFETY: the view's runs lie in every channel of the source; there are so many rows of `DEPTH` numbers.
            unsafe {
                let to = self.packed.as_mut_ptr().add(i * DEPTH);
                self.runs.pack_row::<S, T>(tap, all.source.as_ptr().add(from), to);
            }
        }
        (count, self.packed.as_ptr(), self.packed_rows.as_ptr())
    }
}
