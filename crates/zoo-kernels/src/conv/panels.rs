//! How a product with an unfolded picture is divided: its columns are panels of a few tiles. Each task packs the panel that it
//! goes by, or, where few panels meet many rows, all are packed first, and as many tasks as are wanted go by each.

use std::ops::Range;

use crate::element::Element;
use crate::gemm::micro::Tiles;
use crate::isa::Isa;
use crate::par::part_of_vectors;

/// Rows of the unfolded picture that are packed at once: the longer the sums in registers, the less is stored and added
/// to again. A tile of them, at most 144 KiB of f32, has to stay in the second-level cache.
const DEPTH: usize = 768;
/// Rows of weights that a task takes at least, so that packing is small beside the product.
const MIN_ROWS: usize = 128;
/// The same where the panel is packed already, and small tasks are as good as large ones.
const MIN_ROWS_PACKED: usize = 64;
/// Columns of a panel, at most: the weights pass by once for each.
const WIDE: usize = 384;
/// Tasks worth having: enough for threads to even out, few enough to pack little twice.
pub(super) const TASKS: usize = 16;
/// What panels may take that are packed first: 8 MiB of f32.
const MOST: usize = 1 << 21;

/// The sizes of a product.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) pictures: usize,
    pub(super) groups: usize,
    /// Rows of weights, channels of the source in a group, and taps.
    pub(super) rows: usize,
    pub(super) channels: usize,
    pub(super) taps: usize,
    /// Pixels of a picture's grid; whether its rows follow each other as the target's do.
    pub(super) pixels: usize,
    pub(super) is_gapless: bool,
    /// Whether nothing is packed.
    pub(super) in_place: bool,
}

/// Columns of the product as panels of a few tiles, as even as can be.
pub(super) struct Panels {
    isa: Isa,
    sizes: Sizes,
    /// Columns that are split as one, and how often: pictures each by itself, or all as one.
    columns: usize,
    pub(super) repeats: usize,
    pub(super) count: usize,
    lanes: usize,
    /// Channels that are packed at once.
    pub(super) block: usize,
}

impl Panels {
    pub(super) fn new<T: Element>(isa: Isa, sizes: Sizes) -> Self {
        let Sizes { pictures, groups, rows, channels, taps, pixels, is_gapless, in_place } = sizes;
        let lanes = isa.lanes::<T>();
        // Pictures that would leave much of their last vector unused are joined.
        let joined = !in_place && is_gapless && !pixels.is_multiple_of(lanes) && pixels < 12 * lanes;
        let (columns, repeats) = if joined { (pictures * pixels, 1) } else { (pixels, pictures) };
        let tile = isa.vectors::<T>() * lanes;
        let tiles = columns.div_ceil(tile);
        // Wide panels read longer runs of the picture's rows, but there must be work for all threads.
        let others = repeats * groups * rows.div_ceil(MIN_ROWS);
        let wide = (tiles / TASKS.div_ceil(others)).clamp(1, WIDE / tile);
        let block = (DEPTH / taps).clamp(1, channels);
        Self { isa, sizes, columns, repeats, count: tiles.div_ceil(wide), lanes, block }
    }

    /// The columns of a panel.
    pub(super) fn get(&self, panel: usize) -> Range<usize> {
        part_of_vectors(self.columns, self.lanes, self.count, panel)
    }

    /// All panels, in every picture and group.
    pub(super) fn all(&self) -> usize {
        self.count * self.repeats * self.sizes.groups
    }

    /// Parts of the rows, each of as many rows: those of the tasks that go by a packed panel, or at most `wanted` of those that
    /// pack it.
    pub(super) fn parts<T: Element>(&self, wanted: Option<usize>) -> (usize, usize) {
        let rows = self.sizes.rows;
        let parts = match wanted {
            Some(wanted) => wanted.min(rows.div_ceil(MIN_ROWS)),
            None => rows.div_ceil(MIN_ROWS_PACKED),
        };
        let each = rows.div_ceil(parts).next_multiple_of(self.isa.rows::<T>());
        (rows.div_ceil(each), each)
    }

    /// The numbers of a whole block's tiles in a panel of so many columns.
    pub(super) fn block_len<T: Element>(&self, columns: usize) -> usize {
        Tiles::new::<T>(self.isa, columns, self.block * self.sizes.taps).len()
    }

    /// The numbers that every panel takes at most, if all are to be packed first.
    pub(super) fn packed_first<T: Element>(&self) -> Option<usize> {
        let Sizes { rows, channels, in_place, .. } = self.sizes;
        let few = !in_place && rows > MIN_ROWS && self.all() < TASKS / 2;
        let widest = (0..self.count).map(|panel| self.get(panel).len()).max().filter(|_| few)?;
        let each = channels.div_ceil(self.block) * self.block_len::<T>(widest);
        (self.all().saturating_mul(each) <= MOST).then_some(each)
    }
}
