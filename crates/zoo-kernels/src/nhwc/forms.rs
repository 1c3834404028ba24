//! Winograd's forms: into which tiles an output is divided, and when that pays.

use crate::conv::Conv2d;
use crate::error::Shape;
use crate::isa::Isa;

/// Outputs along the sides of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Two,
    Four,
}

impl Form {
    /// That number.
    pub(super) fn out(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Products of a tile.
    pub(super) fn products(self) -> usize {
        (self.out() + 2) * (self.out() + 2)
    }
}

/// Whether it can compute a convolution.
pub(super) fn fits(spec: &Conv2d) -> bool {
    spec.kernel_size == [3, 3]
        && spec.stride == [1, 1]
        && spec.groups == 1
        && spec.dilation[0] == spec.dilation[1]
}

/// Tiles of one picture.
pub(super) fn tiles(spec: &Conv2d, form: Form, [_, _, oh, ow]: Shape) -> usize {
    axis(spec.dilation[0], form, oh).len() * axis(spec.dilation[1], form, ow).len()
}

/// The form that is expected to be the fastest, and faster than all products, by a model of cycles: of arithmetic, and of
/// reading weights, which are more than those of all products, from memory. It is told of one picture and two threads,
/// however many there are: the choice decides over the results' last bits.
pub(super) fn pays(spec: &Conv2d, output: Shape, isa: Isa) -> Option<Form> {
    const THREADS: f64 = 2.0;
    if !fits(spec) || spec.in_channels < 8 || spec.out_channels < 8 {
        return None;
    }
    let [_, _, oh, ow] = output;
    let (c, k) = (spec.in_channels as f64, spec.out_channels as f64);
    let lanes = isa.lanes::<f32>() as f64;
    let each_cycle = if isa == Isa::Avx512 { 1.0 } else { 2.0 };
    let (vectors_in, vectors_out) = ((c / lanes).ceil(), (k / lanes).ceil());
    let read = |numbers: f64| numbers * 4.0 / MEMORY;
    let direct = ((oh * ow) as f64 * 9.0 * c * vectors_out / each_cycle / THREADS).max(read(9.0 * c * k));
    let cost = |form: Form| {
        let (tiles, products) = (tiles(spec, form, output) as f64, form.products() as f64);
        let transform = TRANSFORM * products / 36.0;
        let work = tiles * (products * c * vectors_out + (vectors_in + vectors_out) * transform) / each_cycle;
        (work / THREADS).max(read(products * c * k))
    };
    let best = if cost(Form::Two) < cost(Form::Four) { Form::Two } else { Form::Four };
    (cost(best) < direct).then_some(best)
}

/// Bytes of weights that memory gives in a cycle, whatever the threads.
const MEMORY: f64 = 6.0;
/// Vector operations of a transform of a vector of a tile of 4x4, loads and stores among them.
const TRANSFORM: f64 = 250.0;

/// The first pixels of the tiles along a side: those of each phase of the dilation by twos or fours.
pub(super) fn axis(dilation: usize, form: Form, size: usize) -> Vec<usize> {
    let phases = (0..dilation.min(size)).map(|phase| (phase, (size - phase).div_ceil(dilation)));
    phases
        .flat_map(|(phase, count)| (0..count).step_by(form.out()).map(move |i| phase + i * dilation))
        .collect()
}
