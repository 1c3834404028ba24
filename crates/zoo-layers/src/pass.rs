//! A training step that the network drives itself, without candle's tape.
//!
//! candle's tape keeps every result until the loss is dropped, and adds each gradient to a tensor of zeros. A
//! [`Pass`] keeps only what some gradient needs, lets it go as soon as it is used, writes each gradient once, and
//! uses its memory again in the next step. The loss is the caller's, in candle's own operations, on the outputs as leaves.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use candle_core::{Tensor, Var, backprop::GradStore};

use crate::{
    Activation, Error, Graph, Mode, Net, Node, Op, Outputs, Result, Role,
    buffers::{Buffers, Value},
    kernel::{self, Kernel, Shares, WayBack},
    ops::{AddKernel, NormKernel},
    rng::Stream,
};

/// One forward pass in training, on its way back.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use zoo_layers::{Conv2d, Graph, Linear, Shape};
///
/// let graph = Graph::build("tiny", Shape::map(1, 8, 8), |net, picture| {
///     let x = net.conv_norm_act(picture, Conv2d::k3(4), "conv1", "bn1")?;
///     let x = net.global_avg_pool(x)?;
///     let logits = net.linear(x, Linear::new(3), "fc")?;
///     net.output("logits", logits)
/// })?;
/// let net = graph.init(1)?;
/// let pictures = Tensor::ones((2, 1, 8, 8), DType::F32, &Device::Cpu)?;
///
/// let pass = net.train_pass(&pictures)?;
/// let loss = pass.outputs()["logits"].sqr()?.sum_all()?;
/// let gradients = pass.backward(&loss.backward()?)?;
/// for (param, variable) in net.trainable()? {
///     assert!(gradients.get(&variable).is_some(), "{}", param.name);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pass<'n> {
    net: &'n Net,
    /// The outputs as variables: leaves of the loss's tape.
    outputs: Outputs,
    kept: Kept,
}

/// What the way back needs.
#[derive(Debug)]
enum Kept {
    /// What ran, in order.
    Records(Vec<Record>),
    /// The outputs on candle's tape, where an operation has no kernel of its own or the device is another.
    Tape(Outputs),
}

/// One operation that ran.
#[derive(Debug)]
struct Record {
    /// The node whose value it gave.
    node: Node,
    /// Where its arguments came from.
    sources: Vec<Source>,
    args: Vec<Arc<Value>>,
    out: Arc<Value>,
    /// Nothing where the output is the input read otherwise.
    kernel: Option<Arc<dyn Kernel>>,
}

/// What ran, in order, and the values that are left: the outputs.
type Recorded = (Vec<Record>, Values);

type Values = HashMap<Node, Arc<Value>>;

#[derive(Clone, Debug)]
enum Source {
    Node(Node),
    Param(Tensor),
}

impl Net {
    /// A forward pass in training: all outputs, and the way back to the parameters.
    ///
    /// # Errors
    /// As [`Net::forward`].
    pub fn train_pass(&self, pictures: &Tensor) -> Result<Pass<'_>> {
        let targets: Vec<Node> = self.graph().outputs().iter().map(|output| output.node).collect();
        self.check_input(pictures, &targets)?;
        let leaf = |tensor: &Tensor| -> Result<Tensor> { Ok(Var::from_tensor(tensor)?.into_inner()) };
        self.buffers().next_step(pictures.dims());
        match self.record(pictures)? {
            Some((records, values)) => {
                let mut outputs = Outputs::new();
                for output in self.graph().outputs() {
                    outputs.insert(output.name.clone(), leaf(values[&output.node].tensor())?);
                }
                Ok(Pass { net: self, outputs, kept: Kept::Records(records) })
            }
            None => {
                let taped = self.outputs(pictures, Mode::Train)?;
                let mut outputs = Outputs::new();
                for (name, tensor) in &taped {
                    outputs.insert(name.clone(), leaf(&tensor.detach())?);
                }
                Ok(Pass { net: self, outputs, kept: Kept::Tape(taped) })
            }
        }
    }

    /// Runs the network without candle's tape and keeps what the way back needs; nothing if some operation can't
    /// run so.
    fn record(&self, pictures: &Tensor) -> Result<Option<Recorded>> {
        let graph = self.graph();
        let active = graph.active(Mode::Train);
        if !kernel::takes(std::slice::from_ref(pictures)) || !all_have_kernels(graph, &active) {
            return Ok(None);
        }
        let random = self.next_random(Mode::Train);
        let outputs: HashSet<Node> = graph.outputs().iter().map(|output| output.node).collect();
        let mut last_reader = HashMap::new();
        for (node, layer) in graph.nodes().filter(|(node, _)| active.contains(node)) {
            last_reader.extend(layer.inputs.iter().map(|input| (*input, node)));
        }
        let mut records = Vec::new();
        let mut values = Values::new();
        for (node, layer) in graph.nodes().filter(|(node, _)| active.contains(node)) {
            if values.contains_key(&node) {
                continue; // It ran as one operation with the node before.
            }
            if let Op::Input(_) = layer.op {
                values.insert(node, Value::theirs(pictures.detach()));
                continue;
            }
            let fused = graph.fused_activation(node);
            let record = self
                .run_recorded(node, fused, &values, &random.fork(node.index() as u64))
                .map_err(|source| Error::Run { node: layer.name.clone(), source })?;
            values.insert(record.node, Arc::clone(&record.out));
            for input in &layer.inputs {
                if last_reader.get(input) == Some(&node) && !outputs.contains(input) {
                    values.remove(input);
                }
            }
            records.push(record);
        }
        Ok(Some((records, values)))
    }

    fn run_recorded(
        &self,
        node: Node,
        fused: Option<Node>,
        values: &Values,
        random: &Stream,
    ) -> candle_core::Result<Record> {
        let layer = self.graph().get(node);
        let following = fused.and_then(|reader| activation(self.graph(), reader));
        let gives = fused.unwrap_or(node);
        let mut sources: Vec<Source> = layer.inputs.iter().map(|input| Source::Node(*input)).collect();
        let mut args: Vec<Arc<Value>> = layer.inputs.iter().map(|input| Arc::clone(&values[input])).collect();
        if let Op::Flatten(_) = layer.op {
            let (pictures, all) = (args[0].tensor().dim(0)?, args[0].tensor().elem_count());
            let out = Value::view(&args[0], &[pictures, all / pictures.max(1)])?;
            return Ok(Record { node: gives, sources, args, out, kernel: None });
        }
        let learned = self.params_of(node).iter().zip(&layer.params);
        for (tensor, _) in learned.filter(|(_, param)| param.role == Role::Trainable) {
            sources.push(Source::Param(tensor.clone()));
            args.push(Value::theirs(tensor.detach()));
        }
        if let Op::BatchNorm2d(norm) = &layer.op
            && let Some(kernel) = NormKernel::new(norm, following)
        {
            let kernel = Arc::new(kernel);
            let out = run(kernel.as_ref(), &args, self.buffers())?;
            let values = out.tensor();
            let batch = kernel.batch(values.elem_count() / values.dim(1)?.max(1), values)?;
            self.move_statistics(node, norm, &batch)?;
            return Ok(Record { node: gives, sources, args, out, kernel: Some(kernel) });
        }
        let kernel = layer.op.kernel(Mode::Train, following, random);
        let kernel = kernel.ok_or_else(|| candle_core::Error::msg("it has no kernel"))?;
        let out = run(kernel.as_ref(), &args, self.buffers())?;
        Ok(Record { node: gives, sources, args, out, kernel: Some(kernel) })
    }
}

fn run(kernel: &dyn Kernel, args: &[Arc<Value>], buffers: &Arc<Buffers>) -> candle_core::Result<Arc<Value>> {
    let args: Vec<&Tensor> = args.iter().map(|arg| arg.tensor()).collect();
    Ok(Value::ours(kernel::untaped(kernel, &args, Some(buffers))?, buffers))
}

fn activation(graph: &Graph, node: Node) -> Option<Activation> {
    match graph.get(node).op {
        Op::Activation(activation) => Some(activation),
        _ => None,
    }
}

/// Whether every active node can run without candle's tape.
fn all_have_kernels(graph: &Graph, active: &HashSet<Node>) -> bool {
    let nothing = Stream::from_key(0);
    graph.nodes().filter(|(node, _)| active.contains(node)).all(|(node, layer)| match layer.op {
        Op::Input(_) | Op::Flatten(_) => true,
        ref op => {
            let following = graph.fused_activation(node).and_then(|reader| activation(graph, reader));
            op.kernel(Mode::Train, following, &nothing).is_some()
        }
    })
}

impl Pass<'_> {
    /// The outputs by name, auxiliary ones included, as leaves to compute a loss from.
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// The gradients of all learned parameters, from the loss's gradients of the outputs.
    ///
    /// # Errors
    /// candle's, with the node's name.
    pub fn backward(self, loss: &GradStore) -> Result<GradStore> {
        let records = match self.kept {
            Kept::Tape(taped) => return tape_backward(&taped, &self.outputs, loss),
            Kept::Records(records) => records,
        };
        let (graph, buffers) = (self.net.graph(), self.net.buffers());
        let mut gradients = Values::new();
        for output in graph.outputs() {
            if let Some(gradient) = loss.get(&self.outputs[&output.name]) {
                accumulate(&mut gradients, output.node, Value::theirs(gradient.clone()), buffers)?;
            }
        }
        drop(self.outputs);
        let learning = learning(graph, &records);
        let mut found = GradStore::default();
        for record in records.into_iter().rev() {
            let Some(gradient) = gradients.remove(&record.node) else { continue };
            let wanted: Vec<bool> = record
                .sources
                .iter()
                .map(|source| match source {
                    Source::Node(node) => learning.contains(node),
                    Source::Param(tensor) => tensor.is_variable(),
                })
                .collect();
            let arguments = record.gradients(gradient, &wanted, buffers);
            let name = &graph.get(record.node).name;
            let arguments = arguments.map_err(|source| Error::Run { node: name.clone(), source })?;
            for (source, gradient) in record.sources.into_iter().zip(arguments) {
                match (source, gradient) {
                    (Source::Node(node), Some(gradient)) if learning.contains(&node) => {
                        accumulate(&mut gradients, node, gradient, buffers)?;
                    }
                    (Source::Param(tensor), Some(gradient)) => {
                        found.insert(&tensor, gradient.give_away()?);
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}

impl Record {
    /// The gradients of the arguments that are `wanted`, from the output's.
    fn gradients(
        &self,
        gradient: Arc<Value>,
        wanted: &[bool],
        buffers: &Arc<Buffers>,
    ) -> candle_core::Result<Vec<Option<Arc<Value>>>> {
        let same = |gradient: &Arc<Value>| {
            wanted.iter().map(|wanted| wanted.then(|| Arc::clone(gradient))).collect::<Vec<_>>()
        };
        let Some(kernel) = &self.kernel else {
            return Ok(same(&Value::view(&gradient, self.args[0].tensor().dims())?));
        };
        let args: Vec<&Tensor> = self.args.iter().map(|arg| arg.tensor()).collect();
        let (out, grad) = (self.out.tensor(), gradient.tensor());
        let step = WayBack { args: &args, out, grad, buffers: Some(buffers) };
        let compute = |wanted: &[bool]| -> candle_core::Result<Vec<Option<Arc<Value>>>> {
            let gradients = kernel.backward(&step, wanted)?;
            Ok(gradients.into_iter().map(|one| one.map(|one| Value::ours(one, buffers))).collect())
        };
        match kernel.shares() {
            Shares::Nothing => compute(wanted),
            Shares::Output => Ok(same(&gradient)),
            Shares::Arguments => {
                let mut only = vec![false; wanted.len()];
                only[..1].fill(true);
                Ok(compute(&only)?.into_iter().flatten().next().map_or_else(Vec::new, |one| same(&one)))
            }
        }
    }
}

/// The nodes whose value depends on something that is learned.
fn learning(graph: &Graph, records: &[Record]) -> HashSet<Node> {
    let mut learning = HashSet::new();
    for record in records {
        let learns = record.sources.iter().any(|source| match source {
            Source::Node(node) => learning.contains(node),
            Source::Param(tensor) => tensor.is_variable(),
        });
        if learns {
            learning.insert(record.node);
        }
    }
    debug_assert!(learning.len() <= graph.layers().len());
    learning
}

fn accumulate(
    gradients: &mut Values,
    node: Node,
    gradient: Arc<Value>,
    buffers: &Arc<Buffers>,
) -> Result<()> {
    let sum = match gradients.remove(&node) {
        Some(before) => run(&AddKernel::SUM, &[before, gradient], buffers)?,
        None => gradient,
    };
    gradients.insert(node, sum);
    Ok(())
}

/// The same by candle's tape: the gradient of `Σ output · gradient` is the chain rule's.
fn tape_backward(taped: &Outputs, leaves: &Outputs, loss: &GradStore) -> Result<GradStore> {
    let mut sum: Option<Tensor> = None;
    for (name, output) in taped {
        if let Some(gradient) = loss.get(&leaves[name]) {
            let term = (output * gradient)?.sum_all()?;
            sum = Some(match sum {
                Some(sum) => (sum + term)?,
                None => term,
            });
        }
    }
    match sum {
        Some(sum) => Ok(sum.backward()?),
        None => Ok(GradStore::default()),
    }
}
