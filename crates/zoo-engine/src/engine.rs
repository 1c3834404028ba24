//! The compiled network.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use zoo_kernels::{Caches, nhwc};
use zoo_layers::{Frozen, Graph, Mode, Node, Plan, Route, Shape};

use crate::there::memory_there;
use crate::{
    Error, Result, Weights,
    compile::{self, Program},
    step::{Memory, Refusal, Step},
};

/// How a network is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// With the smallest rounding errors, and slower: without Winograd's transforms, whose errors are a few times those of
    /// plain sums, and with long sums in short parts.
    pub exact: bool,
}

/// A network compiled for pictures of one size.
#[derive(Debug)]
pub struct Engine {
    model: String,
    /// Batch, channels, height, width.
    input: [usize; 4],
    /// Pictures that go through the program together.
    together: usize,
    steps: Vec<Step>,
    picture: nhwc::Map,
    results: Vec<Output>,
    sizes: Sizes,
    /// Numbers of the arena, and of each of the planes.
    arena: usize,
    planes: Vec<usize>,
    /// Memory of runs that have ended.
    waiting: Mutex<Vec<Memory>>,
}

/// Where a result lies.
#[derive(Clone, Debug)]
struct Output {
    shape: Shape,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Arena(nhwc::Map),
    Planes(usize),
}

/// What an engine takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Everything that lies between layers, for as many pictures as go through them together: the picture, maps, and what
    /// kernels on planes use.
    pub arena: usize,
    /// Of that, the zeros around the picture.
    pub halo: usize,
    /// What a thread works in beside that, at most.
    pub scratch: usize,
    /// Packed weights.
    pub weights: usize,
}

/// A step of the program.
#[derive(Clone, Copy, Debug)]
pub struct StepInfo<'a> {
    /// The first of the nodes that it computes.
    pub node: &'a str,
    /// How: `direct`, `winograd 4x4`, `depthwise`, `max pool`, …
    pub method: &'static str,
    /// Multiply-accumulates for one picture.
    pub macs: u64,
}

/// Runs whose memory is kept.
const WAITING: usize = 8;
/// Bytes of dense layers' weights that are better read once for a whole batch.
const DENSE: u64 = 24 << 20;

impl Engine {
    /// Compiles a network that answers for pictures of `input` (n, c, h, w), from the picture to its outputs.
    ///
    /// # Errors
    /// A size that the network can't take; weights that are missing, of another size or no numbers; more memory than
    /// there is.
    pub fn compile<W: Weights + ?Sized>(
        graph: &Graph,
        weights: &W,
        input: [usize; 4],
        options: Options,
    ) -> Result<Self> {
        let targets: Vec<Node> = graph.outputs_in(Mode::Eval).map(|output| output.node).collect();
        Self::compile_to(graph, weights, input, &targets, options)
    }

    /// The same to any nodes.
    ///
    /// # Errors
    /// As [`Engine::compile`].
    pub fn compile_to<W: Weights + ?Sized>(
        graph: &Graph,
        weights: &W,
        input: [usize; 4],
        targets: &[Node],
        options: Options,
    ) -> Result<Self> {
        let [batch, channels, height, width] = input;
        let expected = graph.input();
        if batch == 0 || channels != expected.channels() || height == 0 || width == 0 {
            let (graph, got) = (graph.name().to_string(), input.to_vec());
            let expected = format!("{}, height, width", expected.channels());
            return Err(zoo_layers::Error::Input { graph, expected, got }.into());
        }
        let route = Route::new(Mode::Eval, [Graph::PICTURE], targets.iter().copied());
        let plan = Plan::at(graph, &route, &Frozen::nothing(), &[Shape::map(channels, height, width)])?;
        let together = together(graph, &plan, batch, Caches::current().maps() as u64);
        check_memory(graph, &plan, input, together)?;
        let program = compile::compile(graph, &plan, weights, together, options)?;
        Ok(Self::new(graph.name(), input, together, program))
    }

    fn new(model: &str, input: [usize; 4], together: usize, program: Program) -> Self {
        let Program { steps, cells, picture, results } = program;
        let results = results.into_iter().map(|(home, shape)| {
            let place = match (home.planes, home.pixels) {
                (Some(cell), _) => Place::Planes(cells.cells[cell].start),
                (None, Some(cell)) => Place::Arena(cells.map(cell)),
                (None, None) => Place::Planes(0),
            };
            Output { shape, place }
        });
        let results = results.collect();
        let numbers = size_of::<f32>();
        let shape = cells.cells[picture].shape;
        let halo = cells.cells[picture].len() - shape.iter().product::<usize>();
        let sizes = Sizes {
            arena: (cells.arena + cells.planes.iter().sum::<usize>()) * numbers,
            halo: halo * numbers,
            scratch: steps.iter().map(|step| step.work.scratch()).max().unwrap_or(0) * numbers,
            weights: steps.iter().map(|step| step.work.packed()).sum::<usize>() * numbers,
        };
        let picture = cells.map(picture);
        let (arena, planes) = (cells.arena, cells.planes);
        let (model, waiting) = (model.into(), Mutex::default());
        Self { model, input, together, steps, picture, results, sizes, arena, planes, waiting }
    }

    /// What it was compiled for: batch, channels, height, width.
    pub fn input(&self) -> [usize; 4] {
        self.input
    }

    /// The results' shapes for one picture, in the order of the targets.
    pub fn outputs(&self) -> impl Iterator<Item = Shape> {
        self.results.iter().map(|output| output.shape)
    }

    /// What it takes.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// What it does, in order.
    pub fn steps(&self) -> impl Iterator<Item = StepInfo<'_>> {
        self.steps.iter().map(|step| StepInfo {
            node: &step.node,
            method: step.work.method(),
            macs: step.macs,
        })
    }

    /// The results for one or several pictures `(n, c, h, w)`, row by row, at most as many as it was compiled for: a dense
    /// tensor `(n, …)` for each target.
    ///
    /// # Errors
    /// Pictures of another size, or too many.
    pub fn run(&self, pictures: &[f32]) -> Result<Vec<Vec<f32>>> {
        self.follow(pictures, |_, _| {})
    }

    /// The same, with the time that each step took.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn timed(&self, pictures: &[f32]) -> Result<(Vec<Vec<f32>>, Vec<Duration>)> {
        let mut times = vec![Duration::ZERO; self.steps.len()];
        let results = self.follow(pictures, |step, time| times[step] += time)?;
        Ok((results, times))
    }

    /// Gives `each` the time that a step took, by its number: again for those that go through it later.
    fn follow(&self, pictures: &[f32], each: impl FnMut(usize, Duration) + Send) -> Result<Vec<Vec<f32>>> {
        zoo_kernels::on_team(|| self.answer(pictures, each))
    }

    fn answer(&self, pictures: &[f32], mut each: impl FnMut(usize, Duration)) -> Result<Vec<Vec<f32>>> {
        let [most, c, h, w] = self.input;
        let count = pictures.len() / (c * h * w);
        if count == 0 || count > most || pictures.len() != count * c * h * w {
            return Err(Error::Input {
                model: self.model.clone(),
                pictures: most,
                picture: [c, h, w],
                got: pictures.len(),
                asked: count,
            });
        }
        let mut memory = self.memory();
        let numbers = |output: &Output| Vec::with_capacity(count * output.shape.elements());
        let mut results: Vec<Vec<f32>> = self.results.iter().map(numbers).collect();
        for pictures in pictures.chunks(self.together * c * h * w) {
            self.pass(pictures, &mut memory, &mut results, &mut each)?;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING {
            waiting.push(memory);
        }
        Ok(results)
    }

    /// Answers pictures that go through the program together, behind those that are answered.
    fn pass(
        &self,
        pictures: &[f32],
        memory: &mut Memory,
        results: &mut [Vec<f32>],
        each: &mut impl FnMut(usize, Duration),
    ) -> Result<()> {
        let [_, c, h, w] = self.input;
        let count = pictures.len() / (c * h * w);
        let kernel = |node: &str, source| Error::Kernel { node: node.into(), source };
        let mut picture = self.picture;
        picture.shape[0] = count;
        nhwc::from_planes(pictures, &mut memory.arena, picture).map_err(|source| kernel("input", source))?;
        for (i, step) in self.steps.iter().enumerate() {
            let start = Instant::now();
            step.work.run(memory, count).map_err(|refusal| match refusal {
                Refusal::Kernel(source) => kernel(&step.node, source),
                Refusal::Layer(reason) => Error::Layer { node: step.node.clone(), reason },
            })?;
            each(i, start.elapsed());
        }
        for (output, result) in self.results.iter().zip(results) {
            let len = count * output.shape.elements();
            match output.place {
                Place::Planes(plane) => result.extend_from_slice(&memory.planes[plane][..len]),
                Place::Arena(mut map) => {
                    map.shape[0] = count;
                    let start = result.len();
                    result.resize(start + len, 0.0);
                    nhwc::to_planes(&memory.arena, map, &mut result[start..])
                        .map_err(|source| kernel("output", source))?;
                }
            }
        }
        Ok(())
    }

    fn memory(&self) -> Memory {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        waiting.unwrap_or_else(|| {
            let planes = self.planes.iter().map(|len| vec![0.0; *len]).collect();
            Memory { arena: nhwc::Arena::new(self.arena), planes }
        })
    }
}

/// How many pictures of a batch go through all layers together: so many that what lies between the layers stays in the cache.
/// Weights are read again for the next ones, on their way while others are used; dense layers, which would wait for them, are
/// better read once for all pictures. Results don't depend on it.
fn together(graph: &Graph, plan: &Plan, batch: usize, near: u64) -> usize {
    let layers = plan.steps().iter().flat_map(zoo_layers::Step::nodes).map(|node| graph.get(*node));
    let dense =
        layers.filter(|layer| matches!(layer.output, Shape::Vector { .. })).flat_map(|layer| &layer.params);
    let dense: usize = dense.map(zoo_layers::Param::elements).sum();
    let numbers = size_of::<f32>() as u64;
    if dense as u64 * numbers > DENSE {
        return batch;
    }
    let most = usize::try_from(near / (plan.peak(1) * numbers).max(1)).unwrap_or(usize::MAX).max(1);
    batch.div_ceil(batch.div_ceil(most))
}

/// Refuses what can't fit into the machine, before anything is read or packed: the batch, and what lies between layers for
/// the pictures that go through them together.
fn check_memory(graph: &Graph, plan: &Plan, input: [usize; 4], together: usize) -> Result<()> {
    let Some(available) = memory_there() else { return Ok(()) };
    let pictures = input.iter().fold(1, |numbers: u64, side| numbers.saturating_mul(*side as u64));
    let needed = plan.peak(together as u64).saturating_add(pictures).saturating_mul(4);
    if needed <= available {
        return Ok(());
    }
    let largest = plan.steps().iter().max_by_key(|step| plan.shape(step.out()).elements());
    let node = largest.map_or_else(String::new, |step| graph.get(step.nodes()[0]).name.clone());
    Err(Error::Memory { model: graph.name().into(), input, node, needed, available })
}

#[cfg(test)]
mod tests {
    use zoo_layers::{Conv2d, Linear, Result};

    use super::*;

    fn network(size: usize, features: usize) -> Result<Graph> {
        Graph::build("tiny", Shape::map(1, size, size), |net, picture| {
            let x = net.conv(picture, Conv2d::k3(8), "conv")?;
            let x = net.global_avg_pool(x)?;
            let x = net.linear(x, Linear::new(features), "fc1")?;
            let x = net.linear(x, Linear::new(10), "fc2")?;
            net.output("logits", x)
        })
    }

    fn engine(graph: &Graph, batch: usize) -> Engine {
        let Shape::Map { channels, height, width } = graph.input() else { unreachable!() };
        let net = graph.init(1).unwrap();
        Engine::compile(graph, &net, [batch, channels, height, width], Options::default()).unwrap()
    }

    #[test]
    fn pictures_that_the_cache_holds_go_together_and_others_one_after_the_other() {
        let together = |graph: &Graph, batch: usize, near: u64| {
            let route = Route::outputs(graph, Mode::Eval);
            let plan = Plan::at(graph, &route, &Frozen::nothing(), &[graph.input()]).unwrap();
            super::together(graph, &plan, batch, near)
        };
        // Maps of 0.1, 4.6 and 39 MB for each picture.
        let near = |mebibytes: u64| mebibytes << 20;
        for (size, batch, expected) in [(64, 5, 5), (380, 7, 4), (1100, 3, 1)] {
            assert_eq!(together(&network(size, 10).unwrap(), batch, near(24)), expected, "{size}");
        }
        assert_eq!(together(&network(380, 10).unwrap(), 7, near(10)), 2);
        // 8 MB of dense weights, as a classifier's of 2,048 features.
        assert_eq!(together(&network(380, 200_000).unwrap(), 7, near(6)), 1);
        // Dense layers that the cache doesn't hold are read once for all.
        let dense = Graph::build("dense", Shape::map(1, 1100, 1100), |net, picture| {
            let x = net.conv(picture, Conv2d::k3(8).stride(100), "conv")?;
            let x = net.flatten(x)?;
            let x = net.linear(x, Linear::new(5000), "fc")?;
            net.output("logits", x)
        });
        assert_eq!(together(&dense.unwrap(), 3, near(24)), 3);
    }

    #[test]
    fn an_answer_does_not_depend_on_who_goes_together() {
        let graph = network(380, 10).unwrap();
        let (several, one) = (engine(&graph, 7), engine(&graph, 1));
        assert!(several.sizes().arena < 5 * one.sizes().arena);
        let each = 380 * 380;
        let pictures: Vec<f32> = (0..7 * each).map(|i| (i * 7919 % 1009) as f32 / 1009.0).collect();
        for count in [7, 5, 1] {
            let (answers, times) = several.timed(&pictures[..count * each]).unwrap();
            assert_eq!(times.len(), several.steps().count());
            let alone: Vec<f32> = pictures[..count * each]
                .chunks(each)
                .flat_map(|picture| one.run(picture).unwrap().remove(0))
                .collect();
            assert_eq!(answers[0], alone);
        }
    }
}
