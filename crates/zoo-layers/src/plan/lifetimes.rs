//! How long everything lives, and which memory it lies in.

use super::{How, Into, Place, Plan, Source, ValueId};

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
        read.push((step.out, moment));
        read.extend(step.args.iter().filter_map(|arg| match arg {
            Source::Value(value) => Some((*value, moment)),
            Source::Param(..) => None,
        }));
    }
    for (place, back) in plan.back.iter().enumerate() {
        let (step, moment) = (&plan.steps[back.step], plan.steps.len() + place);
        read.push((back.grad, moment));
        if back.out {
            read.push((step.out, moment));
        }
        for (arg, needed) in step.args.iter().zip(&back.args) {
            if let (Source::Value(value), true) = (arg, needed) {
                read.push((*value, moment));
            }
        }
        for into in back.into.iter().flatten() {
            if let Into::Fresh(value) | Into::Shared(value) = into {
                read.push((*value, moment));
            }
        }
        read.extend(
            back.sums.iter().flat_map(|sum| [sum.before, sum.part, sum.into]).map(|value| (value, moment)),
        );
    }
    // Results are the caller's from the end of the way forward on; named gradients are handed out at the end.
    read.extend(plan.targets.iter().map(|target| (*target, plan.steps.len())));
    read.extend(plan.gradients_of.iter().map(|gradient| (*gradient, end)));
    for (value, moment) in read {
        let buffer = &mut plan.buffers[plan.values[value].buffer];
        buffer.last = buffer.last.max(moment);
    }
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
        born[buffer.born] = born[buffer.born].saturating_add(buffer.elements);
        gone[buffer.last + 1] = gone[buffer.last + 1].saturating_add(buffer.elements);
    }
    let mut alive = 0_usize;
    for moment in 0..=end {
        alive = alive.saturating_sub(gone[moment]).saturating_add(born[moment]);
        plan.sizes.peak = plan.sizes.peak.max(alive);
    }
    let ours = plan.buffers.iter().filter(|buffer| !matches!(buffer.place, Place::Given(_)));
    let kept = ours.clone().filter(|buffer| buffer.born < forward && buffer.last >= forward);
    plan.sizes.kept = kept.fold(0, |sum, buffer| sum.saturating_add(buffer.elements));
    let handed = ours.filter(|buffer| matches!(buffer.place, Place::Handed(_)));
    plan.sizes.handed = handed.fold(0, |sum, buffer| sum.saturating_add(buffer.elements));
    plan.sizes.saved = plan.steps.iter().fold(0, |sum, step| sum.saturating_add(step.saved));
    debug_assert!(plan.steps.iter().all(|step| step.how != How::InPlace || !plan.route.has_way_back()));
}

/// Lays the buffers into slots, in the order of their births: each into the smallest free one that is large enough,
/// or else the largest, which grows.
fn slots(plan: &mut Plan, end: usize) {
    let mut births: Vec<Vec<usize>> = vec![Vec::new(); end + 1];
    let mut deaths: Vec<Vec<usize>> = vec![Vec::new(); end + 2];
    for (index, buffer) in plan.buffers.iter().enumerate() {
        if matches!(buffer.place, Place::Slot(_)) {
            births[buffer.born].push(index);
        }
    }
    let mut free: Vec<usize> = Vec::new();
    for moment in 0..=end {
        free.append(&mut deaths[moment]);
        for &index in &births[moment] {
            let needed = plan.buffers[index].elements;
            let fits = |slot: &usize| plan.slots[*slot] >= needed;
            let best = (0..free.len())
                .filter(|place| fits(&free[*place]))
                .min_by_key(|place| plan.slots[free[*place]]);
            let best = best.or_else(|| (0..free.len()).max_by_key(|place| plan.slots[free[*place]]));
            let slot = match best {
                Some(place) => free.swap_remove(place),
                None => {
                    plan.slots.push(0);
                    plan.slots.len() - 1
                }
            };
            plan.slots[slot] = plan.slots[slot].max(needed);
            plan.buffers[index].place = Place::Slot(slot);
            deaths[plan.buffers[index].last + 1].push(slot);
        }
    }
}
