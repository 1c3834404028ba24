//! What a program consists of, and how each step runs.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use zoo_kernels::{Activation, KernelError, nhwc, nhwc::Map, pool::Pool2d};
use zoo_layers::{Arg, Call, Forward, Kernel, Mode, Op, rng::Stream};

use crate::memory::{CellId, Cells};

/// One step.
#[derive(Debug)]
pub(crate) struct Step {
    /// What errors and reports call it: the first node that it computes.
    pub(crate) node: String,
    /// Multiply-accumulates for one picture.
    pub(crate) macs: u64,
    pub(crate) work: Work,
}

/// What a step does, on maps `M`: cells while it is compiled, then places in the arena, for the largest batch.
#[derive(Debug)]
pub(crate) enum Work<M = Map> {
    Conv {
        conv: Box<nhwc::Conv>,
        input: M,
        out: M,
        residual: Option<M>,
        activation: Activation,
    },
    /// A depthwise convolution with its neighbours.
    Bands {
        bands: Box<nhwc::Bands>,
        input: M,
        out: M,
        residual: Option<M>,
    },
    Pool {
        pool: Pool2d,
        is_max: bool,
        input: M,
        out: M,
    },
    Average {
        input: M,
        out: M,
    },
    Pointwise {
        affine: Option<(Vec<f32>, Vec<f32>)>,
        factor: Option<M>,
        addend: Option<M>,
        activation: Activation,
        input: M,
        out: M,
    },
    /// From pixels to planes, and back.
    ToPlanes {
        input: M,
        out: usize,
    },
    FromPlanes {
        input: usize,
        out: M,
    },
    /// By a kernel on planes, or by candle's operations.
    Planes(Box<OnPlanes>),
}

/// An operation that has no kernel on pixels.
#[derive(Debug)]
pub(crate) struct OnPlanes {
    pub(crate) op: Op,
    pub(crate) kernel: Option<Arc<dyn Kernel>>,
    pub(crate) args: Vec<PlaneArg>,
    pub(crate) shape: [usize; 4],
    pub(crate) is_map: bool,
    pub(crate) out: usize,
}

impl Work<CellId> {
    /// What it reads and writes.
    pub(crate) fn cells(&self) -> Vec<CellId> {
        match self {
            Self::Conv { input, out, residual, .. } | Self::Bands { input, out, residual, .. } => {
                [*input, *out].into_iter().chain(*residual).collect()
            }
            Self::Pointwise { input, out, factor, addend, .. } => {
                [*input, *out].into_iter().chain(*factor).chain(*addend).collect()
            }
            Self::Pool { input, out, .. }
            | Self::Average { input, out }
            | Self::ToPlanes { input, out }
            | Self::FromPlanes { input, out } => vec![*input, *out],
            Self::Planes(work) => {
                let read = work.args.iter().filter_map(|arg| match arg {
                    PlaneArg::Value { plane, .. } => Some(*plane),
                    PlaneArg::Param { .. } => None,
                });
                read.chain([work.out]).collect()
            }
        }
    }

    /// The same in the places that the cells have got.
    pub(crate) fn placed(self, cells: &Cells) -> Work {
        let map = |cell: CellId| cells.map(cell);
        let plane = |cell: CellId| cells.cells[cell].start;
        match self {
            Self::Conv { conv, input, out, residual, activation } => {
                Work::Conv { conv, input: map(input), out: map(out), residual: residual.map(map), activation }
            }
            Self::Bands { bands, input, out, residual } => {
                Work::Bands { bands, input: map(input), out: map(out), residual: residual.map(map) }
            }
            Self::Pool { pool, is_max, input, out } => {
                Work::Pool { pool, is_max, input: map(input), out: map(out) }
            }
            Self::Average { input, out } => Work::Average { input: map(input), out: map(out) },
            Self::Pointwise { affine, factor, addend, activation, input, out } => Work::Pointwise {
                affine,
                factor: factor.map(map),
                addend: addend.map(map),
                activation,
                input: map(input),
                out: map(out),
            },
            Self::ToPlanes { input, out } => Work::ToPlanes { input: map(input), out: plane(out) },
            Self::FromPlanes { input, out } => Work::FromPlanes { input: plane(input), out: map(out) },
            Self::Planes(mut work) => {
                for arg in &mut work.args {
                    if let PlaneArg::Value { plane: cell, .. } = arg {
                        *cell = plane(*cell);
                    }
                }
                work.out = plane(work.out);
                Work::Planes(work)
            }
        }
    }
}

/// What a kernel on planes reads.
#[derive(Debug)]
pub(crate) enum PlaneArg {
    /// Which of the planes, and its shape; whether it is a map and no vector.
    Value {
        plane: usize,
        shape: [usize; 4],
        is_map: bool,
    },
    Param {
        values: Vec<f32>,
        shape: Vec<usize>,
    },
}

/// What a step works in.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) arena: nhwc::Arena,
    pub(crate) planes: Vec<Vec<f32>>,
}

/// A step's refusal.
pub(crate) enum Refusal {
    Kernel(KernelError),
    Layer(String),
}

impl From<KernelError> for Refusal {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}

impl From<candle_core::Error> for Refusal {
    fn from(error: candle_core::Error) -> Self {
        Self::Layer(error.to_string())
    }
}

/// The part of a map, or of planes, that belongs to the first pictures.
fn of(mut map: Map, pictures: usize) -> Map {
    map.shape[0] = pictures;
    map
}

fn len(shape: [usize; 4], pictures: usize) -> usize {
    pictures * shape[1] * shape[2] * shape[3]
}

impl Work {
    /// Its method's name in a report.
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::Conv { conv, .. } => conv.method().name(),
            Self::Bands { .. } => "in bands",
            Self::Pool { is_max: true, .. } => "max pool",
            Self::Pool { .. } => "average pool",
            Self::Average { .. } => "average",
            Self::Pointwise { .. } => "pointwise",
            Self::ToPlanes { .. } | Self::FromPlanes { .. } => "layout",
            Self::Planes(work) if work.kernel.is_some() => "planes",
            Self::Planes(_) => "composed",
        }
    }

    pub(crate) fn run(&self, memory: &mut Memory, pictures: usize) -> Result<(), Refusal> {
        let n = pictures;
        let Memory { arena, planes } = memory;
        match self {
            Self::Conv { conv, input, out, residual, activation } => {
                let tail = nhwc::Tail { residual: residual.map(|map| of(map, n)), activation: *activation };
                conv.run(arena, of(*input, n), of(*out, n), tail)?;
            }
            Self::Bands { bands, input, out, residual } => {
                bands.run(arena, of(*input, n), of(*out, n), residual.map(|map| of(map, n)))?;
            }
            Self::Pool { pool, is_max, input, out } => {
                let run = if *is_max { nhwc::max_pool } else { nhwc::average_pool };
                run(pool, arena, of(*input, n), of(*out, n))?;
            }
            Self::Average { input, out } => nhwc::global_average(arena, of(*input, n), of(*out, n))?,
            Self::Pointwise { affine, factor, addend, activation, input, out } => {
                let work = nhwc::Pointwise {
                    affine: affine.as_ref().map(|(scale, shift)| (&scale[..], &shift[..])),
                    factor: factor.map(|map| of(map, n)),
                    addend: addend.map(|map| of(map, n)),
                    activation: *activation,
                };
                nhwc::pointwise(&work, arena, of(*input, n), of(*out, n))?;
            }
            Self::ToPlanes { input, out } => {
                nhwc::to_planes(arena, of(*input, n), &mut planes[*out][..len(input.shape, n)])?;
            }
            Self::FromPlanes { input, out } => {
                nhwc::from_planes(&planes[*input][..len(out.shape, n)], arena, of(*out, n))?;
            }
            Self::Planes(work) => {
                let OnPlanes { op, kernel, args, shape, is_map, out } = &**work;
                let mut result = std::mem::take(&mut planes[*out]);
                let into = &mut result[..len(*shape, n)];
                let done = match kernel {
                    Some(kernel) => on_planes(kernel.as_ref(), args, planes, n, into),
                    None => composed(op, args, planes, [n, shape[1], shape[2], shape[3]], *is_map, into),
                };
                planes[*out] = result;
                done?;
            }
        }
        Ok(())
    }

    /// Numbers that a thread works in beside the arena.
    pub(crate) fn scratch(&self) -> usize {
        match self {
            Self::Conv { conv, .. } => conv.working(),
            Self::Bands { bands, .. } => bands.working(),
            _ => 0,
        }
    }

    /// Numbers that packed weights take.
    pub(crate) fn packed(&self) -> usize {
        match self {
            Self::Conv { conv, .. } => conv.packed_len(),
            Self::Bands { bands, .. } => bands.packed_len(),
            Self::Pointwise { affine: Some((scale, _)), .. } => 2 * scale.len(),
            Self::Planes(work) => work
                .args
                .iter()
                .map(|arg| match arg {
                    PlaneArg::Param { values, .. } => values.len(),
                    PlaneArg::Value { .. } => 0,
                })
                .sum(),
            _ => 0,
        }
    }
}

fn on_planes(
    kernel: &dyn Kernel,
    args: &[PlaneArg],
    planes: &[Vec<f32>],
    pictures: usize,
    out: &mut [f32],
) -> Result<(), Refusal> {
    let args: Vec<Arg<'_, f32>> = args
        .iter()
        .map(|arg| match arg {
            PlaneArg::Value { plane, shape, .. } => {
                let dims = [pictures, shape[1], shape[2], shape[3]];
                Arg { dims, data: &planes[*plane][..len(*shape, pictures)] }
            }
            PlaneArg::Param { values, .. } => Arg { dims: [values.len(), 1, 1, 1], data: values },
        })
        .collect();
    let random = Stream::new(0, "answers");
    let run = Forward { args: &args, out, saved: &mut [], in_place: false, random: &random };
    Ok(kernel.compute_f32(run)?)
}

fn composed(
    op: &Op,
    args: &[PlaneArg],
    planes: &[Vec<f32>],
    shape: [usize; 4],
    is_map: bool,
    out: &mut [f32],
) -> Result<(), Refusal> {
    let (mut inputs, mut params) = (Vec::new(), Vec::new());
    for arg in args {
        match arg {
            PlaneArg::Value { plane, shape: [_, c, h, w], is_map } => {
                let data = &planes[*plane][..shape[0] * c * h * w];
                let dims = if *is_map { vec![shape[0], *c, *h, *w] } else { vec![shape[0], c * h * w] };
                inputs.push(Tensor::from_slice(data, dims, &Device::Cpu)?);
            }
            PlaneArg::Param { values, shape } => {
                params.push(Tensor::from_slice(values, shape.as_slice(), &Device::Cpu)?);
            }
        }
    }
    let random = Stream::new(0, "answers");
    let call = Call { inputs: &inputs, params: &params, mode: Mode::Eval, random };
    let result = op.operation().forward(call)?;
    let want = if is_map { shape.to_vec() } else { vec![shape[0], shape[1] * shape[2] * shape[3]] };
    if result.dims() != want {
        let (kind, got) = (op.operation().kind(), result.dims());
        return Err(Refusal::Layer(format!(
            "{kind} gave {got:?}, but its shape rule says {want:?}; make `Operation::output` and `Operation::forward` agree"
        )));
    }
    out.copy_from_slice(&result.flatten_all()?.to_vec1::<f32>()?);
    Ok(())
}
