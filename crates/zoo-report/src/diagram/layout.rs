//! Where everything stands: blocks with an axis, set one below the other or side by side.

use zoo_layers::Shape;

use super::{
    cells::{Cell, Look, shape},
    fold::{Side, Unit, drawn},
    marks::{Anchor, Mark, Point, Style},
};

/// Length of an arrow with a shape beside it.
const ARROW: f32 = 34.0;
/// Length of one without.
const STUB: f32 = 16.0;
/// Between branches.
const GAP: f32 = 18.0;
/// Between a frame and what is in it.
const PADDING: f32 = 14.0;
/// Between a box and its text.
const INSET: f32 = 10.0;
/// From a sheet to the next behind it, where something repeats.
const SHEET: f32 = 4.0;
/// Of a sum.
const RADIUS: f32 = 10.0;

/// A part of the drawing. Its line comes in at (0, 0), and leaves at the tails.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    /// How far it reaches to the left of the axis.
    pub(crate) left: f32,
    pub(crate) right: f32,
    pub(crate) height: f32,
    pub(crate) marks: Vec<Mark>,
    /// Whether the line that comes in ends at a box, and has a point.
    pointed: bool,
    pub(crate) tails: Vec<Tail>,
}

/// Where a line leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) at: Point,
    /// What flows; none where it is the same as what came in.
    pub(crate) shape: Option<Shape>,
}

impl Block {
    fn push(&mut self, mark: Mark) {
        let [left, _, right, _] = mark.extent();
        self.left = self.left.max(-left);
        self.right = self.right.max(right);
        self.marks.push(mark);
    }

    /// Takes the marks of another, moved.
    pub(crate) fn take(&mut self, other: &Block, by: Point) {
        self.left = self.left.max(other.left - by.0);
        self.right = self.right.max(other.right + by.0);
        self.marks.extend(other.marks.iter().map(|mark| mark.clone().moved(by)));
    }

    /// Whether the line that comes in ends at a box, and has a point.
    pub(crate) fn pointed(&self) -> bool {
        self.pointed
    }

    pub(crate) fn width(&self) -> f32 {
        self.left + self.right
    }
}

/// Draws parts of one network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) cells: &'a [Cell],
}

impl Layout<'_> {
    /// Units one below the other.
    pub(crate) fn line(&self, units: &[Unit], depth: usize) -> Block {
        let mut line = Block { pointed: true, ..Block::default() };
        for (place, unit) in units.iter().enumerate() {
            let block = self.unit(unit, depth);
            if place == 0 {
                line.pointed = block.pointed;
            } else if let Some(tail) = line.tails.first().copied() {
                let bottom = line.height;
                self.arrow(&mut line, tail, (0.0, bottom + ARROW), block.pointed);
                line.height += ARROW;
            }
            let top = line.height;
            line.take(&block, (0.0, top));
            line.height += block.height;
            let moved = |tail: &Tail| Tail { at: (tail.at.0, tail.at.1 + top), ..*tail };
            line.tails = block.tails.iter().map(moved).collect();
        }
        line
    }

    /// An arrow straight down, with the shape beside it.
    pub(crate) fn arrow(&self, block: &mut Block, tail: Tail, to: Point, pointed: bool) {
        block.push(Mark::Line { points: vec![tail.at, to], arrow: pointed });
        if let Some(flows) = tail.shape {
            let at = (to.0 + 7.0, (tail.at.1 + to.1) / 2.0 + 3.0);
            block.push(Mark::Text { at, anchor: Anchor::Start, style: Style::Shape, text: shape(flows) });
        }
    }

    pub(crate) fn unit(&self, unit: &Unit, depth: usize) -> Block {
        match unit {
            Unit::Group { title, units, count } => self.group(title, units, *count, depth),
            Unit::Step { ways, cell: Some(cell), count } if ways.is_empty() => self.cell(*cell, *count),
            Unit::Step { ways, cell, .. } => {
                let look = cell.map(|cell| self.cells[cell].look);
                let fork = self.fork(ways, look, depth);
                match *cell {
                    Some(cell) => self.merge(fork, cell),
                    None => fork,
                }
            }
        }
    }

    /// A box: what it does, its figures, what follows.
    fn cell(&self, index: usize, count: usize) -> Block {
        let cell = &self.cells[index];
        if cell.look == Look::Picture {
            return self.end("picture", Some(cell.output), cell.output);
        }
        let mut lines = vec![(Style::Title, cell.title.clone())];
        if let Some(figures) = cell.figures() {
            let each = if count > 1 { " each" } else { "" };
            lines.push((Style::Small, figures + each));
        }
        if !cell.after.is_empty() {
            lines.push((Style::Small, cell.after.join(", ")));
        }
        let widest = lines.iter().map(|(style, text)| style.width(text)).fold(0.0, f32::max);
        let width = (widest + 2.0 * INSET).max(104.0);
        let height = 12.0 + lines.len() as f32 * 15.0;
        let behind = SHEET * (count.min(3) - 1) as f32;
        let mut block = Block { height: height + behind, pointed: true, ..Block::default() };
        let class = format!("box {}", cell.look.class());
        let size = (width, height);
        for sheet in (1..count.min(3)).rev() {
            let by = SHEET * sheet as f32;
            let at = (by - width / 2.0, by);
            let class = format!("{class} sheet");
            block.push(Mark::Box { at, size, radius: 7.0, class, tip: String::new() });
        }
        let tip = self.tip(index);
        block.push(Mark::Box { at: (-width / 2.0, 0.0), size, radius: 7.0, class, tip });
        for (place, (style, text)) in lines.into_iter().enumerate() {
            let at = (0.0, 18.0 + 15.0 * place as f32);
            block.push(Mark::Text { at, anchor: Anchor::Middle, style, text });
        }
        if count > 1 {
            badge(&mut block, (width / 2.0 + behind + 6.0, height / 2.0 - 10.0), count);
        }
        block.tails.push(Tail { at: (0.0, height + behind), shape: Some(cell.output) });
        block
    }

    /// Where the network begins or ends.
    pub(crate) fn end(&self, name: &str, told: Option<Shape>, flows: Shape) -> Block {
        let text = told.map_or(name.to_string(), |told| format!("{name} {}", shape(told)));
        let width = Style::End.width(&text) + 30.0;
        let mut block = Block { height: 28.0, pointed: true, ..Block::default() };
        let (at, size) = ((-width / 2.0, 0.0), (width, 28.0));
        block.push(Mark::Box { at, size, radius: 14.0, class: "box end".into(), tip: String::new() });
        block.push(Mark::Text { at: (0.0, 18.5), anchor: Anchor::Middle, style: Style::End, text });
        block.tails.push(Tail { at: (0.0, 28.0), shape: told.is_none().then_some(flows) });
        block
    }

    fn tip(&self, index: usize) -> String {
        let cell = &self.cells[index];
        let after = cell.after.iter().map(|word| format!(", {word}")).collect::<String>();
        let (params, macs) = (crate::thousands(cell.params), crate::thousands(cell.macs));
        format!(
            "{}: {}{after}\noutput {}\n{params} parameters, {macs} multiply-accumulates",
            cell.name,
            cell.title,
            shape(cell.output)
        )
    }

    /// Units in a frame with a name.
    fn group(&self, title: &str, units: &[Unit], count: usize, depth: usize) -> Block {
        let inner = self.line(units, depth + 1);
        let cells = units.iter().flat_map(|unit| counted(unit, 1));
        let (params, macs) = cells.fold((0, 0), |(params, macs), (cell, times)| {
            let cell = &self.cells[cell];
            (params + cell.params * times, macs + cell.macs * times)
        });
        let each = if count > 1 { " each" } else { "" };
        let figures = format!("{} params · {} MACs{each}", crate::short(params), crate::short(macs));
        let badge_width = if count > 1 { Style::Badge.width(&format!("×{count}")) + 24.0 } else { 0.0 };
        let header = match title.is_empty() {
            true => Style::Small.width(&figures),
            false => Style::Frame.width(title).max(Style::Small.width(&figures)),
        } + badge_width;
        let width = (header + 24.0).max(inner.width() + 2.0 * PADDING);
        let spare = (width - inner.width() - 2.0 * PADDING) / 2.0;
        let left = inner.left + PADDING + spare;
        let head = if title.is_empty() { 24.0 } else { 40.0 };
        let start = if inner.pointed { STUB } else { 0.0 };
        let height = head + start + inner.height + PADDING;
        let behind = SHEET * (count.min(3) - 1) as f32;
        let mut block = Block { height: height + behind, pointed: true, ..Block::default() };
        let level = if depth == 0 { "frame" } else { "frame inner" };
        for sheet in (1..count.min(3)).rev() {
            let by = SHEET * sheet as f32;
            let mark = Mark::Box {
                at: (by - left, by),
                size: (width, height),
                radius: 10.0,
                class: format!("{level} sheet"),
                tip: String::new(),
            };
            block.push(mark);
        }
        block.push(Mark::Box {
            at: (-left, 0.0),
            size: (width, height),
            radius: 10.0,
            class: level.into(),
            tip: String::new(),
        });
        block.push(Mark::Box {
            at: (-left, 0.0),
            size: (width, head),
            radius: 10.0,
            class: "head".into(),
            tip: String::new(),
        });
        let text = |y: f32, style, text: &str| Mark::Text {
            at: (12.0 - left, y),
            anchor: Anchor::Start,
            style,
            text: text.into(),
        };
        if !title.is_empty() {
            block.push(text(17.0, Style::Frame, title));
        }
        block.push(text(head - 8.0, Style::Small, &figures));
        if count > 1 {
            let pill = Style::Badge.width(&format!("×{count}")) + 14.0;
            badge(&mut block, (width - left - pill - 10.0, (head - 20.0) / 2.0), count);
        }
        if start > 0.0 {
            block.push(Mark::Line { points: vec![(0.0, head), (0.0, head + start)], arrow: true });
        }
        let top = head + start;
        block.take(&inner, (0.0, top));
        for tail in &inner.tails {
            let foot = height + behind;
            block.push(Mark::Line {
                points: vec![(tail.at.0, tail.at.1 + top), (tail.at.0, foot)],
                arrow: false,
            });
            block.tails.push(Tail { at: (tail.at.0, foot), ..*tail });
        }
        block
    }

    /// Ways side by side, from where they part to where the longest ends.
    fn fork(&self, ways: &[Side], look: Option<Look>, depth: usize) -> Block {
        const BUS: f32 = 10.0;
        let blocks: Vec<Block> = ways.iter().map(|way| self.way(way, look, depth)).collect();
        let tallest = blocks.iter().map(|block| block.height).fold(0.0, f32::max);
        let mut at = Vec::new();
        let mut right = 0.0;
        for (place, block) in blocks.iter().enumerate() {
            let x = if place == 0 { 0.0 } else { right + GAP + block.left };
            at.push(x);
            right = x + block.right;
        }
        // The line goes straight on through the first of two that are added up, and comes in the middle of several.
        let left = blocks.first().map_or(0.0, |block| block.left);
        let through = matches!(look, Some(Look::Add | Look::Scale)) && blocks.len() == 2;
        let middle = if through { 0.0 } else { (right - left) / 2.0 };
        at.iter_mut().for_each(|x| *x -= middle);
        let height = BUS + STUB + tallest;
        let mut fork = Block { height, pointed: false, ..Block::default() };
        for (block, x) in blocks.iter().zip(at) {
            let top = BUS + STUB + (tallest - block.height) / 2.0;
            let mut points = vec![(0.0, 0.0), (0.0, BUS), (x, BUS), (x, top)];
            points.dedup();
            if x == 0.0 {
                points = vec![(0.0, 0.0), (0.0, top)];
            }
            fork.push(Mark::Line { points, arrow: block.pointed });
            fork.take(block, (x, top));
            for tail in &block.tails {
                let from = (x + tail.at.0, top + tail.at.1);
                if from.1 < height {
                    fork.push(Mark::Line { points: vec![from, (from.0, height)], arrow: false });
                }
                fork.tails.push(Tail { at: (from.0, height), ..*tail });
            }
        }
        fork
    }

    fn way(&self, way: &Side, look: Option<Look>, depth: usize) -> Block {
        match way {
            Side::Straight => {
                let tails = vec![Tail { at: (0.0, 0.0), shape: None }];
                let right = if look == Some(Look::Scale) { 4.0 } else { 10.0 };
                Block { left: 10.0, right, tails, ..Block::default() }
            }
            Side::Line(units) => self.line(units, depth),
            Side::Tangle(cells) => self.tangle(cells),
        }
    }

    /// Where ways meet.
    fn merge(&self, mut fork: Block, index: usize) -> Block {
        let cell = &self.cells[index];
        let tails = std::mem::take(&mut fork.tails);
        let bottom = fork.height;
        match cell.look {
            Look::Add | Look::Scale => {
                let centre = bottom + STUB + RADIUS;
                for tail in &tails {
                    let (x, y) = tail.at;
                    let side = if x < 0.0 { -RADIUS } else { RADIUS };
                    let points = match x == 0.0 {
                        true => vec![(x, y), (0.0, centre - RADIUS)],
                        false => vec![(x, y), (x, centre), (side, centre)],
                    };
                    fork.push(Mark::Line { points, arrow: true });
                }
                fork.push(Mark::Circle {
                    at: (0.0, centre),
                    radius: RADIUS,
                    class: "sum",
                    tip: self.tip(index),
                });
                sign(&mut fork, (0.0, centre), cell.look);
                if !cell.after.is_empty() {
                    let at = (-RADIUS - 7.0, centre + 4.0);
                    let text = cell.after.join(", ");
                    fork.push(Mark::Text { at, anchor: Anchor::End, style: Style::Small, text });
                }
                fork.height = centre + RADIUS;
            }
            Look::Concat => {
                let text = std::iter::once("concat".to_string())
                    .chain(cell.after.iter().cloned())
                    .collect::<Vec<_>>()
                    .join(", ");
                let half = Style::Small.width(&text) / 2.0 + 14.0;
                let (from, to) = ((-fork.left).min(-half), fork.right.max(half));
                let top = bottom + ARROW;
                for tail in tails {
                    self.arrow(&mut fork, tail, (tail.at.0, top), true);
                }
                let class = format!("box {}", cell.look.class());
                fork.push(Mark::Box {
                    at: (from, top),
                    size: (to - from, 22.0),
                    radius: 6.0,
                    class,
                    tip: self.tip(index),
                });
                fork.push(Mark::Text {
                    at: (0.0, top + 15.0),
                    anchor: Anchor::Middle,
                    style: Style::Small,
                    text,
                });
                fork.height = top + 22.0;
            }
            _ => {
                let block = self.cell(index, 1);
                let bus = bottom + STUB;
                for tail in &tails {
                    let mut points = vec![tail.at, (tail.at.0, bus), (0.0, bus), (0.0, bus + STUB)];
                    points.dedup();
                    fork.push(Mark::Line { points, arrow: true });
                }
                fork.take(&block, (0.0, bus + STUB));
                fork.height = bus + STUB + block.height;
            }
        }
        fork.tails = vec![Tail { at: (0.0, fork.height), shape: Some(cell.output) }];
        fork
    }

    /// Cells below each other, with a line beside them for each that does not lead to the next.
    fn tangle(&self, cells: &[usize]) -> Block {
        let mut block = Block { pointed: false, ..Block::default() };
        let blocks: Vec<Block> = cells.iter().map(|cell| self.cell(*cell, 1)).collect();
        let mut lane = blocks.iter().map(|block| block.right).fold(0.0, f32::max) + 16.0;
        let mut places: Vec<(f32, f32, f32)> = Vec::new(); // top, bottom, right edge
        for inner in &blocks {
            let top = block.height + ARROW;
            block.take(inner, (0.0, top));
            block.height = top + inner.height;
            places.push((top, block.height, inner.right));
        }
        let is_inner = |input: &usize| cells.iter().position(|cell| cell == input);
        for (place, cell) in cells.iter().enumerate() {
            let (top, bottom, right) = places[place];
            for input in &self.cells[*cell].inputs {
                let middle = (top + bottom) / 2.0;
                let points = match is_inner(input) {
                    Some(from) if from + 1 == place => vec![(0.0, places[from].1), (0.0, top)],
                    None if place == 0 => vec![(0.0, 0.0), (0.0, top)],
                    from => {
                        lane += 9.0;
                        let start = from.map_or((0.0, 4.0), |from| {
                            (places[from].2, (places[from].0 + places[from].1) / 2.0)
                        });
                        vec![start, (lane, start.1), (lane, middle), (right, middle)]
                    }
                };
                block.push(Mark::Line { points, arrow: true });
            }
        }
        let read_within = |cell: &usize| cells.iter().any(|other| self.cells[*other].inputs.contains(cell));
        let height = block.height;
        for (place, cell) in cells.iter().enumerate().filter(|(_, cell)| !read_within(cell)) {
            let (top, bottom, right) = places[place];
            let last = place + 1 == cells.len();
            if !last {
                lane += 9.0;
                let middle = (top + bottom) / 2.0;
                block.push(Mark::Line {
                    points: vec![(right, middle), (lane, middle), (lane, height)],
                    arrow: false,
                });
            }
            let at = if last { (0.0, height) } else { (lane, height) };
            block.tails.push(Tail { at, shape: Some(self.cells[*cell].output) });
        }
        block
    }
}

/// The cells of a unit, and how often each stands for one.
pub(crate) fn counted(unit: &Unit, times: u64) -> Vec<(usize, u64)> {
    match unit {
        Unit::Group { units, count, .. } => {
            units.iter().flat_map(|unit| counted(unit, times * *count as u64)).collect()
        }
        Unit::Step { ways, cell, count } => {
            let line = |way: &Side| match way {
                Side::Straight => Vec::new(),
                Side::Line(units) => units.iter().flat_map(|unit| counted(unit, times)).collect(),
                Side::Tangle(cells) => cells.iter().map(|cell| (*cell, times)).collect(),
            };
            let mut all: Vec<(usize, u64)> = ways.iter().flat_map(line).collect();
            all.extend(cell.map(|cell| (cell, times * *count as u64)));
            all
        }
    }
}

/// A pill with a number, its corner at `at`.
fn badge(block: &mut Block, at: Point, count: usize) {
    let text = format!("×{count}");
    let width = Style::Badge.width(&text) + 14.0;
    block.push(Mark::Box {
        at,
        size: (width, 20.0),
        radius: 10.0,
        class: "badge".into(),
        tip: format!("{count} times"),
    });
    let at = (at.0 + width / 2.0, at.1 + 14.3);
    block.push(Mark::Text { at, anchor: Anchor::Middle, style: Style::Badge, text });
}

/// The sign in a circle.
fn sign(block: &mut Block, (x, y): Point, look: Look) {
    let reach = 5.0;
    let strokes = match look {
        Look::Add => [[(x - reach, y), (x + reach, y)], [(x, y - reach), (x, y + reach)]],
        _ => {
            let reach = 0.75 * reach;
            [
                [(x - reach, y - reach), (x + reach, y + reach)],
                [(x - reach, y + reach), (x + reach, y - reach)],
            ]
        }
    };
    for stroke in strokes {
        block.push(Mark::Line { points: stroke.to_vec(), arrow: false });
    }
}

/// All cells of some units.
pub(crate) fn all_drawn(units: &[Unit]) -> Vec<usize> {
    units.iter().flat_map(drawn).collect()
}
