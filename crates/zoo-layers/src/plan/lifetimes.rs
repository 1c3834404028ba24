//! How long everything lives, and which memory it lies in.

use super::{BackStep, Buffer, How, Into, Place, Plan, Source, Step, Turn, ValueId};

/// Finds out when each buffer is used first and last, what dies behind each step, and lays buffers whose times don't
/// meet into the same slots.
pub(super) fn settle(plan: &mut Plan) {
    let (forward, end) = (plan.steps.len(), plan.steps.len() + plan.back.len());
    uses(plan, end);
    deaths(plan);
    for (place, target) in plan.targets.clone().into_iter().enumerate() {
        let buffer = &mut plan.buffers[plan.values[target].buffer];
        if matches!(buffer.place, Place::Slot(_)) {
            buffer.place = Place::Handed(place);
        }
    }
    sizes(plan, forward, end);
    slots(plan, end);
}

/// Lengthens the lives of the buffers that each moment reads.
fn uses(plan: &mut Plan, end: usize) {
    let mut read: Vec<(ValueId, usize)> = Vec::new();
    for (moment, step) in plan.steps.iter().enumerate() {
        forward(step, moment, &mut read);
        read.extend(step.narrows.iter().flat_map(|(from, to)| [(*from, moment), (*to, moment)]));
    }
    for (place, turn) in plan.back.iter().enumerate() {
        let moment = plan.steps.len() + place;
        match turn {
            Turn::Again(_, step) => forward(step, moment, &mut read),
            Turn::Widen { from, to } => read.extend([(*from, moment), (*to, moment)]),
            Turn::Back(back) => backward(back, moment, &mut read),
        }
    }
    // Results are the caller's from the end of the way forward on; named gradients are handed out at the end.
    read.extend(plan.targets.iter().map(|target| (*target, plan.steps.len())));
    read.extend(plan.gradients_of.iter().flatten().map(|gradient| (*gradient, end)));
    for (value, moment) in read {
        let buffer = &mut plan.buffers[plan.values[value].buffer];
        buffer.last = buffer.last.max(moment);
    }
}

fn forward(step: &Step, moment: usize, read: &mut Vec<(ValueId, usize)>) {
    read.push((step.out, moment));
    read.extend(step.args.iter().filter_map(|arg| match arg {
        Source::Value(value) => Some((*value, moment)),
        Source::Param(..) => None,
    }));
}

fn backward(back: &BackStep, moment: usize, read: &mut Vec<(ValueId, usize)>) {
    let forward = back.args.iter().chain([&back.out]).flatten().copied();
    let into = back.into.iter().flatten().filter_map(|into| match *into {
        Into::Fresh(value) | Into::Shared(value) => Some(value),
        Into::Param(..) => None,
    });
    let sums = back.sums.iter().flat_map(|sum| [sum.before, sum.part, sum.into]);
    read.extend([back.grad].into_iter().chain(forward).chain(into).chain(sums).map(|value| (value, moment)));
}

/// For each step forward the values that no later step reads, nor the caller.
fn deaths(plan: &mut Plan) {
    let mut last = vec![None; plan.values.len()];
    for (moment, step) in plan.steps.iter().enumerate() {
        for arg in &step.args {
            if let Source::Value(value) = arg {
                last[*value] = Some(moment);
            }
        }
    }
    for target in &plan.targets {
        last[*target] = None;
    }
    for (value, moment) in last.into_iter().enumerate() {
        if let Some(moment) = moment {
            plan.steps[moment].dies.push(value);
        }
    }
}

fn sizes(plan: &mut Plan, forward: usize, end: usize) {
    // What is alive changes by so much at each moment.
    let mut born = vec![0_usize; end + 2];
    let mut gone = vec![0_usize; end + 2];
    for buffer in &plan.buffers {
        born[buffer.born] = born[buffer.born].saturating_add(buffer.size());
        gone[buffer.last + 1] = gone[buffer.last + 1].saturating_add(buffer.size());
    }
    let mut alive = 0_usize;
    for moment in 0..=end {
        alive = alive.saturating_sub(gone[moment]).saturating_add(born[moment]);
        plan.sizes.peak = plan.sizes.peak.max(alive);
    }
    let ours = plan.buffers.iter().filter(|buffer| !matches!(buffer.place, Place::Given(_)));
    let kept = ours.clone().filter(|buffer| buffer.born < forward && buffer.last >= forward);
    plan.sizes.kept = kept.map(Buffer::size).fold(0, usize::saturating_add);
    let handed = ours.filter(|buffer| matches!(buffer.place, Place::Handed(_)));
    plan.sizes.handed = handed.map(Buffer::size).fold(0, usize::saturating_add);
    plan.sizes.saved = plan.steps.iter().fold(0, |sum, step| sum.saturating_add(step.saved));
    debug_assert!(plan.steps.iter().all(|step| step.how != How::InPlace || !plan.route.has_way_back()));
}

/// Lays the buffers into slots, those for numbers of half the size apart.
fn slots(plan: &mut Plan, end: usize) {
    let is_whole = |buffer: &Buffer| matches!(buffer.place, Place::Slot(_));
    plan.slots = lay(&mut plan.buffers, end, is_whole, Place::Slot);
    let is_half = |buffer: &Buffer| matches!(buffer.place, Place::Half(_));
    plan.halves = lay(&mut plan.buffers, end, is_half, Place::Half);
    // Two of half the size are a whole one.
    plan.halves.iter_mut().for_each(|half| *half = half.next_multiple_of(2));
}

/// Lays buffers into slots, in the order of their births: each into the smallest free one that is large enough, or else
/// the largest, which grows. Gives the slots' sizes.
fn lay(
    buffers: &mut [Buffer],
    end: usize,
    is_meant: impl Fn(&Buffer) -> bool,
    place: impl Fn(usize) -> Place,
) -> Vec<usize> {
    let mut slots: Vec<usize> = Vec::new();
    let mut births: Vec<Vec<usize>> = vec![Vec::new(); end + 1];
    let mut deaths: Vec<Vec<usize>> = vec![Vec::new(); end + 2];
    for (index, buffer) in buffers.iter().enumerate().filter(|(_, buffer)| is_meant(buffer)) {
        births[buffer.born].push(index);
    }
    let mut free: Vec<usize> = Vec::new();
    for moment in 0..=end {
        free.append(&mut deaths[moment]);
        for &index in &births[moment] {
            let needed = buffers[index].elements;
            let fits = |slot: &usize| slots[*slot] >= needed;
            let best =
                (0..free.len()).filter(|place| fits(&free[*place])).min_by_key(|place| slots[free[*place]]);
            let best = best.or_else(|| (0..free.len()).max_by_key(|place| slots[free[*place]]));
            let slot = match best {
                Some(place) => free.swap_remove(place),
                None => {
                    slots.push(0);
                    slots.len() - 1
                }
            };
            slots[slot] = slots[slot].max(needed);
            buffers[index].place = place(slot);
            deaths[buffers[index].last + 1].push(slot);
        }
    }
    slots
}
