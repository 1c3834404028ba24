//! A plan run on candle's tensors: on its tape, on any device, in any floating type.

use candle_core::{Tensor, Var};

use crate::{
    Call, Error, Mode, Net, Node, Op, Plan, Result,
    plan::{How, Source, Step},
    rng::Stream,
    tape,
};

/// What a run on tensors gives.
pub(crate) struct Ran {
    /// The targets' values.
    pub(crate) targets: Vec<Tensor>,
    /// For each node whose gradient is wanted, in the route's order, a variable of zeros that was added to its value: they
    /// have the same.
    pub(crate) probes: Vec<Option<Tensor>>,
}

/// Which parameters are variables on candle's tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taped {
    /// None.
    Nothing,
    /// Those that learn in training, and those that came as variables.
    AsGiven,
    /// Those that learn, if the route goes back to parameters at all.
    AsRouted,
}

/// Runs a plan that was made for the tape, on it or not.
pub(crate) fn run(net: &Net, plan: &Plan, given: &[Tensor], taped: Taped, random: &Stream) -> Result<Ran> {
    let mut values: Vec<Option<Tensor>> = vec![None; plan.values.len()];
    let named = &plan.route.gradients_of;
    let mut probes = vec![None; named.len()];
    for ((value, node), tensor) in plan.sources.iter().zip(plan.route.sources()).zip(given) {
        values[*value] = Some(probed(tensor.clone(), *node, named, &mut probes)?);
    }
    for step in &plan.steps {
        let name = || net.graph().get(step.node()).name.clone();
        let value = one(net, plan, step, &values, (taped, random));
        let value = value.map_err(|error| match error {
            Error::Candle(source) => Error::Run { node: name(), source },
            other => other,
        })?;
        values[step.out] = Some(probed(value, step.gives(), named, &mut probes)?);
        for value in &step.dies {
            values[*value] = None;
        }
    }
    let targets = plan.targets.iter().filter_map(|target| values[*target].clone()).collect();
    Ok(Ran { targets, probes })
}

/// A value whose gradient is wanted, with a variable of zeros added.
fn probed(value: Tensor, node: Node, named: &[Node], probes: &mut [Option<Tensor>]) -> Result<Tensor> {
    if !named.contains(&node) {
        return Ok(value);
    }
    let probe = Var::from_tensor(&value.zeros_like()?)?.into_inner();
    let value = (value + &probe)?;
    for (place, _) in named.iter().enumerate().filter(|(_, name)| **name == node) {
        probes[place] = Some(probe.clone());
    }
    Ok(value)
}

fn one(
    net: &Net,
    plan: &Plan,
    step: &Step,
    values: &[Option<Tensor>],
    (taped, random): (Taped, &Stream),
) -> Result<Tensor> {
    let mut args = Vec::with_capacity(step.args.len());
    for arg in &step.args {
        args.push(match *arg {
            Source::Value(value) => values[value].clone().ok_or_else(|| Error::Run {
                node: net.graph().get(step.node()).name.clone(),
                source: candle_core::Error::msg("it was run before what it reads"),
            })?,
            Source::Param(node, place) => match taped {
                Taped::Nothing => net.param(node, place)?.clone(),
                Taped::AsGiven => net.on_tape(node, place, plan.route.mode() == Mode::Train)?.clone(),
                Taped::AsRouted if plan.route.learn => net.on_tape(node, place, true)?.clone(),
                Taped::AsRouted => net.param(node, place)?.clone(),
            },
        });
    }
    let batch = args.first().map_or(Ok(1), |first| first.dim(0))?;
    let dims = plan.values[step.out].shape.with_batch(batch);
    if step.how == How::View {
        return Ok(args[0].reshape(dims)?);
    }
    let random = random.fork(step.node().index() as u64);
    if let Some(kernel) = &step.kernel
        && (tape::takes(&args) || is_half(&args))
        && tape::tracked(&args) <= 3
    {
        // A kernel sees a parameter as its values in a row, on whatever path it runs.
        for (arg, source) in args.iter_mut().zip(&step.args) {
            if matches!(source, Source::Param(..)) && arg.rank() > 1 {
                *arg = arg.flatten_all()?;
            }
        }
        let (value, saved) = tape::run(kernel, &args, (&dims, step.saved), &random)?;
        if step.saved > 0 {
            let count = plan.values[step.out].shape.size().iter().product::<usize>() * batch;
            net.move_statistics(step.node(), &saved, count)?;
        }
        return Ok(value);
    }
    let layer = net.graph().get(step.node());
    let (inputs, params) = args.split_at(step.inputs);
    let mut value = match (&layer.op, step.mode) {
        (Op::BatchNorm2d(norm), Mode::Train) => {
            let (value, batch) = norm.train(&args[0], params)?;
            net.move_by_tensors(step.node(), &batch)?;
            value
        }
        (op, mode) => op.operation().forward(Call { inputs, params, mode, random: random.clone() })?,
    };
    for node in &step.nodes()[1..] {
        let inputs = [value];
        let call = Call { inputs: &inputs, params: &[], mode: step.mode, random: random.clone() };
        value = net.graph().get(*node).op.operation().forward(call)?;
    }
    if value.dims() != dims {
        let (node, op) = (layer.name.clone(), layer.op.operation().kind());
        return Err(Error::WrongShape { node, op, got: value.dims().to_vec(), expected: dims });
    }
    Ok(value)
}

/// Whether kernels can take these tensors by way of f32.
fn is_half(args: &[Tensor]) -> bool {
    use candle_core::DType;
    args.iter().all(|arg| arg.device().is_cpu() && matches!(arg.dtype(), DType::F16 | DType::BF16))
}
