//! The innermost product: a tile of `C` in registers, one broadcast of `A` against a few vectors of `B`.
//!
//! How large a tile is belongs to the instruction set ([`Lanes::ROWS`], [`Lanes::VECTORS`]): its sums, the vectors of
//! `B` and one number of `A` must fit into the registers together, or a sum goes through memory at every step.

#![expect(unsafe_code, reason = "strided access through pointers, checked by the callers once per block")]

use crate::element::Element;
use crate::epilogue::{self, Epilogue};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::part_of_vectors;
use crate::simd::{Lanes, fetch};

/// Numbers between packed tiles of `B`, so that not all of them begin in the same set of a cache.
const GAP: usize = 16;

/// Where the operands' numbers lie.
#[derive(Clone, Copy)]
pub(crate) enum Operands<T> {
    /// `a[i][k]` lies at `a + i / ROWS * tile + i % ROWS * row + k * step`.
    Steps { a: *const T, tile: usize, row: usize, step: usize, b: Right<T> },
    /// `a[i][k]` lies at `a + rows[i] + steps[k]`, and `b` is packed.
    Offsets { a: *const T, rows: *const usize, steps: *const usize, b: *const T },
}

/// Where the rows of `B` lie. Every row can be read up to a whole vector.
#[derive(Clone, Copy)]
pub(crate) enum Right<T> {
    /// Packed as [`Tiles`] say.
    Packed(*const T),
    /// `b[k]` begins at `from + offsets[k]`.
    At { from: *const T, offsets: *const usize },
}

/// How columns are split into tiles, and packed: tile after tile, each with its rows one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Tiles {
    columns: usize,
    lanes: usize,
    pub(crate) count: usize,
    /// Numbers from one packed tile to the next.
    pub(crate) step: usize,
}

impl Tiles {
    /// The tiles of `columns` columns, packed with `depth` rows.
    pub(crate) fn new<T: Element>(isa: Isa, columns: usize, depth: usize) -> Self {
        let (lanes, vectors) = (isa.lanes::<T>(), isa.vectors::<T>());
        Self::of(columns, depth, lanes, vectors)
    }

    #[inline(always)]
    fn of(columns: usize, depth: usize, lanes: usize, vectors: usize) -> Self {
        Self {
            columns,
            lanes,
            count: columns.div_ceil(lanes).div_ceil(vectors),
            step: depth * vectors * lanes + GAP,
        }
    }

    /// The numbers that all packed tiles take.
    pub(crate) fn len(&self) -> usize {
        self.count * self.step
    }

    /// First column, number of columns, and how far its packed rows are apart, of a tile.
    #[inline(always)]
    pub(crate) fn get(&self, tile: usize) -> (usize, usize, usize) {
        let columns = part_of_vectors(self.columns, self.lanes, self.count, tile);
        (columns.start, columns.len(), columns.len().next_multiple_of(self.lanes))
    }
}

/// What follows the sums of a block.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a, T> {
    pub(crate) epilogue: &'a Epilogue<'a, T>,
    /// The output channel of the block's first row, or of its first column.
    pub(crate) channel: usize,
    pub(crate) channels: Channels,
    /// Where `c[0][0]` lies in the output, and so in the residual.
    pub(crate) at: usize,
}

/// Which side of the product the output's channels are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channels {
    Rows,
    Columns,
}

/// A product: `c[i][j] = sum over k of a[i][k] * b[k][j]`, and what follows.
pub struct Block<'a, T> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Length of the sums.
    pub(crate) depth: usize,
    pub(crate) operands: Operands<T>,
    /// `c[i]` begins at `c + i * c_row`.
    pub(crate) c: *mut T,
    pub(crate) c_row: usize,
    /// Whether the sums go on from what is in `c`: the same bits, however they are divided into blocks.
    pub(crate) add: bool,
    pub(crate) finish: Option<Finish<'a, T>>,
}

/// Computes a block, tile by tile.
///
/// # Safety
/// Every element that the block's fields name can be read, and those of `c` written.
#[inline]
pub(crate) unsafe fn run<T: Element>(isa: Isa, block: &Block<'_, T>) {
    // SAFETY: the caller's promise.
    unsafe { T::multiply(isa, block) };
}

/// What [`Element::multiply`] is for both types: these many functions are compiled in this crate, once, and not in
/// every crate that uses a kernel.
///
/// # Safety
/// As [`run`].
#[inline(always)]
pub(crate) unsafe fn multiply<T: Element>(isa: Isa, block: &Block<'_, T>) {
    dispatch(isa, Run { block });
}

struct Run<'b, 'a, T> {
    block: &'b Block<'a, T>,
}

impl<T: Element> Kernel<T> for Run<'_, '_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let block = self.block;
        let tiles = Tiles::of(block.columns, block.depth, S::N, S::VECTORS);
        for tile in 0..tiles.count {
            let (first, columns, b_step) = tiles.get(tile);
            // A tile of `B` stays in the first-level cache while `A` passes by.
            let mut row = 0;
            while row < block.rows {
                let rest = block.rows - row;
                let rows = match block.operands {
                    Operands::Offsets { .. } => S::rows_apart(rest),
                    Operands::Steps { .. } => S::rows(rest),
                };
                // SAFETY: a `Run` is made by `run` alone, whose caller promises what this needs; rows and columns
                // are cut to the block and are at least one.
                unsafe {
                    let tile = Tile {
                        block,
                        b: tile * tiles.step,
                        b_step,
                        row,
                        first,
                        columns,
                        c: block.c.add(row * block.c_row + first),
                    };
                    S::tile(rows, columns.div_ceil(S::N), &tile);
                }
                row += rows;
            }
        }
    }
}

/// One tile of a block.
pub struct Tile<'b, 'a, T> {
    block: &'b Block<'a, T>,
    /// Where the tile is in a packed `B`, and how far its rows are apart there.
    b: usize,
    b_step: usize,
    /// The tile's first row and column, and its columns.
    row: usize,
    first: usize,
    columns: usize,
    c: *mut T,
}

/// Implements [`Lanes::tile`] for tiles of up to so many rows and vectors: the last arms are the largest tile.
///
/// Every size and kind of operands is a function of its own, where its attributes say so: together, the compiler would
/// find too few registers for them and keep a sum of the largest in memory.
macro_rules! tile {
    (
        $(#[$attribute:meta])*
        $($rows:literal)*, $all_rows:literal; $($vectors:literal)*, $all_vectors:literal
    ) => {
        const ROWS: usize = $all_rows;
        const VECTORS: usize = $all_vectors;

        #[inline(always)]
        unsafe fn tile(rows: usize, vectors: usize, tile: &$crate::gemm::micro::Tile<'_, '_, Self::Elem>) {
            use $crate::gemm::micro::{IN_PLACE, OFFSETS, PACKED};
            $(#[$attribute])*
            unsafe fn fixed<S: Lanes, const ROWS: usize, const VECTORS: usize, const KIND: u8>(
                tile: &$crate::gemm::micro::Tile<'_, '_, S::Elem>,
            ) {
                // SAFETY: the caller's promise.
                unsafe { $crate::gemm::micro::fixed::<S, ROWS, VECTORS, KIND>(tile) }
            }
            macro_rules! kinds {
                ($r:literal, $v:literal) => {
                    // SAFETY: the caller's promise.
                    unsafe {
                        match tile.kind() {
                            PACKED => fixed::<Self, $r, $v, PACKED>(tile),
                            IN_PLACE => fixed::<Self, $r, $v, IN_PLACE>(tile),
                            _ => fixed::<Self, $r, $v, OFFSETS>(tile),
                        }
                    }
                };
            }
            macro_rules! rows {
                ($v:literal) => {
                    match rows {
                        $($rows => kinds!($rows, $v),)*
                        _ => kinds!($all_rows, $v),
                    }
                };
            }
            match vectors {
                $($vectors => rows!($vectors),)*
                _ => rows!($all_vectors),
            }
        }
    };
}
pub(crate) use tile;

/// The kinds of [`Operands`], as constants of the functions made for each.
pub(crate) const PACKED: u8 = 0;
pub(crate) const IN_PLACE: u8 = 1;
pub(crate) const OFFSETS: u8 = 2;

impl<T> Tile<'_, '_, T> {
    /// How far its first row is from the block's in `a`.
    #[inline(always)]
    fn a<S: Lanes>(&self, tile: usize, row: usize) -> usize {
        self.row / S::ROWS * tile + self.row % S::ROWS * row
    }

    pub(crate) fn kind(&self) -> u8 {
        match self.block.operands {
            Operands::Steps { b: Right::Packed(_), .. } => PACKED,
            Operands::Steps { b: Right::At { .. }, .. } => IN_PLACE,
            Operands::Offsets { .. } => OFFSETS,
        }
    }
}

/// A tile of exactly `ROWS` rows and `VECTORS` vectors, of which the last may be cut.
///
/// # Safety
/// The tile has these and its kind is `KIND`, and its block's elements can be read and written.
#[inline(always)]
pub(crate) unsafe fn fixed<S: Lanes, const ROWS: usize, const VECTORS: usize, const KIND: u8>(
    tile: &Tile<'_, '_, S::Elem>,
) {
    let block = tile.block;
    let last = tile.columns - (VECTORS - 1) * S::N;
    // SAFETY: the caller's promise for rows below `ROWS`, columns below `tile.columns` and `k` below the block's
    // depth; the last vector is cut where it isn't whole.
    unsafe {
        let mut sums = [[S::splat(S::Elem::ZERO); VECTORS]; ROWS];
        for (i, row) in sums.iter_mut().enumerate() {
            for (v, sum) in row.iter_mut().enumerate() {
                let at = tile.c.wrapping_add(i * block.c_row + v * S::N);
                if block.add {
                    let cut = v + 1 == VECTORS && last < S::N;
                    *sum = if cut { S::load_part(at, last) } else { S::load(at) };
                } else {
                    // What is written at the end is on its way meanwhile: rows lie too far apart to be foreseen.
                    fetch(at);
                }
            }
        }
        match block.operands {
            Operands::Steps { a, tile: a_tile, row, step, b: Right::Packed(b) } if KIND == PACKED => {
                let (a, b) = (a.wrapping_add(tile.a::<S>(a_tile, row)), b.add(tile.b));
                accumulate::<S, ROWS, VECTORS>(block.depth, (a, row, step), (b, tile.b_step), &mut sums);
            }
            Operands::Steps { a, tile: a_tile, row, step, b: Right::At { from, offsets } }
                if KIND == IN_PLACE =>
            {
                let (a, b) = (a.wrapping_add(tile.a::<S>(a_tile, row)), from.wrapping_add(tile.first));
                accumulate_in_place::<S, ROWS, VECTORS>(block.depth, (a, row, step), (b, offsets), &mut sums);
            }
            Operands::Offsets { a, rows, steps, b } if KIND == OFFSETS => {
                let (rows, b) = (rows.add(tile.row), b.add(tile.b));
                accumulate_offsets::<S, ROWS, VECTORS>(
                    block.depth,
                    (a, rows, steps),
                    (b, tile.b_step),
                    &mut sums,
                );
            }
            // SAFETY: the caller promises that the kind is `KIND`, and each is above.
            _ => std::hint::unreachable_unchecked(),
        }
        if let Some(finish) = block.finish {
            end::<S, ROWS, VECTORS>(tile, &finish, last, &mut sums);
        }
        for (i, row) in sums.iter().enumerate() {
            for (v, sum) in row.iter().enumerate() {
                let to = tile.c.add(i * block.c_row + v * S::N);
                if v + 1 == VECTORS && last < S::N { sum.store_part(to, last) } else { sum.store(to) }
            }
        }
    }
}

/// Does to the sums what follows, in their registers.
///
/// # Safety
/// As [`fixed`].
#[inline(always)]
unsafe fn end<S: Lanes, const ROWS: usize, const VECTORS: usize>(
    tile: &Tile<'_, '_, S::Elem>,
    finish: &Finish<'_, S::Elem>,
    last: usize,
    sums: &mut [[S; VECTORS]; ROWS],
) {
    let epilogue = finish.epilogue;
    let by_rows = finish.channels == Channels::Rows;
    let channel = finish.channel + if by_rows { tile.row } else { tile.first };
    let residual = epilogue.residual.map(|residual| {
        let at = finish.at + tile.row * tile.block.c_row + tile.first;
        residual.as_ptr().wrapping_add(at)
    });
    let (scale, shift) = (
        epilogue.scale.map(|scale| scale.as_ptr().wrapping_add(channel)),
        epilogue.shift.map(|shift| shift.as_ptr().wrapping_add(channel)),
    );
    for (i, row) in sums.iter_mut().enumerate() {
        for (v, sum) in row.iter_mut().enumerate() {
            let cut = v + 1 == VECTORS && last < S::N;
            // SAFETY: scale and shift have a number for each channel of the block, which are its rows or columns,
            // and the residual one for each of `c`.
            *sum = unsafe {
                let load = |from| if cut { S::load_part(from, last) } else { S::load(from) };
                let of = |values: *const S::Elem| {
                    if by_rows { S::splat(*values.add(i)) } else { load(values.add(v * S::N)) }
                };
                let residual = residual.map(|from| load(from.add(i * tile.block.c_row + v * S::N)));
                epilogue::finish(*sum, scale.map(of), shift.map(of), residual, epilogue.activation)
            };
        }
    }
}

#[inline(always)]
unsafe fn accumulate<S: Lanes, const ROWS: usize, const VECTORS: usize>(
    depth: usize,
    (mut a, a_row, a_step): (*const S::Elem, usize, usize),
    (mut b, b_step): (*const S::Elem, usize),
    sums: &mut [[S; VECTORS]; ROWS],
) {
    let mut local = *sums;
    for _ in 0..depth {
        let mut vectors = [S::splat(S::Elem::ZERO); VECTORS];
        for (v, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: `b`'s rows can be read in whole vectors.
            *vector = unsafe { S::load(b.add(v * S::N)) };
        }
        for (i, row) in local.iter_mut().enumerate() {
            // SAFETY: row `i` and this `k` are among those the caller promises.
            let left = S::splat(unsafe { *a.add(i * a_row) });
            for (sum, &vector) in row.iter_mut().zip(&vectors) {
                *sum = sum.fma(left, vector);
            }
        }
        // One past the last is never read: wrapping keeps its computation defined.
        a = a.wrapping_add(a_step);
        b = b.wrapping_add(b_step);
    }
    *sums = local;
}

#[inline(always)]
unsafe fn accumulate_in_place<S: Lanes, const ROWS: usize, const VECTORS: usize>(
    depth: usize,
    (mut a, a_row, a_step): (*const S::Elem, usize, usize),
    (b, offsets): (*const S::Elem, *const usize),
    sums: &mut [[S; VECTORS]; ROWS],
) {
    let mut local = *sums;
    for k in 0..depth {
        // SAFETY: there is an offset for every `k`.
        let b = b.wrapping_add(unsafe { *offsets.add(k) });
        let mut vectors = [S::splat(S::Elem::ZERO); VECTORS];
        for (v, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: `b`'s rows can be read in whole vectors.
            *vector = unsafe { S::load(b.add(v * S::N)) };
        }
        for (i, row) in local.iter_mut().enumerate() {
            // SAFETY: row `i` and this `k` are among those the caller promises.
            let left = S::splat(unsafe { *a.add(i * a_row) });
            for (sum, &vector) in row.iter_mut().zip(&vectors) {
                *sum = sum.fma(left, vector);
            }
        }
        // As in `accumulate`.
        a = a.wrapping_add(a_step);
    }
    *sums = local;
}

#[inline(always)]
unsafe fn accumulate_offsets<S: Lanes, const ROWS: usize, const VECTORS: usize>(
    depth: usize,
    (a, rows, steps): (*const S::Elem, *const usize, *const usize),
    (mut b, b_step): (*const S::Elem, usize),
    sums: &mut [[S; VECTORS]; ROWS],
) {
    let mut a = [a; ROWS];
    for (i, a) in a.iter_mut().enumerate() {
        // SAFETY: there is an offset for every row.
        *a = a.wrapping_add(unsafe { *rows.add(i) });
    }
    let mut local = *sums;
    for k in 0..depth {
        // SAFETY: there is an offset for every `k`.
        let step = unsafe { *steps.add(k) };
        let mut vectors = [S::splat(S::Elem::ZERO); VECTORS];
        for (v, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: `b`'s rows can be read in whole vectors.
            *vector = unsafe { S::load(b.add(v * S::N)) };
        }
        for (row, a) in local.iter_mut().zip(a) {
            // SAFETY: this row and this `k` are among those the caller promises.
            let left = S::splat(unsafe { *a.add(step) });
            for (sum, &vector) in row.iter_mut().zip(&vectors) {
                *sum = sum.fma(left, vector);
            }
        }
        // As in `accumulate`.
        b = b.wrapping_add(b_step);
    }
    *sums = local;
}
