//! The compiled network.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use zoo_kernels::nhwc;
use zoo_layers::{Frozen, Graph, Mode, Node, Plan, Route, Shape};

use crate::{
    Error, Result, Weights,
    compile::{self, Program},
    step::{Memory, Refusal, Step},
};

/// How a network is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// Without Winograd's transforms, whose rounding errors are a few times those of plain sums.
    pub exact: bool,
}

/// A network compiled for pictures of one size.
#[derive(Debug)]
pub struct Engine {
    model: String,
    /// Batch, channels, height, width.
    input: [usize; 4],
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
    /// Everything that lies between layers, for the largest batch: the picture, maps, and what kernels on planes use.
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
        check_memory(graph, &plan, input)?;
        let program = compile::compile(graph, &plan, weights, batch, options)?;
        Ok(Self::new(graph.name(), input, program))
    }

    fn new(model: &str, input: [usize; 4], program: Program) -> Self {
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
        Self { model, input, steps, picture, results, sizes, arena, planes, waiting }
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
        let mut times = Vec::with_capacity(self.steps.len());
        let results = self.follow(pictures, |_, time| times.push(time))?;
        Ok((results, times))
    }

    fn follow(&self, pictures: &[f32], each: impl FnMut(&Step, Duration) + Send) -> Result<Vec<Vec<f32>>> {
        zoo_kernels::on_pool(|| self.answer(pictures, each))
    }

    fn answer(&self, pictures: &[f32], mut each: impl FnMut(&Step, Duration)) -> Result<Vec<Vec<f32>>> {
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
        let kernel = |node: &str, source| Error::Kernel { node: node.into(), source };
        let mut picture = self.picture;
        picture.shape[0] = count;
        nhwc::from_planes(pictures, &mut memory.arena, picture).map_err(|source| kernel("input", source))?;
        for step in &self.steps {
            let start = Instant::now();
            step.work.run(&mut memory, count).map_err(|refusal| match refusal {
                Refusal::Kernel(source) => kernel(&step.node, source),
                Refusal::Layer(reason) => Error::Layer { node: step.node.clone(), reason },
            })?;
            each(step, start.elapsed());
        }
        let mut results = Vec::with_capacity(self.results.len());
        for output in &self.results {
            let len = count * output.shape.elements();
            results.push(match output.place {
                Place::Planes(plane) => memory.planes[plane][..len].to_vec(),
                Place::Arena(mut map) => {
                    map.shape[0] = count;
                    let mut planes = vec![0.0; len];
                    nhwc::to_planes(&memory.arena, map, &mut planes)
                        .map_err(|source| kernel("output", source))?;
                    planes
                }
            });
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING {
            waiting.push(memory);
        }
        Ok(results)
    }

    fn memory(&self) -> Memory {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        waiting.unwrap_or_else(|| {
            let planes = self.planes.iter().map(|len| vec![0.0; *len]).collect();
            Memory { arena: nhwc::Arena::new(self.arena), planes }
        })
    }
}

/// Refuses what can't fit into the machine, before anything is read or packed.
fn check_memory(graph: &Graph, plan: &Plan, input: [usize; 4]) -> Result<()> {
    let Some(available) = available() else { return Ok(()) };
    let needed = plan.peak(input[0] as u64).saturating_mul(4);
    if needed <= available {
        return Ok(());
    }
    let largest = plan.steps().iter().max_by_key(|step| plan.shape(step.out()).elements());
    let node = largest.map_or_else(String::new, |step| graph.get(step.nodes()[0]).name.clone());
    Err(Error::Memory { model: graph.name().into(), input, node, needed, available })
}

/// The bytes that the machine has, where it says so.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
