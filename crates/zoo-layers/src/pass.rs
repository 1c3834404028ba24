//! A forward pass with a way back that the network drives itself, without candle's tape.
//!
//! candle's tape keeps every result until the loss is dropped, and adds each gradient to a tensor of zeros. A
//! [`Pass`] keeps only what some gradient needs, lets it go as soon as it is used, writes each gradient once, and
//! uses its memory again in the next step: all as its [`crate::Plan`] says. The loss is the caller's: a
//! [`crate::Loss`] with its gradient, or any of candle's operations on the outputs as leaves.

use std::collections::HashMap;

use candle_core::{DType, Tensor, Var, backprop::GradStore};
use zoo_kernels::on_team;

use crate::{
    Error, Graph, Net, Node, Outputs, Result, Route,
    run::{Run, tensors},
};

/// A forward pass, on its way back.
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
///
/// With a [`Route`] of one's own a pass starts and stops anywhere, in evaluation too, and gives the gradients of any
/// nodes:
///
/// ```
/// # use candle_core::{DType, Device, Tensor};
/// # use zoo_layers::{Conv2d, Graph, Linear, Mode, Route, Shape};
/// # let graph = Graph::build("tiny", Shape::map(1, 8, 8), |net, picture| {
/// #     let x = net.conv_norm_act(picture, Conv2d::k3(4), "conv1", "bn1")?;
/// #     let x = net.global_avg_pool(x)?;
/// #     let logits = net.linear(x, Linear::new(3), "fc")?;
/// #     net.output("logits", logits)
/// # })?;
/// # let net = graph.init(1)?;
/// # let pictures = Tensor::ones((2, 1, 8, 8), DType::F32, &Device::Cpu)?;
/// let map = graph.find("relu")?;
/// let route = Route::outputs(&graph, Mode::Eval).with_gradients_of([map, Graph::PICTURE]);
/// let pass = net.pass(&route, &[&pictures])?;
/// let score = pass.outputs()["logits"].narrow(1, 2, 1)?.sum_all()?; // of class 2, as Grad-CAM wants it
/// let gradients = pass.gradients(&score.backward()?)?;
/// assert_eq!(gradients.nodes[&map].dims(), [2, 4, 8, 8]);
/// assert_eq!(gradients.nodes[&Graph::PICTURE].dims(), pictures.dims());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pass<'n> {
    net: &'n Net,
    route: Route,
    /// The targets' values as variables: leaves of the loss's tape.
    leaves: Vec<Tensor>,
    outputs: Outputs,
    kept: Kept,
}

/// The gradients that a [`Pass`] gives.
#[derive(Debug)]
pub struct Gradients {
    /// Of the learned parameters.
    pub params: GradStore,
    /// Of the nodes that the route names, where the loss depends on them.
    pub nodes: HashMap<Node, Tensor>,
}

/// What the way back needs.
#[derive(Debug)]
enum Kept {
    F32(Box<Run<f32>>),
    F64(Box<Run<f64>>),
    /// The targets on candle's tape, where the device or the type is another, and what stands for named nodes.
    Tape {
        targets: Vec<Tensor>,
        probes: Vec<Option<Tensor>>,
    },
}

impl Net {
    /// A forward pass in training: all outputs, and the way back to the parameters.
    ///
    /// # Errors
    /// As [`Net::forward`].
    pub fn train_pass(&self, pictures: &Tensor) -> Result<Pass<'_>> {
        self.pass(&Route::training(self.graph()), &[pictures])
    }

    /// A forward pass along `route`, from values of its sources in their order, and the way back.
    ///
    /// # Errors
    /// As [`Net::run`]; [`Error::OffRoute`] for the gradient of a node that the targets don't depend on.
    pub fn pass(&self, route: &Route, given: &[&Tensor]) -> Result<Pass<'_>> {
        if given.len() != route.sources().len() {
            return Err(Error::Sources {
                graph: self.graph().name().into(),
                expected: route.sources().len(),
                got: given.len(),
            });
        }
        let shapes = self.shapes(route, given)?;
        let given: Vec<Tensor> = given.iter().map(|given| given.detach()).collect();
        let random = self.next_random(route.mode());
        let on_slices = self.takes(&given);
        let plan = self.plan(route, &shapes, !on_slices)?;
        let (values, kept) = match given.first().map(Tensor::dtype) {
            _ if !on_slices => {
                let tensors::Ran { targets, probes } =
                    tensors::run(self, &plan, &given, tensors::Taped::AsRouted, &random)?;
                (targets.clone(), Kept::Tape { targets, probes })
            }
            Some(DType::F64) => {
                let run = on_team(|| Run::forward(self, plan, &given, random))?;
                (run.targets()?, Kept::F64(Box::new(run)))
            }
            _ => {
                let run = on_team(|| Run::forward(self, plan, &given, random))?;
                (run.targets()?, Kept::F32(Box::new(run)))
            }
        };
        let mut leaves: Vec<Tensor> = Vec::with_capacity(values.len());
        for (place, value) in values.iter().enumerate() {
            let same = route.targets()[..place].iter().position(|target| *target == route.targets()[place]);
            leaves.push(match same {
                Some(same) => leaves[same].clone(),
                None if value.is_variable() => value.clone(),
                None => Var::from_tensor(&value.detach())?.into_inner(),
            });
        }
        let outputs = named(self.graph(), route, &leaves);
        Ok(Pass { net: self, route: route.clone(), leaves, outputs, kept })
    }
}

/// The targets by their outputs' names, or their own.
fn named(graph: &Graph, route: &Route, leaves: &[Tensor]) -> Outputs {
    let mut outputs = Outputs::new();
    for (target, leaf) in route.targets().iter().zip(leaves) {
        let names = graph.outputs().iter().filter(|output| output.node == *target);
        let mut names: Vec<String> = names.map(|output| output.name.clone()).collect();
        if names.is_empty() {
            names.push(graph.get(*target).name.clone());
        }
        outputs.extend(names.into_iter().map(|name| (name, leaf.clone())));
    }
    outputs
}

impl Pass<'_> {
    /// The outputs by name, auxiliary ones included, as leaves to compute a loss from. A target that is no output goes
    /// by its node's name.
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// The bytes of memory that the pass took: what its plan says ([`crate::Plan::taken`]), as far as it went by kernels.
    pub fn taken_bytes(&self) -> u64 {
        match &self.kept {
            Kept::F32(run) => run.taken() as u64 * 4,
            Kept::F64(run) => run.taken() as u64 * 8,
            Kept::Tape { .. } => 0,
        }
    }

    /// The gradients of all learned parameters, from the loss's gradients of the outputs.
    ///
    /// # Errors
    /// candle's, with the node's name.
    pub fn backward(self, loss: &GradStore) -> Result<GradStore> {
        Ok(self.gradients(loss)?.params)
    }

    /// The gradients of all learned parameters, and of the nodes that the route names.
    ///
    /// # Errors
    /// candle's, with the node's name.
    pub fn gradients(self, loss: &GradStore) -> Result<Gradients> {
        Ok(self.measured(loss)?.0)
    }

    /// The same, and the bytes that the whole pass took, both ways.
    ///
    /// # Errors
    /// candle's, with the node's name.
    pub fn measured(mut self, loss: &GradStore) -> Result<(Gradients, u64)> {
        let mut seeds: Vec<Option<Tensor>> = self.leaves.iter().map(|leaf| loss.get(leaf).cloned()).collect();
        for (place, target) in self.route.targets().iter().enumerate() {
            if self.route.targets()[..place].contains(target) {
                seeds[place] = None; // The first has all of it.
            }
        }
        let net = self.net;
        let (params, nodes) = match &mut self.kept {
            Kept::F32(run) => on_team(|| run.backward(net, seeds))?,
            Kept::F64(run) => on_team(|| run.backward(net, seeds))?,
            Kept::Tape { targets, probes } => tape_backward(targets, probes, &seeds)?,
        };
        let nodes = self.route.gradients_of.iter().zip(nodes);
        let nodes = nodes.filter_map(|(node, gradient)| Some((*node, gradient?))).collect();
        let taken = self.taken_bytes();
        Ok((Gradients { params, nodes }, taken))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        match &mut self.kept {
            Kept::F32(run) => run.end(self.net),
            Kept::F64(run) => run.end(self.net),
            Kept::Tape { .. } => {}
        }
    }
}

/// The same by candle's tape: the gradient of `Σ output · gradient` is the chain rule's.
fn tape_backward(
    targets: &[Tensor],
    probes: &[Option<Tensor>],
    seeds: &[Option<Tensor>],
) -> Result<(GradStore, Vec<Option<Tensor>>)> {
    let mut sum: Option<Tensor> = None;
    for (output, gradient) in targets.iter().zip(seeds) {
        if let Some(gradient) = gradient {
            let term = (output * gradient)?.sum_all()?;
            sum = Some(match sum {
                Some(sum) => (sum + term)?,
                None => term,
            });
        }
    }
    let mut found = match sum {
        Some(sum) => sum.backward()?,
        None => GradStore::default(),
    };
    let nodes = probes.iter().map(|probe| found.get(probe.as_ref()?).cloned()).collect();
    for probe in probes.iter().flatten() {
        found.remove(probe);
    }
    Ok((found, nodes))
}
