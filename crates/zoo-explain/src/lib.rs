//! What a network looks at.
//!
//! A [`Heat`] says how much each place of a picture speaks for a class, by one of four [`Method`]s; [`paint`] lays it
//! over the picture. [`sheet::maps`] shows what a layer makes of a picture, [`sheet::filters`] what the first
//! convolution has learned to look for.
//!
//! ```
//! use zoo_explain::{Method, Target, explain, paint};
//!
//! let net = zoo::model("lenet5")?.pretrained()?;
//! let picture = zoo::Picture::open("../../assets/digits/7.png")?;
//! let prepared = net.prepare().picture(&picture, "7.png")?;            // (1, 1, 28, 28)
//!
//! let target = Target::new(net.net()?, 7)?;                             // the class, at the last map
//! let heat = explain(net.net()?, &prepared, target, Method::GradCam)?;
//! assert_eq!(heat.size(), [10, 10]);                                   // as large as that map
//! let picture = net.prepare().seen(&picture, "7.png")?;                // what the network saw
//! let beside = paint::beside(&picture, &heat)?;                        // it, and it under the heat
//! assert!(paint::png(&beside)?.starts_with(b"\x89PNG"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cam;
mod error;
mod heat;
mod occlusion;
pub mod paint;
pub mod sheet;
mod smooth;
mod target;
#[cfg(test)]
mod tests;

use candle_core::Tensor;
use zoo_layers::Net;

pub use error::{Error, Result};
pub use heat::Heat;
pub use occlusion::{Occlusion, occlusion};
pub use smooth::SmoothGrad;
pub use target::Target;

/// How a picture is explained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Maps added up, each weighted by the mean of the score's gradient over it (Selvaraju et al. 2017).
    GradCam,
    /// The same with weights that tell several things of one kind apart (Chattopadhay et al. 2018).
    GradCamPlusPlus,
    /// By how much the class becomes less likely where a grey square covers the picture (Zeiler and Fergus 2013).
    Occlusion(Occlusion),
    /// The gradient of the score by the picture, averaged over noisy copies (Smilkov et al. 2017).
    SmoothGrad(SmoothGrad),
}

/// Explains one prepared picture `(1, c, h, w)`.
///
/// # Errors
/// A picture that does not fit the network, and what a [`Target`] can lack.
pub fn explain(net: &Net, picture: &Tensor, target: Target, method: Method) -> Result<Heat> {
    explain_with(net, picture, target, method, &mut |_, _| {})
}

/// The same, and tells how many of how many passes are done.
///
/// # Errors
/// As [`explain`].
pub fn explain_with(
    net: &Net,
    picture: &Tensor,
    target: Target,
    method: Method,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Heat> {
    match method {
        Method::GradCam => cam::grad_cam(net, picture, target),
        Method::GradCamPlusPlus => cam::grad_cam_plus_plus(net, picture, target),
        Method::Occlusion(options) => {
            let answer = |pictures: &Tensor| Ok(net.answer(pictures)?);
            occlusion(answer, picture, target.class(), options, progress)
        }
        Method::SmoothGrad(options) => smooth::smooth_grad(net, picture, target, options, progress),
    }
}
