//! How a network answers: compiled on a CPU, as a [`Net`] elsewhere.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::{DType, Device, Tensor};
use zoo_engine::{Engine, Options};
use zoo_layers::{Frozen, Graph, Mode, Net, Node, Plan, Route, Shape};

use crate::{Error, Result, source::Source};

/// Pictures that a compiled network takes at once, if maps are small.
const BATCH: u64 = 16;
/// Bytes of maps that are enough for one run.
const ROOM: u64 = 256 << 20;
/// Sizes of pictures for which a network stays compiled.
const SIZES: usize = 2;

/// A graph with its parameters, which answers.
///
/// On a CPU its weights are packed from where they are when the first picture of a size comes, and never are in memory
/// as tensors. Once the [`Net`] has been asked for, whose variables may change at any time, it answers itself.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) graph: Graph,
    pub(crate) device: Device,
    source: Source,
    net: OnceLock<Net>,
    /// Those used last.
    engines: Mutex<Vec<Arc<Engine>>>,
}

impl Runner {
    pub(crate) fn new(graph: Graph, source: Source, device: Device) -> Self {
        Self { graph, device, source, net: OnceLock::new(), engines: Mutex::default() }
    }

    /// The network on tensors, made when it is asked for.
    pub(crate) fn net(&self) -> Result<&Net> {
        if let Some(net) = self.net.get() {
            return Ok(net);
        }
        let net = self.source.net(&self.graph, &self.device)?;
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(self.net.get_or_init(|| net))
    }

    pub(crate) fn net_mut(&mut self) -> Result<&mut Net> {
        self.net()?;
        let Self { graph, net, .. } = self;
        net.get_mut().ok_or_else(|| Error::NotMade { model: graph.name().into() })
    }

    /// All outputs of answers, for prepared pictures (n, c, h, w).
    pub(crate) fn outputs(&self, pictures: &Tensor) -> Result<Vec<Tensor>> {
        if let (&[_, c, h, w], true, None) = (pictures.dims(), self.device.is_cpu(), self.net.get()) {
            return self.compiled(pictures, self.at_size([c, h, w])?.as_ref());
        }
        let pictures = pictures.to_device(&self.device).map_err(zoo_layers::Error::from)?;
        Ok(self.net()?.answer_at(&[(Graph::PICTURE, &pictures)], &self.targets())?)
    }

    fn targets(&self) -> Vec<Node> {
        self.graph.outputs_in(Mode::Eval).map(|output| output.node).collect()
    }

    fn compiled(&self, pictures: &Tensor, engine: &Engine) -> Result<Vec<Tensor>> {
        let count = pictures.dims().first().copied().unwrap_or(0);
        let [most, c, h, w] = engine.input();
        let values = pictures.flatten_all().and_then(|all| all.to_dtype(DType::F32)?.to_vec1::<f32>());
        let values = values.map_err(zoo_layers::Error::from)?;
        let shapes: Vec<Shape> = engine.outputs().collect();
        let mut results = vec![Vec::new(); shapes.len()];
        for part in values.chunks(most * c * h * w) {
            for (result, part) in results.iter_mut().zip(engine.run(part)?) {
                match result.is_empty() {
                    true => *result = part,
                    false => result.extend(part),
                }
            }
        }
        let tensor = |(values, shape): (Vec<f32>, &Shape)| {
            let dims = match *shape {
                Shape::Map { channels, height, width } => vec![count, channels, height, width],
                Shape::Vector { features } => vec![count, features],
            };
            Tensor::from_vec(values, dims, &Device::Cpu)
                .map_err(|error| zoo_layers::Error::from(error).into())
        };
        results.into_iter().zip(&shapes).map(tensor).collect()
    }

    /// The network compiled for pictures of a size. For how many at once depends on that size alone, so that the
    /// answer for a picture has the same bits whatever comes with it.
    fn at_size(&self, [c, h, w]: [usize; 3]) -> Result<Arc<Engine>> {
        let lock = || self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = found(&mut lock(), [c, h, w]) {
            return Ok(engine);
        }
        // Pixels' answers are large, and so is what computes them: another size's goes first.
        let most = match self.graph.get(self.graph.main_output().node).output {
            Shape::Map { .. } => 1,
            Shape::Vector { .. } => SIZES,
        };
        let make_room =
            |engines: &mut Vec<Arc<Engine>>| drop(engines.drain(..(engines.len() + 1).saturating_sub(most)));
        make_room(&mut lock());
        // Nothing is locked meanwhile: a thread that packs weights may take up another picture's answer while it waits.
        let route = Route::new(Mode::Eval, [Graph::PICTURE], self.targets());
        let plan = Plan::at(&self.graph, &route, &Frozen::nothing(), &[Shape::map(c, h, w)])?;
        let batch = (ROOM / plan.peak(4).max(1)).clamp(1, BATCH);
        let input = [usize::try_from(batch).unwrap_or(1), c, h, w];
        let engine = Arc::new(Engine::compile(&self.graph, &self.source, input, Options::default())?);
        let mut engines = lock();
        if let Some(theirs) = found(&mut engines, [c, h, w]) {
            return Ok(theirs);
        }
        make_room(&mut engines);
        engines.push(Arc::clone(&engine));
        Ok(engine)
    }

    pub(crate) fn engine(&self, input: [usize; 4], options: Options) -> Result<Engine> {
        Ok(match self.net.get() {
            Some(net) => Engine::compile(&self.graph, net, input, options)?,
            None => Engine::compile(&self.graph, &self.source, input, options)?,
        })
    }
}

/// The network as it is compiled for pictures of a size already, which is then the one used last.
fn found(engines: &mut Vec<Arc<Engine>>, picture: [usize; 3]) -> Option<Arc<Engine>> {
    let place = engines.iter().position(|engine| engine.input()[1..] == picture)?;
    let engine = engines.remove(place);
    engines.push(Arc::clone(&engine));
    Some(engine)
}
