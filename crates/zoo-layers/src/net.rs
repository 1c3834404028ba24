//! A graph with weights: it runs on candle tensors, with candle's autograd, on any candle device.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use candle_core::{Tensor, Var, backprop::GradStore};
use candle_nn::ModuleT;
use zoo_kernels::on_team;

use crate::{
    Error, Frozen, Graph, Mode, Node, Param, Plan, Result, Role, Route, Shape,
    rng::Stream,
    run::{Pool, Run, tensors},
    tape,
};

/// How many plans a network keeps: one of training, one of answering, and some for other sizes or parts.
const PLANS: usize = 8;

/// A network that answers and learns.
///
/// It is a `candle_nn::ModuleT` whose forward gives the main output; [`Net::outputs`] gives all of them. It is
/// not a `candle_nn::Module`: that would hide whether batch norm and dropout learn.
///
/// # On candle's tape, or not
/// [`Net::forward`], [`Net::outputs`] and [`Net::run`] are on candle's tape as candle's own layers are: where weights
/// were given as variables ([`Graph::init`], a `VarMap`), where the given values are on it, and always in training.
/// Weights that were given as plain tensors ([`Graph::load_tensors`], a file's `VarBuilder`) are constants in
/// evaluation. [`Net::answer`] is never on the tape, and [`crate::Pass`] has a way back of its own. Without the tape
/// the network computes into memory that it keeps for its next run.
#[derive(Debug)]
pub struct Net {
    graph: Graph,
    /// For each node its parameters, in the operation's order.
    weights: Vec<Vec<Weight>>,
    frozen: Frozen,
    random: Stream,
    steps: AtomicU64,
    /// By how much running statistics move, if not by each norm's own momentum.
    pub(crate) momentum: Option<f64>,
    pool: Pool,
    /// The plans that were last used, the latest last.
    plans: Mutex<Vec<(Key, Arc<Plan>)>>,
}

/// A parameter, twice on the same memory.
#[derive(Debug)]
struct Weight {
    /// As a variable.
    variable: Tensor,
    /// Off the tape.
    constant: Tensor,
    /// Whether it was given as a variable.
    was_variable: bool,
}

/// What a plan was made for.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    route: Route,
    shapes: Vec<Shape>,
    taped: bool,
}

/// The named outputs of one forward pass.
pub type Outputs = BTreeMap<String, Tensor>;

impl Net {
    pub(crate) fn assemble(
        graph: &Graph,
        seed: u64,
        mut get: impl FnMut(&Param) -> Result<Tensor>,
    ) -> Result<Self> {
        let mut weights = Vec::with_capacity(graph.layers.len());
        for layer in &graph.layers {
            let weight = |param| Weight::new(&get(param)?);
            weights.push(layer.params.iter().map(weight).collect::<Result<Vec<_>>>()?);
        }
        Ok(Self {
            graph: graph.clone(),
            weights,
            frozen: Frozen::nothing(),
            random: Stream::new(seed, "dropout"),
            steps: AtomicU64::new(0),
            momentum: None,
            pool: Pool::default(),
            plans: Mutex::default(),
        })
    }

    /// What the network is.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// All parameters and buffers by name, in execution order.
    pub fn tensors(&self) -> impl Iterator<Item = (&Param, &Tensor)> {
        let layers = self.graph.layers.iter().zip(&self.weights);
        layers.flat_map(|(layer, weights)| {
            layer.params.iter().zip(weights.iter().map(|weight| &weight.variable))
        })
    }

    /// The learned parameters as candle variables, for an optimizer; what is frozen isn't among them.
    ///
    /// # Errors
    /// candle's.
    pub fn trainable(&self) -> Result<Vec<(&Param, Var)>> {
        let layers = self
            .graph
            .nodes()
            .zip(&self.weights)
            .filter(|((node, _), _)| !self.frozen.params.contains(*node));
        let params = layers.flat_map(|((_, layer), weights)| layer.params.iter().zip(weights));
        params
            .filter(|(param, _)| param.role == Role::Trainable)
            .map(|(param, weight)| Ok((param, Var::from_tensor(&weight.variable)?)))
            .collect()
    }

    /// Says what does not learn from here on, in place of what did not before.
    ///
    /// Nothing is computed or kept for gradients behind the last layer that learns.
    ///
    /// ```
    /// use zoo_layers::{Conv2d, Frozen, Graph, Linear, Shape};
    ///
    /// let graph = Graph::build("tiny", Shape::map(1, 8, 8), |net, picture| {
    ///     let x = net.conv_norm_act(picture, Conv2d::k3(4), "stem.conv", "stem.bn")?;
    ///     let x = net.global_avg_pool(x)?;
    ///     let logits = net.linear(x, Linear::new(3), "fc")?;
    ///     net.output("logits", logits)
    /// })?;
    /// let mut net = graph.init(1)?;
    /// net.freeze(Frozen::nothing().params(&graph, &["stem"])?.statistics(&graph, &["stem.bn"])?);
    /// let learned: Vec<_> = net.trainable()?.into_iter().map(|(param, _)| &param.name).collect();
    /// assert_eq!(learned, ["fc.weight", "fc.bias"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn freeze(&mut self, frozen: Frozen) {
        self.frozen = frozen;
        self.plans.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        self.pool.clear();
    }

    /// Draws from here on from `seed`, as the training pass of number `pass` does: so a run that goes on where it was
    /// stopped draws what it would have drawn.
    pub fn draw_from(&mut self, seed: u64, pass: u64) {
        self.random = Stream::new(seed, "dropout");
        self.steps = AtomicU64::new(pass);
    }

    /// Lets running statistics move by this at each training pass, and not by each norm's own momentum: `1 / k` at pass `k`
    /// makes them the means over the passes, as PyTorch's `momentum=None` does. `None` gives norms their own back.
    pub fn move_statistics_by(&mut self, momentum: Option<f64>) {
        self.momentum = momentum;
    }

    /// What does not learn.
    pub fn frozen(&self) -> &Frozen {
        &self.frozen
    }

    /// The main output for `pictures` `(n, c, h, w)`.
    ///
    /// # Errors
    /// Pictures that don't fit, and candle's errors with the node's name.
    pub fn forward(&self, pictures: &Tensor, mode: Mode) -> Result<Tensor> {
        self.one(&Route::new(mode, [Graph::PICTURE], [self.graph.main_output().node]), pictures, true)
    }

    /// The main output in evaluation, never on candle's tape: what a program that only asks should call.
    ///
    /// # Errors
    /// As [`Net::forward`].
    pub fn answer(&self, pictures: &Tensor) -> Result<Tensor> {
        self.one(&Route::new(Mode::Eval, [Graph::PICTURE], [self.graph.main_output().node]), pictures, false)
    }

    fn one(&self, route: &Route, pictures: &Tensor, tape: bool) -> Result<Tensor> {
        let values = self.values(route, &[pictures], tape)?;
        values.into_iter().next().ok_or_else(|| Error::NoOutput { graph: self.graph.name.clone() })
    }

    /// All outputs that `mode` computes, by name: the auxiliary ones too in training.
    ///
    /// # Errors
    /// As [`Net::forward`].
    pub fn outputs(&self, pictures: &Tensor, mode: Mode) -> Result<Outputs> {
        let values = self.values(&Route::outputs(&self.graph, mode), &[pictures], true)?;
        Ok(self.graph.outputs_in(mode).map(|output| output.name.clone()).zip(values).collect())
    }

    /// The values of `targets` from those of `given` nodes, in their order, and of no others: what they don't need
    /// isn't computed, and what isn't needed any more is let go.
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor};
    /// use zoo_layers::{Conv2d, Graph, Linear, Mode, Shape};
    ///
    /// let graph = Graph::build("tiny", Shape::map(1, 8, 8), |net, picture| {
    ///     let x = net.conv_norm_act(picture, Conv2d::k3(4), "conv1", "bn1")?;
    ///     let x = net.global_avg_pool(x)?;
    ///     let logits = net.linear(x, Linear::new(3), "fc")?;
    ///     net.output("logits", logits)
    /// })?;
    /// let (net, pictures) = (graph.init(1)?, Tensor::ones((2, 1, 8, 8), DType::F32, &Device::Cpu)?);
    /// let (map, logits) = (graph.find("relu")?, graph.find("logits")?);
    /// let maps = net.run(&[(Graph::PICTURE, &pictures)], &[map], Mode::Eval)?;
    /// let answers = net.run(&[(map, &maps[0])], &[logits], Mode::Eval)?;
    /// assert_eq!(answers[0].to_vec2::<f32>()?, net.answer(&pictures)?.to_vec2::<f32>()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Net::forward`]; [`Error::Unreached`] if a target needs something that isn't given.
    pub fn run(&self, given: &[(Node, &Tensor)], targets: &[Node], mode: Mode) -> Result<Vec<Tensor>> {
        let route = Route::new(mode, given.iter().map(|(node, _)| *node), targets.iter().copied());
        let given: Vec<&Tensor> = given.iter().map(|(_, tensor)| *tensor).collect();
        self.values(&route, &given, true)
    }

    /// The same in evaluation, never on candle's tape: what is needed once is not kept for a way back.
    ///
    /// # Errors
    /// As [`Net::run`].
    pub fn answer_at(&self, given: &[(Node, &Tensor)], targets: &[Node]) -> Result<Vec<Tensor>> {
        let nodes = given.iter().map(|(node, _)| *node);
        let route = Route::new(Mode::Eval, nodes, targets.iter().copied());
        let given: Vec<&Tensor> = given.iter().map(|(_, tensor)| *tensor).collect();
        self.values(&route, &given, false)
    }

    fn values(&self, route: &Route, given: &[&Tensor], tape: bool) -> Result<Vec<Tensor>> {
        let shapes = self.shapes(route, given)?;
        let taped = tape && (given.iter().any(|given| given.track_op()) || self.has_variables(route.mode()));
        let given: Vec<Tensor> =
            given.iter().map(|given| if taped { (*given).clone() } else { given.detach() }).collect();
        let random = self.next_random(route.mode());
        if taped || !self.takes(&given) {
            let plan = self.plan(route, &shapes, true)?;
            let taped = if taped { tensors::Taped::AsGiven } else { tensors::Taped::Nothing };
            return Ok(tensors::run(self, &plan, &given, taped, &random)?.targets);
        }
        let plan = self.plan(route, &shapes, false)?;
        match given.first().map(Tensor::dtype) {
            Some(candle_core::DType::F64) => self.answers::<f64>(plan, &given, random),
            _ => self.answers::<f32>(plan, &given, random),
        }
    }

    fn answers<T: crate::run::Shelved>(
        &self,
        plan: Arc<Plan>,
        given: &[Tensor],
        random: Stream,
    ) -> Result<Vec<Tensor>> {
        on_team(|| {
            let mut run = Run::<T>::forward(self, plan, given, random)?;
            let targets = run.targets();
            run.end(self);
            Ok(targets?.iter().map(Tensor::detach).collect())
        })
    }

    /// Whether the kernels can take these values and the weights.
    pub(crate) fn takes(&self, given: &[Tensor]) -> bool {
        tape::takes(given.iter().chain(self.weights.iter().flatten().map(|weight| &weight.constant)))
    }

    fn has_variables(&self, mode: Mode) -> bool {
        let mut weights = self.weights.iter().flatten();
        weights.any(|weight| mode == Mode::Train || weight.was_variable)
    }

    /// The plan for a route and sources of these shapes: made once.
    ///
    /// # Errors
    /// As [`Plan::at`].
    pub(crate) fn plan(&self, route: &Route, shapes: &[Shape], taped: bool) -> Result<Arc<Plan>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |key: &Key| key.taped == taped && key.shapes == shapes && key.route == *route;
        if let Some(place) = plans.iter().position(|(key, _)| is_same(key)) {
            let found = plans.remove(place);
            let plan = Arc::clone(&found.1);
            plans.push(found);
            return Ok(plan);
        }
        let plan = Arc::new(Plan::build(&self.graph, route, &self.frozen, shapes, taped)?);
        if plans.len() == PLANS {
            plans.remove(0);
        }
        plans.push((Key { route: route.clone(), shapes: shapes.to_vec(), taped }, Arc::clone(&plan)));
        Ok(plan)
    }

    /// The shapes of given values for one picture; all must have one batch.
    pub(crate) fn shapes(&self, route: &Route, given: &[&Tensor]) -> Result<Vec<Shape>> {
        let batch = given.first().and_then(|given| given.dims().first().copied());
        let alike = |given: &Tensor| given.dims().first().copied().filter(|n| *n == 0 || batch != Some(*n));
        let mut shapes = Vec::with_capacity(given.len());
        for (node, given) in route.sources().iter().zip(given) {
            let nominal = self.graph.known(*node)?.output;
            shapes.push(match (nominal, given.dims()) {
                (Shape::Map { channels, .. }, &[n, c, h, w])
                    if c == channels && h * w > 0 && n > 0 && batch == Some(n) =>
                {
                    Shape::map(c, h, w)
                }
                (Shape::Vector { features }, &[n, f]) if f == features && n > 0 && batch == Some(n) => {
                    nominal
                }
                (nominal, got) if got.len() == nominal.with_batch(1).len() && alike(given).is_some() => {
                    return Err(Error::Batches {
                        graph: self.graph.name.clone(),
                        node: self.graph.get(*node).name.clone(),
                        got: got.first().copied().unwrap_or(0),
                        first: batch.unwrap_or(0),
                    });
                }
                (_, got) => return Err(self.misfit(*node, nominal, got)),
            });
        }
        Ok(shapes)
    }

    fn misfit(&self, node: Node, nominal: Shape, got: &[usize]) -> Error {
        let (graph, got) = (self.graph.name.clone(), got.to_vec());
        let expected = match nominal {
            Shape::Map { channels, .. } => format!("{channels}, height, width"),
            Shape::Vector { features } => features.to_string(),
        };
        match node == Graph::PICTURE {
            true => Error::Input { graph, expected, got },
            false => {
                let expected = format!("({expected})");
                Error::Given { graph, node: self.graph.get(node).name.clone(), expected, got }
            }
        }
    }

    /// The random numbers of one forward pass: another sequence at each training step.
    pub(crate) fn next_random(&self, mode: Mode) -> Stream {
        match mode {
            Mode::Train => self.random.fork(self.steps.fetch_add(1, Ordering::Relaxed)),
            Mode::Eval => self.random.clone(),
        }
    }

    /// Memory for runs.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Gives the memory that was kept for the next run back to the system: before something else needs it.
    pub fn forget_memory(&self) {
        self.pool.clear();
    }

    /// Takes a step's gradients apart when the optimizer is done with them: the next step computes into their
    /// memory. Clones of tensors that were in there lose their values.
    ///
    /// # Errors
    /// candle's.
    pub fn recycle(&self, mut gradients: GradStore) -> Result<()> {
        let trainable = self.trainable()?;
        for (_, variable) in &trainable {
            if let Some(gradient) = gradients.remove(variable) {
                self.pool.reclaim(&gradient);
            }
        }
        self.pool.trim(trainable.len());
        Ok(())
    }

    fn weight(&self, node: Node, place: usize) -> candle_core::Result<&Weight> {
        let weight = self.weights.get(node.0).and_then(|weights| weights.get(place));
        weight.ok_or_else(|| candle_core::Error::msg("a plan names a parameter that the network lacks"))
    }

    /// A node's parameter off the tape.
    pub(crate) fn param(&self, node: Node, place: usize) -> candle_core::Result<&Tensor> {
        Ok(&self.weight(node, place)?.constant)
    }

    /// A node's parameter as a variable.
    pub(crate) fn variable(&self, node: Node, place: usize) -> candle_core::Result<&Tensor> {
        Ok(&self.weight(node, place)?.variable)
    }

    /// A node's parameter for candle's tape: a variable if it learns, where it came as one or `all` do.
    pub(crate) fn on_tape(&self, node: Node, place: usize, all: bool) -> candle_core::Result<&Tensor> {
        let weight = self.weight(node, place)?;
        let param = self.graph.get(node).params.get(place);
        let learns = param.is_some_and(|param| param.role == Role::Trainable)
            && !self.frozen.params.contains(node)
            && (all || weight.was_variable);
        Ok(if learns { &weight.variable } else { &weight.constant })
    }
}

impl Weight {
    fn new(given: &Tensor) -> Result<Self> {
        let was_variable = given.is_variable();
        let variable = match was_variable {
            true => given.clone(),
            false => Var::from_tensor(&given.detach().contiguous()?)?.into_inner(),
        };
        Ok(Self { constant: variable.detach(), variable, was_variable })
    }
}

impl ModuleT for Net {
    fn forward_t(&self, pictures: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        let mode = if train { Mode::Train } else { Mode::Eval };
        Ok(self.forward(pictures, mode)?)
    }
}
