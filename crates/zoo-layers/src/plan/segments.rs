//! Which parts of the way forward are run again on the way back.
//!
//! The steps are cut into segments. Of one that is run again only what later segments read is kept; the rest is computed
//! again when the way back comes to it, and let go with it. Where to cut, and which segments to run again, is found by
//! dynamic programming over the cuts at which little is alive: for the most that one segment may take, and a price of
//! time, the least that is kept. Each answer becomes a whole plan, beside the cuts into √n equal parts that Chen et al.
//! (2016, section 4.1) propose, and the plan with the least product of memory and time is taken.

use super::{Plan, demand::Demand};

/// Steps from `start` on, before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) again: Again,
}

/// What of a segment is run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Nothing: what gradients need is kept.
    Nothing,
    /// What costs little.
    Cheap,
    /// Everything.
    All,
}

/// The most cuts that are looked at.
const CUTS: usize = 160;

/// For each buffer of the way forward whether it is computed again.
pub(super) fn fates(demand: &Demand, segments: &[Segment]) -> Vec<bool> {
    let mut used = vec![0; demand.producer.len()];
    let all =
        segments.iter().flat_map(|segment| (segment.start..segment.end).map(move |index| (index, segment)));
    for (index, segment) in all.clone() {
        let wish = &demand.steps[index];
        let reads = wish.reads.iter().filter(|_| demand.may_run(index, segment.again));
        wish.back.iter().chain(reads).for_each(|buffer| used[*buffer] = index);
    }
    let mut again = vec![false; demand.producer.len()];
    for (index, segment) in all {
        if let Some(out) = demand.steps[index].out {
            again[out] = demand.may_run(index, segment.again) && !demand.held[out] && used[out] < segment.end;
        }
    }
    again
}

impl Demand {
    /// Whether a step of such a segment may be run again.
    fn may_run(&self, index: usize, again: Again) -> bool {
        let wish = &self.steps[index];
        match again {
            Again::Nothing => false,
            Again::Cheap => wish.out.is_some() && !wish.is_costly,
            Again::All => wish.out.is_some(),
        }
    }

    /// The steps of a segment that its gradients need to be run again, where some buffers are not kept.
    pub(super) fn runs(&self, segment: Segment, is_again: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut needed = vec![false; self.producer.len()];
        let mut runs = Vec::new();
        for index in (segment.start..segment.end).rev() {
            let wish = &self.steps[index];
            wish.back.iter().for_each(|buffer| needed[*buffer] = true);
            let gives = wish.out.is_some_and(|out| needed[out] && is_again(out));
            if gives || (segment.again == Again::All && wish.learns && wish.is_composed) {
                wish.reads.iter().for_each(|buffer| needed[*buffer] = true);
                runs.push(index);
            }
        }
        runs.reverse();
        runs
    }
}

/// The plan that saves most memory for the time, with segments of these kinds.
pub(super) fn best(plan: &Plan, demand: &Demand, kinds: &[Again]) -> Plan {
    let mut best = plan.with_way_back(demand, &[]);
    let mut least = price(&best);
    let chooser = Chooser::new(plan, demand, kinds);
    for segments in chooser.candidates() {
        let candidate = plan.with_way_back(demand, &segments);
        let price = price(&candidate);
        if price < least {
            (best, least) = (candidate, price);
        }
    }
    best
}

/// Memory times time: what is let go must be worth the time. The way back is twice as long as the way forward.
fn price(plan: &Plan) -> f64 {
    plan.taken(1) as f64 * (3.0 * plan.work() as f64 + plan.work_again() as f64)
}

/// What a segment would keep and cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// What outlives the way forward.
    kept: f64,
    /// What is computed again and waits for the way back to use it.
    inner: f64,
    work: f64,
}

struct Chooser<'p> {
    plan: &'p Plan,
    demand: &'p Demand,
    kinds: &'p [Again],
    cuts: Vec<usize>,
    /// For each buffer the last step that reads it, on the way forward or back.
    used: Vec<usize>,
    /// Whether gradients read it.
    back: Vec<bool>,
}

impl<'p> Chooser<'p> {
    fn new(plan: &'p Plan, demand: &'p Demand, kinds: &'p [Again]) -> Self {
        let mut used = vec![0; demand.producer.len()];
        let mut back = vec![false; demand.producer.len()];
        for (index, wish) in demand.steps.iter().enumerate() {
            wish.reads.iter().chain(&wish.back).for_each(|buffer| used[*buffer] = index);
            wish.back.iter().for_each(|buffer| back[*buffer] = true);
        }
        let mut chooser = Self { plan, demand, kinds, cuts: Vec::new(), used, back };
        chooser.cuts = chooser.cuts();
        chooser
    }

    /// The places between steps at which no more is alive than at those beside them.
    fn cuts(&self) -> Vec<usize> {
        let steps = self.demand.steps.len();
        let mut change = vec![0_isize; steps + 2];
        for (buffer, producer) in self.demand.producer.iter().enumerate() {
            if let Some(producer) = *producer {
                let size = isize::try_from(self.plan.buffers[buffer].elements).unwrap_or(isize::MAX / 2);
                change[producer + 1] += size;
                change[self.used[buffer].max(producer) + 1] -= size;
            }
        }
        let mut alive = Vec::with_capacity(steps + 1);
        let mut now = 0;
        for change in change.iter().take(steps + 1) {
            now += change;
            alive.push(now);
        }
        let is_low = |place: &usize| alive[*place] <= alive[*place - 1] && alive[*place] <= alive[*place + 1];
        let mut inner: Vec<usize> = (1..steps).filter(is_low).collect();
        if inner.len() > CUTS {
            inner.sort_by_key(|place| alive[*place]);
            inner.truncate(CUTS);
            inner.sort_unstable();
        }
        let mut cuts = vec![0];
        cuts.append(&mut inner);
        cuts.push(steps);
        cuts
    }

    /// What there is to try.
    fn candidates(&self) -> Vec<Vec<Segment>> {
        let costs = self.costs();
        let plain = self.back.iter().zip(&self.plan.buffers).filter(|(back, _)| **back);
        let plain = plain.fold(0.0, |sum, (_, buffer)| sum + buffer.elements as f64);
        let time = plain / (self.plan.work() as f64).max(1.0);
        let mut found: Vec<Vec<Segment>> = Vec::new();
        for halvings in 0..12 {
            let most = plain * 0.7_f64.powi(halvings);
            for price in [0.0, 0.1, 0.3, 1.0, 3.0] {
                found.extend(self.cheapest(&costs, most, price * time));
            }
        }
        if self.kinds.contains(&Again::All) {
            let root = (self.cuts.len() as f64).sqrt();
            found.extend([root / 2.0, root, root * 2.0].map(|parts| self.equal(parts.round() as usize)));
        }
        found.dedup();
        found
    }

    /// For each pair of cuts the costs of each kind.
    fn costs(&self) -> Vec<Vec<Vec<Cost>>> {
        let pair = |start: usize, end: usize| -> Vec<Cost> {
            let segment = |again| Segment { start: self.cuts[start], end: self.cuts[end], again };
            self.kinds.iter().map(|again| self.cost(segment(*again))).collect()
        };
        (0..self.cuts.len()).map(|end| (0..end).map(|start| pair(start, end)).collect()).collect()
    }

    fn cost(&self, segment: Segment) -> Cost {
        let demand = self.demand;
        let produced =
            (segment.start..segment.end).filter_map(|index| demand.steps[index].out.map(|out| (index, out)));
        let is_again = |buffer: usize| {
            demand.producer[buffer].is_some_and(|index| {
                index >= segment.start
                    && demand.may_run(index, segment.again)
                    && !demand.held[buffer]
                    && self.used[buffer] < segment.end
            })
        };
        let runs = demand.runs(segment, is_again);
        let mut is_read = vec![false; segment.end - segment.start];
        for buffer in runs.iter().flat_map(|run| &demand.steps[*run].reads) {
            if let Some(index) = demand.producer[*buffer].filter(|index| *index >= segment.start) {
                is_read[index - segment.start] = true;
            }
        }
        let mut cost = Cost { kept: 0.0, inner: 0.0, work: 0.0 };
        for (index, out) in produced {
            let size = self.plan.buffers[out].elements as f64;
            let half = if self.plan.route.in_half && !demand.held[out] { 0.5 } else { 1.0 };
            if is_again(out) {
                cost.inner += if self.back[out] { size } else { 0.0 };
            } else if self.back[out]
                || demand.held[out]
                || self.used[out] >= segment.end
                || is_read[index - segment.start]
            {
                cost.kept += size * half;
            }
        }
        cost.work = runs.iter().map(|run| self.plan.steps[*run].work as f64).sum();
        cost
    }

    /// The segments that keep least, where none takes more than `most` when it is run again, and work has a price.
    fn cheapest(&self, costs: &[Vec<Vec<Cost>>], most: f64, price: f64) -> Option<Vec<Segment>> {
        let mut best = vec![(0.0, None); self.cuts.len()];
        for end in 1..self.cuts.len() {
            best[end].0 = f64::INFINITY;
            for start in 0..end {
                for (kind, cost) in costs[end][start].iter().enumerate() {
                    let sum = best[start].0 + cost.kept + price * cost.work;
                    if cost.inner <= most && sum < best[end].0 {
                        best[end] = (sum, Some((start, kind)));
                    }
                }
            }
        }
        let mut segments = Vec::new();
        let mut end = self.cuts.len() - 1;
        while end > 0 {
            let (start, kind) = best[end].1?;
            segments.push(Segment { start: self.cuts[start], end: self.cuts[end], again: self.kinds[kind] });
            end = start;
        }
        segments.reverse();
        Some(segments)
    }

    /// So many parts that gradients read alike much of, the last of which is kept: the way back begins there.
    fn equal(&self, parts: usize) -> Vec<Segment> {
        let parts = parts.clamp(1, self.cuts.len() - 1);
        let mut sums = vec![0.0];
        for wish in &self.demand.steps {
            let size =
                wish.out.filter(|out| self.back[*out]).map_or(0, |out| self.plan.buffers[out].elements);
            sums.push(sums[sums.len() - 1] + size as f64);
        }
        let whole = sums[sums.len() - 1];
        let nearest = |part: usize| {
            let wanted = whole * part as f64 / parts as f64;
            let distance = |cut: &&usize| (sums[**cut] - wanted).abs();
            self.cuts.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).copied().unwrap_or(0)
        };
        let mut places: Vec<usize> = (1..parts).map(nearest).collect();
        places.extend([0, self.demand.steps.len()]);
        places.sort_unstable();
        places.dedup();
        let last = self.demand.steps.len();
        let again = |end: usize| if end == last { Again::Nothing } else { Again::All };
        places
            .windows(2)
            .map(|ends| Segment { start: ends[0], end: ends[1], again: again(ends[1]) })
            .collect()
    }
}
