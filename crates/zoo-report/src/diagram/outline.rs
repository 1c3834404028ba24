//! The parts of a drawing for programs that set them themselves: Graphviz and Mermaid.

use std::fmt::Write;

use super::{
    Drawing, End,
    cells::{Cell, Look, shape},
    fold::{Side, Unit},
};

/// What a program is told, in order.
enum Piece {
    /// A box: its number, what it says, its look.
    Box { id: usize, lines: Vec<String>, look: Look },
    /// A frame begins.
    Open { id: usize, title: String },
    /// It ends.
    Close,
}

/// A line from a box to another, and what flows.
struct Edge {
    from: usize,
    to: usize,
    label: String,
}

/// Boxes, frames and lines.
struct Outline<'a> {
    cells: &'a [Cell],
    pieces: Vec<Piece>,
    edges: Vec<Edge>,
    frames: usize,
    boxes: usize,
}

/// Boxes whose lines are yet to be led on, with what flows out of them.
type Open = Vec<(usize, String)>;

impl Outline<'_> {
    fn of(drawing: &Drawing) -> Outline<'_> {
        let mut outline =
            Outline { cells: &drawing.cells, pieces: Vec::new(), edges: Vec::new(), frames: 0, boxes: 0 };
        // Boxes by their cells, to know where side results leave.
        let mut leaving: Vec<(usize, usize)> = Vec::new();
        let mut open = Open::new();
        for unit in &drawing.units {
            open = outline.unit(unit, open);
            let first = super::fold::drawn(unit).into_iter().min().unwrap_or(0);
            if let Some((id, _)) = open.first() {
                leaving.push((first, *id));
            }
        }
        outline.end(&drawing.end, open);
        for aside in &drawing.asides {
            let at = leaving.iter().rfind(|(first, _)| *first <= aside.from);
            let flows = shape(drawing.cells[aside.from].output);
            let open = at.map(|(_, id)| (*id, flows)).into_iter().collect();
            let open = outline.line(&aside.units, open);
            outline.end(&aside.end, open);
        }
        outline
    }

    fn put(&mut self, lines: Vec<String>, look: Look, from: &Open) -> usize {
        let id = self.boxes;
        self.boxes += 1;
        self.pieces.push(Piece::Box { id, lines, look });
        let edges = from.iter().map(|(from, label)| Edge { from: *from, to: id, label: label.clone() });
        self.edges.extend(edges);
        id
    }

    fn end(&mut self, end: &End, open: Open) {
        let when = if end.training_only { " (training only)" } else { "" };
        self.put(vec![format!("{}{when}", end.names.join(", "))], Look::Picture, &open);
    }

    fn line(&mut self, units: &[Unit], open: Open) -> Open {
        units.iter().fold(open, |open, unit| self.unit(unit, open))
    }

    fn unit(&mut self, unit: &Unit, open: Open) -> Open {
        match unit {
            Unit::Group { title, units, count } => {
                let times = if *count > 1 { format!("×{count}") } else { String::new() };
                let title = [title.clone(), times].into_iter().filter(|part| !part.is_empty());
                let title = title.collect::<Vec<_>>().join(" ");
                let id = self.frames;
                self.frames += 1;
                self.pieces.push(Piece::Open { id, title });
                let open = self.line(units, open);
                self.pieces.push(Piece::Close);
                open
            }
            Unit::Step { ways, cell, count } => {
                let mut ends = if ways.is_empty() { open.clone() } else { Open::new() };
                for way in ways {
                    match way {
                        Side::Straight => ends.extend(open.iter().cloned()),
                        Side::Line(units) => ends.extend(self.line(units, open.clone())),
                        Side::Tangle(cells) => ends.extend(self.tangle(cells, &open)),
                    }
                }
                match cell {
                    Some(cell) => self.cell(*cell, *count, &ends),
                    None => ends,
                }
            }
        }
    }

    fn cell(&mut self, index: usize, count: usize, from: &Open) -> Open {
        let cell = &self.cells[index];
        let times = if count > 1 { format!(" ×{count}") } else { String::new() };
        let title = match cell.look {
            Look::Picture => format!("picture {}", shape(cell.output)),
            _ => format!("{}{times}", cell.title),
        };
        let after = Some(cell.after.join(", ")).filter(|after| !after.is_empty());
        let lines = [Some(title), cell.figures(), after].into_iter().flatten().collect();
        let id = self.put(lines, cell.look, from);
        vec![(id, shape(cell.output))]
    }

    fn tangle(&mut self, cells: &[usize], open: &Open) -> Open {
        let mut ids: Vec<(usize, usize)> = Vec::new();
        for cell in cells {
            let inputs = &self.cells[*cell].inputs;
            let mut from = Open::new();
            for input in inputs {
                match ids.iter().find(|(cell, _)| cell == input) {
                    Some((cell, id)) => from.push((*id, shape(self.cells[*cell].output))),
                    None => from.extend(open.iter().cloned()),
                }
            }
            let ends = self.cell(*cell, 1, &from);
            ids.extend(ends.first().map(|(id, _)| (*cell, *id)));
        }
        let read = |cell: usize| cells.iter().any(|other| self.cells[*other].inputs.contains(&cell));
        let ends = ids.iter().filter(|(cell, _)| !read(*cell));
        ends.map(|(cell, id)| (*id, shape(self.cells[*cell].output))).collect()
    }
}

/// Fill and line by look.
fn colours(look: Look) -> (&'static str, &'static str) {
    super::svg::light(look.class())
}

pub(crate) fn dot(drawing: &Drawing) -> String {
    let outline = Outline::of(drawing);
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!(
        "digraph \"{}\" {{\n  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11];\n  edge \
         [fontname=\"Helvetica\", fontsize=9, color=\"#7b8696\"];\n",
        quoted(&drawing.name)
    );
    let mut depth = 1;
    for piece in &outline.pieces {
        let indent = "  ".repeat(depth);
        let _ = match piece {
            Piece::Box { id, lines, look } => {
                let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
                let (fill, line) = colours(*look);
                let shape = if look.merges() && *look != Look::Concat { ", shape=circle" } else { "" };
                let font = if *look == Look::Picture { ", fontcolor=white" } else { "" };
                writeln!(
                    text,
                    "{indent}n{id} [label=\"{}\", fillcolor=\"{fill}\", color=\"{line}\"{shape}{font}];",
                    lines.join("\\n")
                )
            }
            Piece::Open { id, title } => {
                depth += 1;
                writeln!(
                    text,
                    "{indent}subgraph cluster_{id} {{\n{indent}  label=\"{}\"; fontname=\"Helvetica\"; fontsize=12; \
                     style=\"rounded\"; color=\"#ccd4e0\";",
                    quoted(title)
                )
            }
            Piece::Close => {
                depth -= 1;
                writeln!(text, "{}}}", "  ".repeat(depth))
            }
        };
    }
    for Edge { from, to, label } in &outline.edges {
        let _ = writeln!(text, "  n{from} -> n{to} [label=\"{}\"];", quoted(label));
    }
    text += "}\n";
    text
}

pub(crate) fn mermaid(drawing: &Drawing) -> String {
    let outline = Outline::of(drawing);
    // Mermaid knows quotes and brackets by their numbers.
    let quoted = |text: &str| {
        text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
    };
    let mut text = String::from("flowchart TB\n");
    let mut depth = 1;
    let mut looks = Vec::new();
    for piece in &outline.pieces {
        let indent = "  ".repeat(depth);
        let _ = match piece {
            Piece::Box { id, lines, look } => {
                let words = lines.iter().map(|line| quoted(line)).collect::<Vec<_>>().join("<br/>");
                if !looks.contains(look) {
                    looks.push(*look);
                }
                let class = look.class();
                match look {
                    Look::Picture => writeln!(text, "{indent}n{id}([\"{words}\"]):::{class}_"),
                    Look::Add | Look::Scale => writeln!(text, "{indent}n{id}((\"{words}\")):::{class}_"),
                    _ => writeln!(text, "{indent}n{id}[\"{words}\"]:::{class}_"),
                }
            }
            Piece::Open { id, title } => {
                depth += 1;
                let title = if title.is_empty() { " " } else { title };
                writeln!(text, "{indent}subgraph g{id}[\"{}\"]", quoted(title))
            }
            Piece::Close => {
                depth -= 1;
                writeln!(text, "{}end", "  ".repeat(depth))
            }
        };
    }
    for Edge { from, to, label } in &outline.edges {
        let _ = writeln!(text, "  n{from} -->|\"{}\"| n{to}", quoted(label));
    }
    looks.sort_unstable();
    looks.dedup_by_key(|look| look.class());
    for look in looks {
        let (fill, line) = colours(look);
        let ink = if look == Look::Picture { "#ffffff" } else { "#1d2430" };
        let _ = writeln!(text, "  classDef {}_ fill:{fill},stroke:{line},color:{ink}", look.class());
    }
    text
}
