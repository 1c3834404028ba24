//! A layer that the zoo lacks, added by somebody outside: with a kernel of its own, without one, and wrong.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::sync::Arc;

use candle_core::{DType, Device, Result as CandleResult, Tensor};
use zoo_layers::{
    Activation, Backward, Call, Conv2d, CpuKernel, Element, Error, Forward, Graph, Kernel, KernelError,
    Linear, Mode, Needs, Net, Operation, Result, Route, Shape, onnx,
};

/// `x²`, element by element.
#[derive(Clone, Copy, Debug)]
struct Square {
    has_kernel: bool,
}

impl Operation for Square {
    fn kind(&self) -> &'static str {
        "Square"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        inputs.first().copied().ok_or_else(|| "it squares one input, got none".into())
    }

    fn onnx(&self, _site: &onnx::Site<'_>) -> Option<onnx::Form> {
        let mut form = onnx::Form::new();
        form.call("Mul", [onnx::Arg::Input(0), onnx::Arg::Input(0)]);
        Some(form)
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        self.has_kernel.then(|| Arc::new(*self) as Arc<dyn Kernel>)
    }

    fn forward(&self, call: Call<'_>) -> CandleResult<Tensor> {
        call.inputs[0].sqr()
    }
}

impl CpuKernel for Square {
    fn name(&self) -> &'static str {
        "square"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING.arg(0, true)
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        for (y, x) in run.out.iter_mut().zip(run.args[0].data) {
            *y = *x * *x;
        }
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        if let Some(into) = &mut grads[0] {
            for ((into, x), grad) in into.iter_mut().zip(back.args[0].data).zip(back.grad) {
                *into = (*x + *x) * *grad;
            }
        }
        Ok(())
    }
}

fn network(op: Arc<dyn Operation>) -> Graph {
    let graph = Graph::build("squares", Shape::map(2, 6, 6), |net, picture| {
        let x = net.conv_norm_act(picture, Conv2d::k3(4), "conv1", "bn1")?;
        let x = net.add_op(zoo_layers::Op::Custom(op), &[x], "square")?;
        let x = net.conv(x, Conv2d::k3(3).stride(2), "conv2")?;
        let x = net.activation(x, Activation::Tanh)?;
        let x = net.global_avg_pool(x)?;
        let logits = net.linear(x, Linear::new(3), "fc")?;
        net.output("logits", logits)
    });
    graph.unwrap()
}

fn pictures() -> Tensor {
    let values = (0..2 * 2 * 36).map(|i| ((i * 37 % 101) as f64 - 50.0) / 40.0);
    Tensor::from_iter(values, &Device::Cpu).unwrap().reshape((2, 2, 6, 6)).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The answer, and every parameter's gradient of the squares' sum.
fn lesson(net: &Net) -> (Vec<f64>, Vec<Vec<f64>>) {
    let pass = net.train_pass(&pictures()).unwrap();
    let logits = pass.outputs()["logits"].clone();
    let loss = logits.sqr().unwrap().sum_all().unwrap();
    let gradients = pass.backward(&loss.backward().unwrap()).unwrap();
    let params = net.trainable().unwrap();
    let gradients = params.iter().map(|(_, variable)| numbers(gradients.get(variable).unwrap())).collect();
    (numbers(&logits), gradients)
}

fn assert_near(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{a}, not {b}");
    }
}

#[test]
fn a_layer_from_outside_learns_with_a_kernel_and_without() {
    let nets = [true, false].map(|has_kernel| {
        network(Arc::new(Square { has_kernel })).init_on(3, DType::F64, &Device::Cpu).unwrap()
    });
    let plan = zoo_layers::Plan::new(nets[1].graph(), &Route::training(nets[1].graph())).unwrap();
    let without: Vec<_> = plan
        .steps()
        .iter()
        .filter(|step| !step.has_kernel() && !step.is_view())
        .map(|step| step.nodes()[0])
        .collect();
    assert_eq!(without, [nets[1].graph().find("square").unwrap()], "all the rest keeps its kernels");
    let [with, without] = [lesson(&nets[0]), lesson(&nets[1])];
    assert_near(&with.0, &without.0);
    for (with, without) in with.1.iter().zip(&without.1) {
        assert_near(with, without);
    }
    // And so on candle's tape.
    let logits = nets[0].forward(&pictures(), Mode::Train).unwrap();
    assert_near(&numbers(&logits), &with.0);
    let gradients = logits.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    for ((_, variable), ours) in nets[0].trainable().unwrap().iter().zip(&with.1) {
        assert_near(&numbers(gradients.get(variable).unwrap()), ours);
    }
    // Running statistics moved twice there.
    nets[1].forward(&pictures(), Mode::Train).unwrap();
    let [with, without] = [0, 1].map(|index| numbers(&nets[index].answer(&pictures()).unwrap()));
    assert_near(&with, &without);
}

/// Says it keeps the shape, and halves the height.
#[derive(Debug)]
struct Liar;

impl Operation for Liar {
    fn kind(&self) -> &'static str {
        "Liar"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward(&self, call: Call<'_>) -> CandleResult<Tensor> {
        call.inputs[0].narrow(2, 0, 3)?.contiguous()
    }
}

#[test]
fn a_layer_whose_result_is_not_what_its_rule_says_is_named_with_both_shapes() {
    let net = network(Arc::new(Liar)).init_on(3, DType::F64, &Device::Cpu).unwrap();
    let answered = net.answer(&pictures()).unwrap_err();
    let taped = net.forward(&pictures(), Mode::Train).unwrap_err();
    let passed = net.train_pass(&pictures()).map(|_| ()).unwrap_err();
    for error in [answered, taped, passed] {
        assert!(matches!(error, Error::WrongShape { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("`square`") && text.contains("[2, 4, 3, 6]"), "{text}");
        assert!(text.contains("[2, 4, 6, 6]"), "{text}");
    }
}

/// Its kernel writes the first value alone.
#[derive(Clone, Copy, Debug)]
struct Lazy;

impl Operation for Lazy {
    fn kind(&self) -> &'static str {
        "Lazy"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        inputs.first().copied().ok_or_else(|| "it takes one input".into())
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(*self))
    }

    fn forward(&self, call: Call<'_>) -> CandleResult<Tensor> {
        Ok(call.inputs[0].clone())
    }
}

impl CpuKernel for Lazy {
    fn name(&self) -> &'static str {
        "lazy"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        run.out[0] = run.args[0].data[0];
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        _run: Backward<'_, T>,
        _grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        Ok(())
    }
}

#[test]
fn what_a_kernel_from_outside_leaves_unwritten_is_no_number_and_a_layer_that_reads_nothing_is_refused() {
    let net = network(Arc::new(Lazy)).init_on(3, DType::F64, &Device::Cpu).unwrap();
    let square = net.graph().find("square").unwrap();
    let pictures = pictures();
    let value = net.answer_at(&[(Graph::PICTURE, &pictures)], &[square]).unwrap().remove(0);
    let values: Vec<f64> = value.flatten_all().unwrap().to_vec1().unwrap();
    assert!(values[0].is_finite() && values[1..].iter().all(|value| value.is_nan()));
    let alone = Graph::build("alone", Shape::map(1, 4, 4), |net, picture| {
        net.add_op(zoo_layers::Op::Custom(Arc::new(Constant)), &[], "constant")?;
        net.output("logits", picture)
    });
    let error = alone.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`constant`") && error.contains("reads nothing"), "{error}");
}

/// Reads nothing.
#[derive(Clone, Copy, Debug)]
struct Constant;

impl Operation for Constant {
    fn kind(&self) -> &'static str {
        "Constant"
    }

    fn output(&self, _inputs: &[Shape]) -> Result<Shape, String> {
        Ok(Shape::map(1, 4, 4))
    }

    fn forward(&self, call: Call<'_>) -> CandleResult<Tensor> {
        Ok(call.inputs[0].clone())
    }
}
