//! Parts by the names of their layers, and equal neighbours told once with their number.

use super::{
    cells::{Cell, shape},
    structure::{Step, Way},
};

/// A part of the drawing.
#[derive(Clone, Debug)]
pub(crate) enum Unit {
    /// A cell with the branches that lead to it, so many times one behind the other.
    Step { ways: Vec<Side>, cell: Option<usize>, count: usize },
    /// Units in a frame.
    Group {
        /// The name its layers have in common; of several groups, the first's and the last's.
        title: String,
        units: Vec<Unit>,
        count: usize,
    },
}

/// One of several ways, folded.
#[derive(Clone, Debug)]
pub(crate) enum Side {
    Straight,
    Line(Vec<Unit>),
    Tangle(Vec<usize>),
}

/// A part that holds more than this share of the whole says nothing: `features`, `backbone`.
const MOST_OF_ALL: f64 = 0.6;

/// The steps of a whole network, folded.
pub(crate) fn fold_all(cells: &[Cell], steps: Vec<Step>) -> Vec<Unit> {
    let fold = Fold { cells };
    let mut units = fold.grouped(steps, 0);
    loop {
        let sizes: Vec<usize> = units.iter().map(size).collect();
        let most = MOST_OF_ALL * sizes.iter().sum::<usize>() as f64;
        let Some(large) = sizes.iter().position(|size| *size as f64 > most) else { break };
        match units.remove(large) {
            Unit::Group { units: inner, count: 1, .. } if inner.len() > 1 => {
                units.splice(large..large, inner);
            }
            other => {
                units.insert(large, other);
                break;
            }
        }
    }
    fold.repeats(units)
}

/// The steps of a side branch, folded.
pub(crate) fn fold_branch(cells: &[Cell], steps: Vec<Step>) -> Vec<Unit> {
    Fold { cells }.sequence(steps, 0)
}

/// All cells that are drawn of a part.
pub(crate) fn drawn(unit: &Unit) -> Vec<usize> {
    match unit {
        Unit::Group { units, .. } => units.iter().flat_map(drawn).collect(),
        Unit::Step { ways, cell, .. } => {
            let within = ways.iter().flat_map(|way| match way {
                Side::Straight => Vec::new(),
                Side::Line(units) => units.iter().flat_map(drawn).collect(),
                Side::Tangle(cells) => cells.clone(),
            });
            within.chain(*cell).collect()
        }
    }
}

fn size(unit: &Unit) -> usize {
    drawn(unit).len()
}

struct Fold<'a> {
    cells: &'a [Cell],
}

impl Fold<'_> {
    fn sequence(&self, steps: Vec<Step>, depth: usize) -> Vec<Unit> {
        self.repeats(self.grouped(steps, depth))
    }

    /// Neighbours with a name in common become a group, if there are branches in one of these groups.
    fn grouped(&self, steps: Vec<Step>, depth: usize) -> Vec<Unit> {
        let mut runs: Vec<(Option<String>, Vec<Step>)> = Vec::new();
        for step in steps {
            let part = self.part(&step, depth);
            match runs.last_mut() {
                Some((last, run)) if part.is_some() && *last == part => run.push(step),
                _ => runs.push((part, vec![step])),
            }
        }
        let forked = |run: &[Step]| run.iter().any(|step| !step.ways.is_empty());
        let framed = runs.iter().any(|(part, run)| part.is_some() && forked(run));
        let mut units = Vec::new();
        for (part, run) in runs {
            match part.filter(|_| framed && (forked(&run) || run.len() > 1)) {
                None => units.extend(run.into_iter().map(|step| self.step(step, depth))),
                Some(title) => {
                    let mut inner = self.sequence(run, depth + 1);
                    match (inner.len(), inner.first()) {
                        (1, Some(Unit::Group { count: 1, .. })) => units.append(&mut inner),
                        _ => units.push(Unit::Group { title, units: inner, count: 1 }),
                    }
                }
            }
        }
        units
    }

    fn step(&self, step: Step, depth: usize) -> Unit {
        let way = |way| match way {
            Way::Straight => Side::Straight,
            Way::Line(steps) => Side::Line(self.sequence(steps, depth)),
            Way::Tangle(cells) => Side::Tangle(cells),
        };
        let ways = self.side_by_side(step.ways.into_iter().map(way).collect());
        Unit::Step { ways, cell: step.cell, count: 1 }
    }

    /// Equal branches beside each other become one with their number.
    fn side_by_side(&self, ways: Vec<Side>) -> Vec<Side> {
        let mut folded: Vec<(String, Vec<Unit>, usize)> = Vec::new();
        let mut rest = Vec::new();
        for way in ways {
            match way {
                Side::Line(units) if rest.is_empty() => {
                    let sign = self.signs(&units);
                    match folded.last_mut().filter(|(last, ..)| *last == sign) {
                        Some((.., count)) => *count += 1,
                        None => folded.push((sign, units, 1)),
                    }
                }
                other => rest.push(other),
            }
        }
        let line = |(_, units, count): (String, Vec<Unit>, usize)| match count {
            1 => Side::Line(units),
            _ => Side::Line(vec![Unit::Group { title: "side by side".into(), units, count }]),
        };
        folded.into_iter().map(line).chain(rest).collect()
    }

    /// The first `depth + 1` words that the names of all cells of a step begin with, if what they name is a part with
    /// several layers and not a layer.
    fn part(&self, step: &Step, depth: usize) -> Option<String> {
        let names: Vec<&str> = within(step).map(|cell| self.cells[cell].name.as_str()).collect();
        let first = names.first()?;
        let (end, _) = first.match_indices('.').nth(depth)?;
        let head = &first[..=end];
        names.iter().all(|name| name.starts_with(head)).then(|| first[..end].to_string())
    }

    /// Equal neighbours, of one unit or several each, become one with their number.
    fn repeats(&self, units: Vec<Unit>) -> Vec<Unit> {
        let signs: Vec<String> = units.iter().map(|unit| self.sign(unit)).collect();
        let mut folded = Vec::new();
        let mut at = 0;
        while at < units.len() {
            let rest = &signs[at..];
            let runs = (1..=rest.len() / 2).map(|period| {
                let equal = rest.chunks_exact(period).take_while(|chunk| *chunk == &rest[..period]).count();
                (period, equal)
            });
            // Of several units without a name in common, two times are no pattern yet.
            let found = |(period, equal): &(usize, usize)| *equal > if *period == 1 { 1 } else { 2 };
            let best = runs
                .filter(found)
                .max_by_key(|(period, equal)| (period * (equal - 1), std::cmp::Reverse(*period)));
            let (period, equal) = best.unwrap_or((1, 1));
            let run = &units[at..at + period * equal];
            folded.push(self.repeated(run, period, equal));
            at += run.len();
        }
        folded
    }

    fn repeated(&self, run: &[Unit], period: usize, equal: usize) -> Unit {
        match (period, &run[0]) {
            (1, Unit::Group { title, units, count }) => {
                let last = match &run[run.len() - 1] {
                    Unit::Group { title, .. } => title,
                    Unit::Step { .. } => title,
                };
                Unit::Group { title: range(title, last), units: units.clone(), count: count * equal }
            }
            (1, Unit::Step { ways, cell, count }) if ways.is_empty() => {
                Unit::Step { ways: Vec::new(), cell: *cell, count: count * equal }
            }
            (1, step) if equal == 1 => step.clone(),
            _ => Unit::Group { title: String::new(), units: run[..period].to_vec(), count: equal },
        }
    }

    /// What two units have in common that differ in names alone.
    fn sign(&self, unit: &Unit) -> String {
        match unit {
            Unit::Group { units, count, .. } => format!("{count}({})", self.signs(units)),
            Unit::Step { ways, cell, count } => {
                let ways = ways.iter().map(|way| match way {
                    Side::Straight => "|".to_string(),
                    Side::Line(units) => format!("[{}]", self.signs(units)),
                    Side::Tangle(cells) => {
                        format!("<{}>", cells.iter().map(|cell| self.words(*cell)).collect::<String>())
                    }
                });
                let ways: String = ways.collect();
                format!("{count}{ways}{}", cell.map_or(String::new(), |cell| self.words(cell)))
            }
        }
    }

    fn signs(&self, units: &[Unit]) -> String {
        units.iter().map(|unit| self.sign(unit)).collect()
    }

    fn words(&self, index: usize) -> String {
        let cell = &self.cells[index];
        let inputs =
            cell.inputs.iter().map(|input| shape(self.cells[*input].output) + ",").collect::<String>();
        format!(
            "{inputs}{} {:?} {} {} {};",
            cell.title,
            cell.after,
            cell.params,
            cell.macs,
            shape(cell.output)
        )
    }
}

/// All cells of a step.
fn within(step: &Step) -> Box<dyn Iterator<Item = usize> + '_> {
    let ways = step.ways.iter().flat_map(|way| -> Box<dyn Iterator<Item = usize>> {
        match way {
            Way::Straight => Box::new(std::iter::empty()),
            Way::Line(steps) => Box::new(steps.iter().flat_map(within)),
            Way::Tangle(cells) => Box::new(cells.iter().copied()),
        }
    });
    Box::new(ways.chain(step.cell))
}

/// `layer1.1–3`, `block5–12`.
fn range(first: &str, last: &str) -> String {
    if first == last {
        return first.into();
    }
    let common = first.char_indices().zip(last.chars()).take_while(|((_, a), b)| a == b);
    let common = common.last().map_or(0, |((at, letter), _)| at + letter.len_utf8());
    // A number is told whole: block9–12, and not block9–2.
    let is_digit = |letter: char| letter.is_ascii_digit();
    let start = last[..common].trim_end_matches(is_digit).len();
    let rest = &last[start..];
    match rest.starts_with(is_digit) && !rest.contains('.') {
        true => format!("{first}–{rest}"),
        false => format!("{first} – {last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn names_become_a_range() {
        assert_eq!(range("layer1.1", "layer1.2"), "layer1.1–2");
        assert_eq!(range("block5", "block12"), "block5–12");
        assert_eq!(range("block9", "block12"), "block9–12");
        assert_eq!(range("inception4b", "inception4d"), "inception4b–4d");
        assert_eq!(range("entry", "exit"), "entry – exit");
        assert_eq!(range("same", "same"), "same");
    }
}
