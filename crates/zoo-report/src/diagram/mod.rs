//! A drawing of a network, read from its graph: blocks folded to one with their number, branches side by side, shapes
//! on the arrows, parameters and multiply-accumulates in the boxes.
//!
//! `cells` makes boxes of layers, `structure` finds what runs side by side, `fold` puts parts into frames by their
//! names and tells equal neighbours once, `layout` and `page` say where everything stands. Nothing knows a network.

use zoo_layers::{Graph, Mode, Shape, When};

mod cells;
mod fold;
mod layout;
pub(crate) mod marks;
mod outline;
mod page;
mod structure;
pub(crate) mod svg;
#[cfg(test)]
mod tests;

use cells::Cell;
use fold::Unit;

/// For which background a drawing is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// For either, as whoever shows it prefers (`prefers-color-scheme`).
    #[default]
    Auto,
    /// Dark on white.
    Light,
    /// Light on black.
    Dark,
}

/// A network taken apart, ready to be drawn.
///
/// ```
/// use zoo_layers::{Conv2d, Graph, Linear, Shape};
/// use zoo_report::{Drawing, Theme};
///
/// let graph = Graph::build("tiny", Shape::map(3, 32, 32), |net, picture| {
///     let x = net.conv_norm_act(picture, Conv2d::k3(8), "conv1", "bn1")?;
///     let x = net.global_avg_pool(x)?;
///     let logits = net.linear(x, Linear::new(10), "fc")?;
///     net.output("logits", logits)
/// })?;
/// let drawing = Drawing::of(&graph);
/// assert!(drawing.svg(Theme::Auto).contains("3×3 conv, 8"));
/// assert!(drawing.mermaid().starts_with("flowchart TB"));
/// # Ok::<(), zoo_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Drawing {
    name: String,
    input: Shape,
    params: u64,
    macs: u64,
    cells: Vec<Cell>,
    units: Vec<Unit>,
    asides: Vec<Aside>,
    end: End,
}

/// Where a line of the network ends.
#[derive(Debug)]
struct End {
    names: Vec<String>,
    shape: Shape,
    training_only: bool,
}

/// What hangs beside the way to the main result.
#[derive(Debug)]
struct Aside {
    from: usize,
    units: Vec<Unit>,
    end: End,
}

impl Drawing {
    /// Takes a network apart.
    pub fn of(graph: &Graph) -> Self {
        let cells = cells::cells(graph);
        let home = |node| cells.iter().position(|cell| cell.nodes.contains(&node));
        // The way is drawn to the result that comes last: what the others need is on it, or beside it.
        let last = graph.outputs_in(Mode::Eval).map(|output| output.node).max();
        let result = last.and_then(home).unwrap_or(0);
        let end = |cell: usize| {
            let here = graph.outputs().iter().filter(|output| home(output.node) == Some(cell));
            let training_only = here.clone().all(|output| output.when == When::Training);
            let names = here.map(|output| output.name.clone()).collect();
            End { names, shape: cells[cell].output, training_only }
        };
        let flow = structure::flow(&cells, result);
        let mut asides: Vec<Aside> = flow
            .asides
            .into_iter()
            .map(|aside| Aside {
                from: aside.from,
                units: fold::fold_branch(&cells, aside.steps),
                end: end(aside.last),
            })
            .collect();
        let ends: Vec<usize> = graph.outputs().iter().filter_map(|output| home(output.node)).collect();
        let passed = |cell: &usize| *cell != result && ends.contains(cell) && flow.main[*cell];
        let passed: Vec<usize> = (0..cells.len()).filter(passed).collect();
        asides.extend(passed.into_iter().map(|from| Aside { from, units: Vec::new(), end: end(from) }));
        asides.sort_by_key(|aside| aside.from);
        let answering = graph.active(Mode::Eval);
        let of = |figure: fn(&Cell) -> u64| -> u64 {
            let answer = |cell: &&Cell| cell.nodes.iter().any(|node| answering.contains(*node));
            cells.iter().filter(answer).map(figure).fold(0, u64::saturating_add)
        };
        Self {
            name: graph.name().into(),
            input: graph.input(),
            params: of(|cell| cell.params),
            macs: of(|cell| cell.macs),
            units: fold::fold_all(&cells, flow.steps),
            asides,
            end: end(result),
            cells,
        }
    }

    /// The drawing as SVG: complete, without a script, a font or another file.
    pub fn svg(&self, theme: Theme) -> String {
        svg::svg(&page::page(self), &self.name, theme)
    }

    /// The same parts for Graphviz.
    pub fn dot(&self) -> String {
        outline::dot(self)
    }

    /// The same parts for Mermaid, which GitHub draws.
    pub fn mermaid(&self) -> String {
        outline::mermaid(self)
    }
}
