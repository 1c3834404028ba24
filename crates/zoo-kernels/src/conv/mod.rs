//! Convolution: forward, gradient of the input, gradient of weight and bias, and transposed.

mod depthwise;
mod flat;
mod forward;
mod gather;
mod grad_input;
mod grad_weight;
mod method;
mod pairs;
mod panels;
mod prepared;
mod runs;
mod spec;
mod transposed;
mod unfolded;
pub(crate) mod winograd;
mod working;

use crate::element::compiled;
use crate::epilogue::Epilogue;
use crate::error::Shape;
use crate::gemm::left::Left;
use crate::isa::Isa;

compiled! {
    depthwise_forward = depthwise::forward: (
        layer: &forward::Layer<'_>, input: &[Self], weight: &[Self], epilogue: &Epilogue<'_, Self>, out: &mut [Self],
    );
    winograd_blocks = winograd::by_blocks: (
        layer: &forward::Layer<'_>, input: &[Self], transformed: &[Self], epilogue: &Epilogue<'_, Self>,
        out: &mut [Self],
    );
    winograd_panels = winograd::by_panels: (
        layer: &forward::Layer<'_>, input: &[Self], weight: &[Self], epilogue: &Epilogue<'_, Self>, out: &mut [Self],
    );
    winograd_weights = winograd::transform: (isa: Isa, spec: &Conv2d, weight: &[Self], to: &mut [Self]);
    winograd_grad_input = winograd::grad_input: (
        layer: &forward::Layer<'_>, method: Method, grad_out: &[Self], weight: &[Self], grad_input: &mut [Self],
    );
    conv_product = forward::product: (
        layer: &forward::Layer<'_>, method: Method, input: &[Self], weights: Left<'_, Self>,
        epilogue: &Epilogue<'_, Self>, out: &mut [Self],
    );
    conv_spread = grad_input::spread: (
        layer: &forward::Layer<'_>, method: Method, grad_out: &[Self], weight: &[Self],
        epilogue: &Epilogue<'_, Self>, grad_input: &mut [Self],
    );
    conv_grad_weight = grad_weight::correlate_weights: (
        spec: &Conv2d, shape: Shape, output: Shape, input: &[Self], grad_out: &[Self], grad_weight: &mut [Self],
    );
}

pub use forward::{forward, forward_with};
pub use grad_input::grad_input;
pub use grad_weight::grad_weight;
pub use method::{Method, Pass, choose};
pub use prepared::Prepared;
pub(crate) use runs::inside;
pub(crate) use spec::window_count;
pub use spec::{Conv2d, Padding};
pub use transposed::Transposed;
pub use working::working;
