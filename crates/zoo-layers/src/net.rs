//! A graph with weights: it runs on candle tensors, with candle's autograd, on any candle device.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use candle_core::{DType, Device, Tensor, Var, backprop::GradStore};
use candle_nn::{ModuleT, VarBuilder};

use crate::{
    Call, Error, Graph, Mode, Node, Op, Param, Result, Role, Shape,
    buffers::Buffers,
    kernel::{self, Kernel},
    ops::{Activation, BatchNorm2d, BatchStatistics, NormKernel},
    rng::Stream,
};

/// A network that answers and learns.
///
/// It is a `candle_nn::ModuleT` whose forward gives the main output; [`Net::outputs`] gives all of them. It is
/// not a `candle_nn::Module`: that would hide whether batch norm and dropout learn.
#[derive(Debug)]
pub struct Net {
    graph: Graph,
    /// For each node its parameters, in the operation's order. Buffers are `Var`s underneath.
    params: Vec<Vec<Tensor>>,
    random: Stream,
    steps: AtomicU64,
    /// What training steps compute into.
    buffers: Arc<Buffers>,
}

/// The named outputs of one forward pass.
pub type Outputs = BTreeMap<String, Tensor>;

impl Graph {
    /// Takes the parameters from a candle `VarBuilder`, by their full names. Of a `VarMap`'s builder, they are
    /// its variables: trained by candle's optimizers, saved with it.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape. Unexpected ones can't be seen through a `VarBuilder`:
    /// [`Graph::load_tensors`] sees them.
    pub fn load(&self, weights: VarBuilder<'_>) -> Result<Net> {
        Net::assemble(self, 0, |param| {
            let (path, name) = param.name.rsplit_once('.').unwrap_or(("", &param.name));
            let at = match path.is_empty() {
                true => weights.clone(),
                false => weights.pp(path),
            };
            at.get_with_hints(param.shape.as_slice(), name, candle_hint(param)).map_err(Error::from)
        })
    }

    /// Takes a named set of tensors that must be exactly the graph's parameters, converted to f32 on `device`.
    /// `num_batches_tracked`, which PyTorch counts and nobody reads, is dropped.
    ///
    /// # Errors
    /// [`Error::Weights`] names what is missing, unexpected or misshapen.
    pub fn load_tensors(&self, tensors: &HashMap<String, Tensor>, device: &Device) -> Result<Net> {
        let shapes = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.dims()));
        self.check_weights(shapes)?;
        Net::assemble(self, 0, |param| {
            let tensor = tensors.get(&param.name).ok_or_else(|| Error::Weights {
                graph: self.name.clone(),
                report: format!("`{}` is missing", param.name),
            })?;
            Ok(Var::from_tensor(&tensor.to_device(device)?.to_dtype(DType::F32)?)?.into_inner())
        })
    }

    /// Compares names and shapes with the graph's parameters, both ways.
    ///
    /// # Errors
    /// [`Error::Weights`] names what is missing, unexpected or misshapen.
    pub fn check_weights<'a>(&self, tensors: impl Iterator<Item = (&'a str, &'a [usize])>) -> Result<()> {
        let found: BTreeMap<&str, &[usize]> =
            tensors.filter(|(name, _)| !name.ends_with("num_batches_tracked")).collect();
        let wanted: BTreeMap<&str, &[usize]> =
            self.params().map(|param| (param.name.as_str(), param.shape.as_slice())).collect();
        let mut faults = Vec::new();
        let missing: BTreeSet<_> = wanted.keys().filter(|name| !found.contains_key(**name)).collect();
        let unexpected: BTreeSet<_> = found.keys().filter(|name| !wanted.contains_key(**name)).collect();
        for (what, names) in [("missing", missing), ("unexpected", unexpected)] {
            if !names.is_empty() {
                faults.push(format!("{} {what} ({})", names.len(), some_of(names.iter().map(|n| **n))));
            }
        }
        let misshapen = wanted.iter().filter_map(|(name, shape)| match found.get(name) {
            Some(other) if other != shape => Some(format!("`{name}` is {other:?}, not {shape:?}")),
            _ => None,
        });
        let misshapen: Vec<String> = misshapen.collect();
        if !misshapen.is_empty() {
            let shown = misshapen.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            faults.push(format!("{} misshapen ({shown})", misshapen.len()));
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Error::Weights { graph: self.name.clone(), report: faults.join("; ") }),
        }
    }

    /// Fresh weights, f32 on the CPU: each a function of `seed` and its own name.
    ///
    /// # Errors
    /// candle's.
    pub fn init(&self, seed: u64) -> Result<Net> {
        self.init_on(seed, DType::F32, &Device::Cpu)
    }

    /// Fresh weights of another type or on another device: the same numbers, rounded.
    ///
    /// # Errors
    /// candle's.
    pub fn init_on(&self, seed: u64, dtype: DType, device: &Device) -> Result<Net> {
        Net::assemble(self, seed, |param| {
            let stream = Stream::new(seed, &param.name);
            let tensor = param.init.sample(&param.shape, stream, dtype, device)?;
            Ok(Var::from_tensor(&tensor)?.into_inner())
        })
    }
}

/// The first few names, as a list.
fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(4);
    let mut shown: Vec<String> = names.take(4).map(|name| format!("`{name}`")).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

/// What a `VarMap` should make of a parameter it lacks. candle can't be seeded, and knows fewer distributions:
/// [`Graph::init`] is exact.
fn candle_hint(param: &Param) -> candle_nn::Init {
    match param.init {
        crate::Init::Constant(value) => candle_nn::Init::Const(value),
        crate::Init::Normal { std } | crate::Init::TruncatedNormal { std } => {
            candle_nn::Init::Randn { mean: 0.0, stdev: std }
        }
        crate::Init::Uniform { bound } => candle_nn::Init::Uniform { lo: -bound, up: bound },
        _ => candle_nn::init::DEFAULT_KAIMING_NORMAL,
    }
}

impl Net {
    fn assemble(graph: &Graph, seed: u64, mut get: impl FnMut(&Param) -> Result<Tensor>) -> Result<Self> {
        let mut params = Vec::with_capacity(graph.layers.len());
        for layer in &graph.layers {
            params.push(layer.params.iter().map(&mut get).collect::<Result<Vec<_>>>()?);
        }
        let random = Stream::new(seed, "dropout");
        Ok(Self { graph: graph.clone(), params, random, steps: AtomicU64::new(0), buffers: Arc::default() })
    }

    /// What the network is.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// All parameters and buffers by name, in execution order.
    pub fn tensors(&self) -> impl Iterator<Item = (&Param, &Tensor)> {
        let layers = self.graph.layers.iter().zip(&self.params);
        layers.flat_map(|(layer, tensors)| layer.params.iter().zip(tensors))
    }

    /// The learned parameters as candle variables, for an optimizer. Empty if they were loaded from a
    /// `VarBuilder` that holds plain tensors.
    ///
    /// # Errors
    /// candle's.
    pub fn trainable(&self) -> Result<Vec<(&Param, Var)>> {
        self.tensors()
            .filter(|(param, tensor)| param.role == Role::Trainable && tensor.is_variable())
            .map(|(param, tensor)| Ok((param, Var::from_tensor(tensor)?)))
            .collect()
    }

    /// The seed and the number of the next training step decide dropout's masks: a run that is taken up again
    /// sets both.
    pub fn set_random(&mut self, seed: u64, step: u64) {
        self.random = Stream::new(seed, "dropout");
        self.steps.store(step, Ordering::Relaxed);
    }

    /// The main output for `pictures` `(n, c, h, w)`.
    ///
    /// # Errors
    /// Pictures that don't fit, and candle's errors with the node's name.
    pub fn forward(&self, pictures: &Tensor, mode: Mode) -> Result<Tensor> {
        let output = self.graph.main_output().node;
        let mut values = self.run(pictures, mode, &[output])?;
        values.remove(&output).ok_or_else(|| Error::NoOutput { graph: self.graph.name.clone() })
    }

    /// All outputs that `mode` computes, by name: the auxiliary ones too in training.
    ///
    /// # Errors
    /// As [`Net::forward`].
    pub fn outputs(&self, pictures: &Tensor, mode: Mode) -> Result<Outputs> {
        let outputs: Vec<_> = self.graph.outputs_in(mode).collect();
        let nodes: Vec<Node> = outputs.iter().map(|output| output.node).collect();
        let values = self.run(pictures, mode, &nodes)?;
        Ok(outputs.iter().map(|output| (output.name.clone(), values[&output.node].clone())).collect())
    }

    /// The values of the given nodes, and of no others: what they don't need isn't computed, and what isn't
    /// needed any more is let go.
    ///
    /// # Errors
    /// As [`Net::forward`].
    pub fn run(&self, pictures: &Tensor, mode: Mode, targets: &[Node]) -> Result<HashMap<Node, Tensor>> {
        self.check_input(pictures, targets)?;
        let needed = self.graph.ancestors(targets.iter().copied());
        let targets: HashSet<Node> = targets.iter().copied().collect();
        let mut last_reader = HashMap::new();
        for (node, layer) in self.graph.nodes().filter(|(node, _)| needed.contains(node)) {
            last_reader.extend(layer.inputs.iter().map(|input| (*input, node)));
        }
        let random = self.next_random(mode);
        let mut values: HashMap<Node, Tensor> = HashMap::new();
        for (node, layer) in self.graph.nodes().filter(|(node, _)| needed.contains(node)) {
            if values.contains_key(&node) {
                continue; // It ran as one operation with the node before.
            }
            let fused = match self.graph.fused_activation(node) {
                Some(reader) if needed.contains(&reader) && !targets.contains(&node) => Some(reader),
                _ => None,
            };
            let inputs: Vec<Tensor> = match layer.op {
                Op::Input(_) => vec![pictures.clone()],
                _ => layer.inputs.iter().map(|input| values[input].clone()).collect(),
            };
            let call = Call {
                inputs: &inputs,
                params: &self.params[node.0],
                mode,
                random: random.fork(node.0 as u64),
            };
            let value = self
                .step(node, fused, call)
                .map_err(|source| Error::Run { node: layer.name.clone(), source })?;
            values.insert(fused.unwrap_or(node), value);
            drop(inputs);
            for input in &layer.inputs {
                if last_reader.get(input) == Some(&node) && !targets.contains(input) {
                    values.remove(input);
                }
            }
        }
        values.retain(|node, _| targets.contains(node));
        Ok(values)
    }

    /// The random numbers of one forward pass: another sequence at each training step.
    pub(crate) fn next_random(&self, mode: Mode) -> Stream {
        match mode {
            Mode::Train => self.random.fork(self.steps.fetch_add(1, Ordering::Relaxed)),
            Mode::Eval => self.random.clone(),
        }
    }

    /// Memory for training steps.
    pub(crate) fn buffers(&self) -> &Arc<Buffers> {
        &self.buffers
    }

    /// Takes a step's gradients apart when the optimizer is done with them: the next step computes into their
    /// memory. Clones of tensors that were in there lose their values.
    ///
    /// # Errors
    /// candle's.
    pub fn recycle(&self, mut gradients: GradStore) -> Result<()> {
        for (_, variable) in self.trainable()? {
            if let Some(gradient) = gradients.remove(&variable) {
                self.buffers.reclaim(&gradient);
            }
        }
        Ok(())
    }

    /// The parameters of a node, in its operation's order.
    pub(crate) fn params_of(&self, node: Node) -> &[Tensor] {
        &self.params[node.0]
    }

    /// One node, together with the activation that only it feeds.
    fn step(&self, node: Node, fused: Option<Node>, call: Call<'_>) -> candle_core::Result<Tensor> {
        let activation = fused.and_then(|reader| match self.graph.get(reader).op {
            Op::Activation(activation) => Some(activation),
            _ => None,
        });
        match (&self.graph.get(node).op, call.mode) {
            (Op::BatchNorm2d(norm), Mode::Train) => self.norm_step(node, norm, call, activation),
            (Op::BatchNorm2d(norm), Mode::Eval) => {
                norm.eval(crate::ops::first(call.inputs)?, call.params, activation)
            }
            (op, mode) => {
                let args = [call.inputs, call.params].concat();
                match op.kernel(mode, activation, &call.random) {
                    Some(kernel) if args.len() <= 3 && kernel::takes(&args) => kernel::taped(kernel, &args),
                    _ => {
                        let value = op.operation().forward(call)?;
                        activation.map_or(Ok(value.clone()), |activation| activation.apply(&value))
                    }
                }
            }
        }
    }

    /// Batch norm in training: the running statistics move towards the batch's.
    fn norm_step(
        &self,
        node: Node,
        norm: &BatchNorm2d,
        call: Call<'_>,
        activation: Option<Activation>,
    ) -> candle_core::Result<Tensor> {
        let x = crate::ops::first(call.inputs)?;
        let args: Vec<Tensor> = call.inputs.iter().chain(call.params.iter().take(2)).cloned().collect();
        let kernel = NormKernel::new(norm, activation).filter(|_| kernel::takes(&args)).map(Arc::new);
        let (value, batch) = match kernel {
            Some(kernel) => {
                let value = kernel::taped(Arc::clone(&kernel) as Arc<dyn Kernel>, &args)?;
                (value, kernel.batch(x.elem_count() / x.dim(1)?.max(1), x)?)
            }
            None => norm.train(x, call.params, activation)?,
        };
        self.move_statistics(node, norm, &batch)?;
        Ok(value)
    }

    /// The running statistics move towards a batch's.
    pub(crate) fn move_statistics(
        &self,
        node: Node,
        norm: &BatchNorm2d,
        batch: &BatchStatistics,
    ) -> candle_core::Result<()> {
        let layer = self.graph.get(node);
        for (param, running) in layer.params.iter().zip(&self.params[node.0]) {
            let seen = match param.name.rsplit('.').next() {
                Some("running_mean") => &batch.mean,
                Some("running_var") => &batch.variance,
                _ => continue,
            };
            let moved = ((running.detach() * (1.0 - norm.momentum))? + (seen * norm.momentum)?)?;
            if !running.is_variable() {
                candle_core::bail!(
                    "its running statistics are constants; load it with variables to train it"
                );
            }
            Var::from_tensor(running)?.set(&moved)?;
        }
        Ok(())
    }

    pub(crate) fn check_input(&self, pictures: &Tensor, targets: &[Node]) -> Result<()> {
        let nominal = self.graph.input();
        let fits = match (nominal, pictures.dims()) {
            (Shape::Map { channels, .. }, &[n, c, h, w]) => c == channels && n * h * w > 0,
            (Shape::Vector { features }, &[n, f]) => f == features && n > 0,
            _ => false,
        };
        if !fits {
            let expected = match nominal {
                Shape::Map { channels, .. } => format!("{channels}, height, width"),
                Shape::Vector { features } => features.to_string(),
            };
            let graph = self.graph.name.clone();
            return Err(Error::Input { graph, expected, got: pictures.dims().to_vec() });
        }
        if let &[_, _, h, w] = pictures.dims()
            && nominal.size() != [h, w]
        {
            let names: BTreeSet<&str> =
                targets.iter().map(|target| self.graph.get(*target).name.as_str()).collect();
            self.graph.cut(&names.into_iter().collect::<Vec<_>>())?.at_size(h, w)?;
        }
        Ok(())
    }
}

impl ModuleT for Net {
    fn forward_t(&self, pictures: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        let mode = if train { Mode::Train } else { Mode::Eval };
        Ok(self.forward(pictures, mode)?)
    }
}
