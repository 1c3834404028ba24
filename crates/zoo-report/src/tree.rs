//! The layers as a tree of their names: a row for each part down to a depth, equal neighbours told once.

use crate::{Align, Cell, LayerRow, Summary, Table, thousands};

/// A part of the network: a layer, or a scope with its parts.
#[derive(Debug)]
struct Part<'a> {
    name: &'a str,
    children: Vec<Part<'a>>,
    layers: Vec<&'a LayerRow>,
}

impl<'a> Part<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, children: Vec::new(), layers: Vec::new() }
    }

    /// Puts a layer under its path, in execution order.
    fn insert(&mut self, path: &'a str, row: &'a LayerRow) {
        self.layers.push(row);
        let Some((head, rest)) =
            path.split_once('.').map_or(Some((path, "")), Some).filter(|(h, _)| !h.is_empty())
        else {
            return;
        };
        let known = self.children.iter().rposition(|child| child.name == head);
        let index = known.unwrap_or_else(|| {
            self.children.push(Part::new(head));
            self.children.len() - 1
        });
        self.children[index].insert(rest, row);
    }

    fn is_layer(&self) -> bool {
        self.children.is_empty()
    }

    fn params(&self) -> u64 {
        self.layers.iter().map(|row| row.params).sum()
    }

    fn macs(&self) -> u64 {
        self.layers.iter().map(|row| row.macs).sum()
    }

    fn output(&self) -> String {
        let dims = self.layers.last().map_or(&[][..], |row| &row.output[1..]);
        dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
    }

    /// What it does, in few words; of a scope, the layers with weights in it.
    fn words(&self) -> String {
        match (self.is_layer(), self.layers.first()) {
            (true, Some(row)) => {
                let training = if row.auxiliary { " (training only)" } else { "" };
                let comma = if row.detail.is_empty() { "" } else { " " };
                format!("{}{comma}{}{training}", row.op, row.detail)
            }
            _ => {
                let weighted = self.layers.iter().filter(|row| row.macs > 0).count();
                let plural = if weighted == 1 { "" } else { "s" };
                let training =
                    if self.layers.iter().all(|row| row.auxiliary) { ", training only" } else { "" };
                format!("{weighted} weighted layer{plural}{training}")
            }
        }
    }

    /// Whether two neighbours differ in name alone.
    fn equals(&self, other: &Self) -> bool {
        let alike = |(a, b): (&&LayerRow, &&LayerRow)| {
            (&a.op, &a.detail, &a.output, a.params, a.macs) == (&b.op, &b.detail, &b.output, b.params, b.macs)
        };
        !self.is_layer()
            && self.layers.len() == other.layers.len()
            && self.layers.iter().zip(&other.layers).all(alike)
    }
}

/// The table of a network's layers, `depth` levels of names deep, for people: a scope's row sums up those below it.
pub fn layer_table(summary: &Summary, depth: usize) -> Table {
    let mut root = Part::new("");
    for row in &summary.layers {
        root.insert(&row.name, row);
    }
    let mut table = table();
    rows(&root, depth.max(1), "", &mut table);
    table
}

/// The table of a network's layers, for programs: a row for each, under its whole name, so that columns may be added up.
pub fn layer_lines(summary: &Summary) -> Table {
    let mut table = table();
    for row in &summary.layers {
        let part = Part { name: &row.name, children: Vec::new(), layers: vec![row] };
        let name = Cell::from(part.name);
        table.push([name, part.words().into(), part.output().into(), figure(row.params), figure(row.macs)]);
    }
    table
}

fn table() -> Table {
    let columns = [
        ("layer", Align::Left),
        ("operation", Align::Left),
        ("output", Align::Right),
        ("parameters", Align::Right),
        ("MACs", Align::Right),
    ];
    Table::new(&columns, 1).keys(&["name", "operation", "output", "params", "macs"])
}

/// A number, and nothing where it is nought.
fn figure(number: u64) -> Cell {
    match number {
        0 => Cell::default(),
        _ => Cell::number(number, thousands(number)),
    }
}

fn rows(part: &Part<'_>, depth: usize, prefix: &str, table: &mut Table) {
    let mut groups: Vec<&[Part<'_>]> = Vec::new();
    let mut rest = part.children.as_slice();
    while let Some(first) = rest.first() {
        let count =
            rest.iter().take_while(|other| std::ptr::eq(*other, first) || first.equals(other)).count();
        let (group, later) = rest.split_at(count);
        groups.push(group);
        rest = later;
    }
    let last = groups.len().saturating_sub(1);
    for (i, group) in groups.into_iter().enumerate() {
        let (Some(first), Some(end)) = (group.first(), group.last()) else { continue };
        let is_root = prefix.is_empty() && part.name.is_empty();
        let (branch, below) = match (is_root, i == last) {
            (true, _) => (String::new(), String::new()),
            (_, true) => (format!("{prefix}└─ "), format!("{prefix}   ")),
            (_, false) => (format!("{prefix}├─ "), format!("{prefix}│  ")),
        };
        let name = match group.len() {
            1 => first.name.to_string(),
            count => format!("{}–{} ({count} alike)", first.name, end.name),
        };
        let (params, macs) = group.iter().fold((0, 0), |(p, m), part| (p + part.params(), m + part.macs()));
        let words = match group.len() {
            1 => first.words(),
            count => format!("{count} × {}", first.words()),
        };
        let name = format!("{branch}{name}").into();
        table.push([name, words.into(), first.output().into(), figure(params), figure(macs)]);
        if depth > 1 && !first.is_layer() {
            // The first level hangs directly under its parent's name.
            let below = if is_root { " ".into() } else { below };
            rows(first, depth - 1, &below, table);
        }
    }
}
