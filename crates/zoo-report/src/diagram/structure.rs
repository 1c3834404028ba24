//! Where lines run side by side: the cells as a sequence of steps, with branches between two cells that every line
//! passes.

use super::cells::{Cell, Look};

/// A cell on the line, and the branches that lead to it from the one before.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// None where a single line leads here.
    pub(crate) ways: Vec<Way>,
    /// None at the end of a branch whose own branches meet further on.
    pub(crate) cell: Option<usize>,
}

/// One of several ways from a cell to another.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// A line without a cell: a shortcut.
    Straight,
    /// Steps one behind the other.
    Line(Vec<Step>),
    /// Cells whose lines cross: no branches side by side.
    Tangle(Vec<usize>),
}

/// What hangs beside the way to the main result.
#[derive(Clone, Debug)]
pub(crate) struct Aside {
    /// Where it leaves.
    pub(crate) from: usize,
    pub(crate) steps: Vec<Step>,
    /// Its last cell.
    pub(crate) last: usize,
}

/// Steps to the main result, and what hangs beside them.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) steps: Vec<Step>,
    pub(crate) asides: Vec<Aside>,
    /// Whether each cell leads to the main result.
    pub(crate) main: Vec<bool>,
}

/// Takes the cells apart; `result` is the cell of the main result.
pub(crate) fn flow(cells: &[Cell], result: usize) -> Flow {
    let mut main = vec![false; cells.len()];
    main[result] = true;
    for index in (0..cells.len()).rev() {
        if main[index] {
            cells[index].inputs.iter().for_each(|input| main[*input] = true);
        }
    }
    let members: Vec<usize> = (1..result).filter(|cell| main[*cell]).collect();
    let mut steps = vec![Step { ways: Vec::new(), cell: Some(0) }];
    if result > 0 {
        let region = Region { cells, members: &members, entry: 0, exit: result, is_branch: false };
        steps.extend(region.steps());
    }
    let rest: Vec<usize> = (0..cells.len()).filter(|cell| !main[*cell]).collect();
    let asides = components(cells, &rest).into_iter().map(|members| {
        let inputs = members.iter().flat_map(|cell| &cells[*cell].inputs);
        let from = inputs.copied().filter(|cell| main[*cell]).max().unwrap_or(0);
        let last = members.last().copied().unwrap_or(from);
        let inner = &members[..members.len().saturating_sub(1)];
        let steps = Region { cells, members: inner, entry: from, exit: last, is_branch: false }.steps();
        Aside { from, steps, last }
    });
    let asides = asides.collect();
    Flow { steps, asides, main }
}

/// The cells between two that all their lines pass, in execution order.
#[derive(Clone, Copy, Debug)]
struct Region<'a> {
    cells: &'a [Cell],
    members: &'a [usize],
    entry: usize,
    exit: usize,
    /// Whether a line straight from entry to exit is another branch, and not of this region.
    is_branch: bool,
}

impl Region<'_> {
    /// The steps through the region; of a branch, without the exit.
    fn steps(self) -> Vec<Step> {
        let (mut steps, entry, rest) = self.passed();
        let of_another = self.is_branch && entry == self.entry;
        let ways = self.ways(entry, self.exit, rest, !of_another && self.reads(self.exit, entry));
        match self.is_branch {
            false => steps.push(Step { ways, cell: Some(self.exit) }),
            true if !ways.is_empty() => steps.push(Step { ways, cell: None }),
            true => {}
        }
        steps
    }

    /// Steps to each cell that every line passes, the last of these, and what lies behind it.
    fn passed(&self) -> (Vec<Step>, usize, &[usize]) {
        // How far the lines reach that begin before a member.
        let mut reach = vec![0; self.members.len() + 1];
        for (to, cell) in self.members.iter().chain([&self.exit]).enumerate() {
            for input in &self.cells[*cell].inputs {
                let from = match self.members.binary_search(input) {
                    Ok(from) => from + 1,
                    Err(_) if *input != self.entry || (self.is_branch && *cell == self.exit) => continue,
                    Err(_) => 0,
                };
                reach.iter_mut().take(to + 1).skip(from).for_each(|place| *place = to.max(*place));
            }
        }
        let mut steps = Vec::new();
        let (mut entry, mut begin) = (self.entry, 0);
        for (index, cell) in self.members.iter().enumerate() {
            if reach[index] <= index {
                let between = &self.members[begin..index];
                let ways = self.ways(entry, *cell, between, self.reads(*cell, entry));
                steps.push(Step { ways, cell: Some(*cell) });
                (entry, begin) = (*cell, index + 1);
            }
        }
        (steps, entry, &self.members[begin..])
    }

    fn reads(&self, cell: usize, input: usize) -> bool {
        self.cells[cell].inputs.contains(&input)
    }

    /// The branches between two cells; none if the one simply follows the other.
    fn ways(&self, entry: usize, exit: usize, between: &[usize], direct: bool) -> Vec<Way> {
        let mut branches = components(self.cells, between);
        if branches.is_empty() {
            return Vec::new();
        }
        if branches.len() == 1 && !direct {
            return vec![Way::Tangle(between.to_vec())];
        }
        let inputs = &self.cells[exit].inputs;
        branches.sort_by_key(|branch| inputs.iter().position(|input| branch.contains(input)));
        let line = |branch: Vec<usize>| {
            Way::Line(Region { cells: self.cells, members: &branch, entry, exit, is_branch: true }.steps())
        };
        let mut ways: Vec<Way> = branches.into_iter().map(line).collect();
        if direct {
            // A gate stands beside what it scales, a shortcut beside what is added to it.
            let place = if self.cells[exit].look == Look::Scale { 0 } else { ways.len() };
            ways.insert(place, Way::Straight);
        }
        ways
    }
}

/// Cells that hang together, by the lines between them alone.
fn components(cells: &[Cell], members: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for cell in members {
        let joins = |group: &Vec<usize>| cells[*cell].inputs.iter().any(|input| group.contains(input));
        let (joined, mut apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(joins);
        let mut group: Vec<usize> = joined.into_iter().flatten().collect();
        group.push(*cell);
        group.sort_unstable();
        apart.push(group);
        groups = apart;
    }
    groups.sort();
    groups
}
