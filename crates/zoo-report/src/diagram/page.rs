//! The page: parts in columns, side results beside them, heading and legend.

use std::collections::BTreeSet;

use super::{
    Drawing, End,
    cells::{Look, shape},
    fold::drawn,
    layout::{Block, Layout, Tail, all_drawn},
    marks::{Anchor, Mark, Style},
};

const MARGIN: f32 = 36.0;
/// Between a column and the line that leads to the next, and on.
const GUTTER: f32 = 30.0;
const ARROW: f32 = 34.0;
const HEADING: f32 = 66.0;
/// Width over height that a page should have, about.
const ASPECT: f32 = 1.3;
const MOST_COLUMNS: usize = 12;
/// How much empty paper weighs beside a wrong shape of the page.
const WASTE: f32 = 0.9;

/// A page of marks.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) width: f32,
    pub(crate) height: f32,
    pub(crate) marks: Vec<Mark>,
}

/// Something that leaves the line behind a part.
struct Leaving {
    part: usize,
    block: Block,
}

/// A column with its parts placed from its axis.
struct Column {
    block: Block,
    /// Whether the line that comes in ends at a box.
    pointed: bool,
    /// Where the line leaves, before the lower end.
    out: Tail,
}

/// The whole network on a page.
pub(crate) fn page(drawing: &Drawing) -> Page {
    let layout = Layout { cells: &drawing.cells };
    let mut parts: Vec<Block> = drawing.units.iter().map(|unit| layout.unit(unit, 0)).collect();
    let firsts: Vec<usize> =
        drawing.units.iter().map(|unit| drawn(unit).into_iter().min().unwrap_or(0)).collect();
    parts.push(end(&layout, &drawing.end));
    let leaving: Vec<Leaving> = drawing
        .asides
        .iter()
        .map(|aside| {
            let part = firsts.iter().rposition(|first| *first <= aside.from).unwrap_or(0);
            let mut block = layout.line(&aside.units, 0);
            let pill = end(&layout, &aside.end);
            if let Some(tail) = block.tails.first().copied() {
                let bottom = block.height;
                layout.arrow(&mut block, tail, (0.0, bottom + ARROW), true);
                block.take(&pill, (0.0, bottom + ARROW));
                block.height += ARROW + pill.height;
            } else {
                block = pill;
            }
            Leaving { part, block }
        })
        .collect();
    let heights: Vec<f32> = parts.iter().map(|part| part.height + ARROW).collect();
    let pages = splits(&heights).into_iter().map(|ends| {
        let columns: Vec<Column> =
            ends.windows(2).map(|ends| column(&layout, &parts, ends[0]..ends[1], &leaving)).collect();
        laid(&layout, &columns)
    });
    let strain = |page: &Block| {
        let (width, height) = (page.width(), page.height + HEADING);
        let area: f32 = parts.iter().map(|part| part.width().max(200.0) * (part.height + ARROW)).sum();
        (width / height / ASPECT).ln().abs() + WASTE * (1.0 - area / (width * height)).max(0.0)
    };
    let best = pages.map(|page| (strain(&page), page)).min_by(|a, b| a.0.total_cmp(&b.0));
    let best = best.map(|(_, page)| page).unwrap_or_default();
    framed(drawing, best)
}

fn end(layout: &Layout<'_>, end: &End) -> Block {
    let when = if end.training_only { " (training only)" } else { "" };
    layout.end(&format!("{}{when}", end.names.join(", ")), None, end.shape)
}

/// Ways to fill columns: places among the parts, from 0 to their number, for every height that columns can have.
fn splits(heights: &[f32]) -> BTreeSet<Vec<usize>> {
    let tallest = heights.iter().copied().fold(0.0, f32::max);
    let sums = (0..heights.len()).flat_map(|from| {
        heights[from..].iter().scan(0.0, |sum, height| {
            *sum += height;
            Some(*sum)
        })
    });
    let filled = sums.filter(|limit| *limit >= tallest).map(|limit| {
        let mut ends = vec![0];
        let mut used = 0.0;
        for (place, height) in heights.iter().enumerate() {
            if used + height > limit + 0.5 {
                ends.push(place);
                used = 0.0;
            }
            used += height;
        }
        ends.push(heights.len());
        ends
    });
    // A result, and the layer that gives it, are no column by themselves.
    let is_whole = |ends: &Vec<usize>| ends.len() == 2 || ends[ends.len() - 2] + 2 < heights.len();
    filled.filter(|ends| ends.len() <= MOST_COLUMNS + 1 && is_whole(ends)).collect()
}

/// Parts one below the other, and beside them what leaves the line.
fn column(
    layout: &Layout<'_>,
    parts: &[Block],
    range: std::ops::Range<usize>,
    leaving: &[Leaving],
) -> Column {
    let mut block = Block::default();
    let mut bottoms = Vec::new();
    for (place, part) in parts[range.clone()].iter().enumerate() {
        if place > 0 {
            let top = block.height;
            let tail = Tail { at: (0.0, top), ..parts[range.start + place - 1].tails[0] };
            layout.arrow(&mut block, tail, (0.0, top + ARROW), part.pointed());
            block.height += ARROW;
        }
        let top = block.height;
        block.take(part, (0.0, top));
        block.height += part.height;
        bottoms.push(block.height);
    }
    let foot = block.height;
    let mut lane = block.right;
    let mut taken = f32::MIN;
    for aside in leaving.iter().filter(|aside| range.contains(&aside.part)) {
        let y = bottoms[aside.part - range.start] + 7.0;
        if y < taken {
            // The one above is still there: further to the right.
            lane = block.right;
        }
        let x = lane + GUTTER + aside.block.left;
        let top = y + 24.0;
        block.marks.push(Mark::Line { points: vec![(0.0, y), (x, y), (x, top)], arrow: true });
        block.take(&aside.block, (x, top));
        taken = top + aside.block.height + 8.0;
        block.height = block.height.max(top + aside.block.height);
    }
    let shape = parts[range.end - 1].tails[0].shape;
    Column { block, pointed: parts[range.start].pointed(), out: Tail { at: (0.0, foot), shape } }
}

/// Columns side by side, each led to the top of the next.
fn laid(layout: &Layout<'_>, columns: &[Column]) -> Block {
    let mut page = Block::default();
    let mut axis = columns.first().map_or(0.0, |column| column.block.left);
    let above = if columns.len() > 1 { ARROW + 6.0 } else { 0.0 };
    for (place, Column { block, out, .. }) in columns.iter().enumerate() {
        page.take(block, (axis, above));
        page.height = page.height.max(above + block.height);
        let Some(next) = columns.get(place + 1) else { continue };
        let gutter = axis + block.right + GUTTER;
        let to = gutter + GUTTER + next.block.left;
        let turn = above + block.height + 20.0;
        let bend = above - ARROW - 2.0;
        let points = vec![
            (axis, above + out.at.1),
            (axis, turn),
            (gutter, turn),
            (gutter, bend),
            (to, bend),
            (to, above - ARROW),
        ];
        page.marks.push(Mark::Line { points, arrow: false });
        layout.arrow(
            &mut page,
            Tail { at: (to, above - ARROW), shape: out.shape },
            (to, above),
            next.pointed,
        );
        page.height = page.height.max(turn);
        axis = to;
    }
    page
}

/// Heading, page and legend with a margin around.
fn framed(drawing: &Drawing, page: Block) -> Page {
    let mut marks = Vec::new();
    let text =
        |x: f32, y: f32, style, text: String| Mark::Text { at: (x, y), anchor: Anchor::Start, style, text };
    marks.push(text(MARGIN, MARGIN + 20.0, Style::Heading, drawing.name.clone()));
    let figures = format!(
        "{} parameters · {} MACs · {}",
        crate::thousands(drawing.params),
        crate::short(drawing.macs),
        shape(drawing.input)
    );
    marks.push(text(MARGIN, MARGIN + 42.0, Style::Small, figures));
    let top = MARGIN + HEADING;
    marks.extend(page.marks.iter().map(|mark| mark.clone().moved((MARGIN, top))));
    let mut right = marks.iter().map(|mark| mark.extent()[2]).fold(0.0, f32::max);
    let legend = top + page.height + 34.0;
    let looks: BTreeSet<Look> =
        all_drawn(&drawing.units).into_iter().map(|cell| drawing.cells[cell].look).collect();
    let (mut x, mut y) = (MARGIN, legend);
    let widest = right.max(MARGIN + 420.0);
    for look in looks {
        let Some(words) = look.legend() else { continue };
        let width = 22.0 + Style::Small.width(words) + 18.0;
        if x + width > widest && x > MARGIN {
            (x, y) = (MARGIN, y + 22.0);
        }
        let class = format!("box {}", look.class());
        marks.push(Mark::Box { at: (x, y), size: (16.0, 12.0), radius: 3.0, class, tip: String::new() });
        marks.push(text(x + 22.0, y + 10.0, Style::Small, words.into()));
        x += width;
    }
    for words in ["in boxes: parameters · multiply-accumulates", "on arrows: channels×height×width"] {
        let width = Style::Small.width(words) + 18.0;
        if x + width > widest && x > MARGIN {
            (x, y) = (MARGIN, y + 22.0);
        }
        marks.push(text(x, y + 10.0, Style::Small, words.into()));
        x += width;
    }
    right = marks.iter().map(|mark| mark.extent()[2]).fold(right, f32::max);
    Page { width: right + MARGIN, height: y + 12.0 + MARGIN, marks }
}
