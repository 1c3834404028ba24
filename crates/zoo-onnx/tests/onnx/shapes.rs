//! Infers the shapes of a file's values by the rules of ONNX's own operators, opset 17, from the file alone.

use std::collections::HashMap;

use crate::reader::{Attribute, File, Node, Side};

/// A value: its sides, and its numbers where it is a list of whole ones that the file settles.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) sides: Vec<usize>,
    ints: Option<Vec<i64>>,
}

impl Known {
    fn shape(sides: Vec<usize>) -> Self {
        Self { sides, ints: None }
    }

    fn list(ints: Vec<i64>) -> Self {
        Self { sides: vec![ints.len()], ints: Some(ints) }
    }

    fn ints(&self) -> &[i64] {
        self.ints.as_deref().unwrap()
    }
}

/// Every value of the file, with what is free bound to numbers. A node that reads what isn't there yet, or what does
/// not fit, panics.
pub(crate) fn infer(file: &File, bound: &HashMap<&str, usize>) -> HashMap<String, Known> {
    let mut known: HashMap<String, Known> = HashMap::new();
    let put = |known: &mut HashMap<String, Known>, name: &str, value: Known| {
        assert!(known.insert(name.into(), value).is_none(), "`{name}` is there twice");
    };
    for tensor in &file.tensors {
        let ints = (tensor.kind == 7).then(|| tensor.ints());
        put(&mut known, &tensor.name, Known { sides: tensor.dims.clone(), ints });
    }
    for input in &file.inputs {
        put(&mut known, &input.name, Known::shape(sides(&input.sides, bound)));
    }
    for node in &file.nodes {
        let read = |name: &String| match name.is_empty() {
            true => Known::shape(vec![0]),
            false => {
                known.get(name).unwrap_or_else(|| panic!("`{}` reads `{name}` too early", node.name)).clone()
            }
        };
        let inputs: Vec<Known> = node.inputs.iter().map(read).collect();
        let result = Rule { node, inputs }.output();
        put(&mut known, &node.output, result);
    }
    known
}

/// Numbers for sides; a name that isn't bound must be one of a value's own.
pub(crate) fn sides(sides: &[Side], bound: &HashMap<&str, usize>) -> Vec<usize> {
    let number = |side: &Side| match side {
        Side::Fixed(side) => usize::try_from(*side).unwrap(),
        Side::Free(name) => bound[name.as_str()],
    };
    sides.iter().map(number).collect()
}

struct Rule<'a> {
    node: &'a Node,
    inputs: Vec<Known>,
}

impl Rule<'_> {
    fn sides(&self, place: usize) -> &[usize] {
        &self.inputs[place].sides
    }

    fn attribute_ints(&self, name: &str, usual: Vec<i64>) -> Vec<usize> {
        let found = match self.node.attributes.get(name) {
            Some(Attribute::Ints(values)) => values.clone(),
            None => usual,
            other => panic!("`{}` has {name} {other:?}", self.node.name),
        };
        found.into_iter().map(|value| usize::try_from(value).unwrap()).collect()
    }

    fn attribute_int(&self, name: &str, usual: i64) -> i64 {
        match self.node.attributes.get(name) {
            Some(Attribute::Int(value)) => *value,
            None => usual,
            other => panic!("`{}` has {name} {other:?}", self.node.name),
        }
    }

    fn is_text(&self, name: &str, text: &str) -> bool {
        self.node.attributes.get(name) == Some(&Attribute::Text(text.into()))
    }

    /// Output height and width of windows.
    fn windows(&self, kernel: &[usize]) -> Vec<usize> {
        let strides = self.attribute_ints("strides", vec![1, 1]);
        let dilations = self.attribute_ints("dilations", vec![1, 1]);
        let pads = self.attribute_ints("pads", vec![0; 4]);
        let up = self.attribute_int("ceil_mode", 0) == 1;
        let side = |axis: usize| {
            let size = self.sides(0)[2 + axis];
            if self.is_text("auto_pad", "SAME_UPPER") {
                return size.div_ceil(strides[axis]);
            }
            let reach = (kernel[axis] - 1) * dilations[axis] + 1;
            // ONNX Runtime refuses a pool's padding that reaches over a whole window.
            let pool = self.node.kind.ends_with("Pool");
            assert!(!pool || pads[axis].max(pads[2 + axis]) < reach, "`{}`: {pads:?}", self.node.name);
            let room = size + pads[axis] + pads[2 + axis] - reach;
            if up { room.div_ceil(strides[axis]) + 1 } else { room / strides[axis] + 1 }
        };
        vec![side(0), side(1)]
    }

    /// The common shape of all inputs, sides of one repeated.
    fn broadcast(&self) -> Known {
        let longest = self.inputs.iter().map(|input| input.sides.len()).max().unwrap();
        let mut sides = vec![1; longest];
        for input in &self.inputs {
            let missing = longest - input.sides.len();
            for (to, from) in sides[missing..].iter_mut().zip(&input.sides) {
                assert!(*to == 1 || *from == 1 || to == from, "`{}`: {:?}", self.node.name, self.inputs);
                *to = (*to).max(*from);
            }
        }
        Known::shape(sides)
    }

    /// The same with numbers, where both have them: a list, or one number for all.
    fn computed(&self, of: impl Fn(i64, i64) -> i64) -> Known {
        let shape = self.broadcast();
        let ints = match (&self.inputs[0].ints, &self.inputs[1].ints) {
            (Some(a), Some(b)) => {
                let at = |list: &[i64], place: usize| list[place % list.len()];
                Some((0..a.len().max(b.len())).map(|place| of(at(a, place), at(b, place))).collect())
            }
            _ => None,
        };
        Known { ints, ..shape }
    }

    fn output(&self) -> Known {
        let node = self.node;
        assert!(node.domain.is_empty(), "`{}`", node.name);
        match node.kind.as_str() {
            "Conv" => {
                let (x, weight) = (self.sides(0), self.sides(1));
                assert_eq!(self.attribute_ints("kernel_shape", vec![1, 1]), &weight[2..]);
                let groups = usize::try_from(self.attribute_int("group", 1)).unwrap();
                assert_eq!(x[1], weight[1] * groups, "`{}`", node.name);
                assert!(self.inputs.len() == 2 || self.sides(2) == [weight[0]], "`{}`", node.name);
                Known::shape([vec![x[0], weight[0]], self.windows(&weight[2..])].concat())
            }
            "ConvTranspose" => {
                let (x, weight) = (self.sides(0), self.sides(1));
                let groups = usize::try_from(self.attribute_int("group", 1)).unwrap();
                let (strides, pads) =
                    (self.attribute_ints("strides", vec![]), self.attribute_ints("pads", vec![]));
                let more = self.attribute_ints("output_padding", vec![0, 0]);
                let side = |axis: usize| {
                    strides[axis] * (x[2 + axis] - 1) + more[axis] + weight[2 + axis]
                        - pads[axis]
                        - pads[2 + axis]
                };
                assert_eq!(x[1], weight[0]);
                Known::shape(vec![x[0], weight[1] * groups, side(0), side(1)])
            }
            "MaxPool" | "AveragePool" => {
                let kernel = self.attribute_ints("kernel_shape", vec![]);
                Known::shape([self.sides(0)[..2].to_vec(), self.windows(&kernel)].concat())
            }
            "GlobalAveragePool" => Known::shape([&self.sides(0)[..2], &[1, 1]].concat()),
            "BatchNormalization" => {
                let channels = self.sides(0)[1];
                assert!(self.inputs[1..].iter().all(|param| param.sides == [channels]), "`{}`", node.name);
                assert_eq!(self.inputs.len(), 5);
                self.inputs[0].clone()
            }
            "Relu" | "Sigmoid" | "Tanh" | "Softmax" | "LRN" | "Neg" | "Identity" => self.inputs[0].clone(),
            "Clip" => {
                assert!(self.inputs[1..].iter().all(|bound| bound.sides.is_empty()));
                self.inputs[0].clone()
            }
            "Gemm" => {
                let (x, weight) = (self.sides(0), self.sides(1));
                assert_eq!(
                    (self.attribute_int("transB", 0), x.len(), x[1]),
                    (1, 2, weight[1]),
                    "`{}`",
                    node.name
                );
                assert!(self.inputs.len() == 2 || self.sides(2) == [weight[0]], "`{}`", node.name);
                Known::shape(vec![x[0], weight[0]])
            }
            "Flatten" => Known::shape(vec![self.sides(0)[0], self.sides(0)[1..].iter().product()]),
            "Add" => self.computed(|a, b| a + b),
            "Sub" => self.computed(|a, b| a - b),
            "Mul" => self.computed(|a, b| a * b),
            "Div" => self.computed(|a, b| a / b),
            "Sum" | "Pow" | "GreaterOrEqual" | "Less" | "And" => self.broadcast(),
            "Cast" => Known::shape(self.sides(0).to_vec()),
            "Concat" if self.inputs.iter().all(|input| input.ints.is_some()) => {
                Known::list(self.inputs.iter().flat_map(|input| input.ints().to_vec()).collect())
            }
            "Concat" => {
                let axis = usize::try_from(self.attribute_int("axis", 0)).unwrap();
                let mut sides = self.sides(0).to_vec();
                sides[axis] = self.inputs.iter().map(|input| input.sides[axis]).sum();
                Known::shape(sides)
            }
            "Gather" => {
                let axis = usize::try_from(self.attribute_int("axis", 0)).unwrap();
                let mut sides = self.sides(0).to_vec();
                let all = sides[axis];
                assert!(self.inputs[1].ints().iter().all(|place| usize::try_from(*place).unwrap() < all));
                sides[axis] = self.inputs[1].ints().len();
                Known::shape(sides)
            }
            "Pad" => {
                let pads = self.inputs[1].ints();
                let half = pads.len() / 2;
                assert_eq!(half, self.sides(0).len());
                let side = |axis: usize| {
                    self.sides(0)[axis] + usize::try_from(pads[axis] + pads[half + axis]).unwrap()
                };
                Known::shape((0..half).map(side).collect())
            }
            "Slice" => {
                let mut sides = self.sides(0).to_vec();
                for (place, axis) in self.inputs[3].ints().iter().enumerate() {
                    let axis = usize::try_from(*axis).unwrap();
                    let at = |input: usize| usize::try_from(self.inputs[input].ints()[place]).unwrap();
                    let step = if self.inputs.len() > 4 { at(4) } else { 1 };
                    sides[axis] = (at(2).min(sides[axis]) - at(1)).div_ceil(step);
                }
                Known::shape(sides)
            }
            "Shape" => {
                let all = self.sides(0).len();
                let start = usize::try_from(self.attribute_int("start", 0)).unwrap();
                let end = self.attribute_int("end", i64::try_from(all).unwrap());
                let sides = &self.sides(0)[start..usize::try_from(end).unwrap()];
                Known::list(sides.iter().map(|side| i64::try_from(*side).unwrap()).collect())
            }
            "Resize" => {
                let sizes = self.inputs[3].ints().iter().map(|size| usize::try_from(*size).unwrap());
                let sizes: Vec<usize> = sizes.collect();
                assert_eq!(sizes[..2], self.sides(0)[..2]);
                Known::shape(sizes)
            }
            "Unsqueeze" => {
                let mut known = self.inputs[0].clone();
                for axis in self.inputs[1].ints() {
                    known.sides.insert(usize::try_from(*axis).unwrap(), 1);
                }
                known
            }
            "Squeeze" => {
                let ints = self.inputs[0].ints().to_vec();
                assert_eq!(ints.len(), 1);
                Known { sides: Vec::new(), ints: Some(ints) }
            }
            "Range" => {
                let at = |place: usize| self.inputs[place].ints()[0];
                assert_eq!(at(2), 1);
                Known::list((at(0)..at(1)).collect())
            }
            "Transpose" => Known::shape(self.sides(0).iter().rev().copied().collect()),
            "MatMul" => {
                let (a, b) = (self.sides(0), self.sides(1));
                assert_eq!(a[a.len() - 1], b[b.len() - 2], "`{}`", node.name);
                let before = if a.len() > b.len() { &a[..a.len() - 2] } else { &b[..b.len() - 2] };
                Known::shape([before, &[a[a.len() - 2], b[b.len() - 1]]].concat())
            }
            "ReduceSumSquare" => {
                let (mut sides, axes) = (self.sides(0).to_vec(), self.attribute_ints("axes", vec![]));
                assert_eq!(self.attribute_int("keepdims", 1), 0);
                sides.remove(axes[0]);
                Known::shape(sides)
            }
            kind => panic!("`{}` is of a kind that no rule knows: {kind}", node.name),
        }
    }
}
