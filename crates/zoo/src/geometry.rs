//! How a listed architecture is described, and what can be chosen of its geometry.

use zoo_layers::{Graph, Shape};
use zoo_resnet::ResNet;
use zoo_senet::SeNet;
use zoo_xception::Xception;

use crate::{Error, Result};

/// The picture for which [`Stem::Small`] is made.
const SMALL: Shape = Shape::map(3, 32, 32);

/// What can be chosen of a ResNet's, SENet's or Xception's geometry. Names and shapes of the weights stay as they are,
/// but for the first convolution under a small stem.
///
/// ```
/// use zoo::{Geometry, Stem};
///
/// let dense = Geometry { output_stride: Some(8), ..Geometry::default() };
/// let graph = zoo::find("seresnet50")?.graph_with(dense)?;
/// assert_eq!(graph.layer("layer4.2.add")?.output.to_string(), "2048x28x28");
///
/// let small = Geometry { stem: Stem::Small, ..Geometry::default() };
/// let graph = zoo::find("resnet18")?.graph_with(small)?;
/// assert_eq!(graph.layer("conv1")?.output.to_string(), "64x32x32");
///
/// let refused = zoo::find("vgg16")?.graph_with(dense).unwrap_err().to_string();
/// assert!(refused.contains("`vgg16`") && refused.contains("ResNet"));
/// # Ok::<(), zoo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// Picture pixels for one pixel of the last map: 32, or 16 or 8 with strides traded for dilation; with
    /// [`Stem::Small`] 8, 4 or 2. `None` trades nothing.
    pub output_stride: Option<usize>,
    /// How the picture is first reduced.
    pub stem: Stem,
}

/// How the picture is first reduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stem {
    /// As published.
    #[default]
    Published,
    /// 3×3 with stride 1 and no pool, for pictures of 32×32: ResNets and SENets have it.
    Small,
}

/// How a network is described.
#[derive(Debug)]
pub(crate) enum Build {
    /// In one way.
    As(fn() -> zoo_layers::Result<Graph>),
    ResNet(ResNet),
    SeNet(SeNet),
    Xception(Xception),
}

impl Build {
    /// The network as it is listed.
    pub(crate) fn graph(&self) -> zoo_layers::Result<Graph> {
        match self {
            Self::As(build) => build(),
            Self::ResNet(net) => net.graph(),
            Self::SeNet(net) => net.graph(),
            Self::Xception(net) => net.graph(),
        }
    }

    /// The network called `name` with another geometry.
    pub(crate) fn graph_with(&self, name: &str, geometry: Geometry) -> Result<Graph> {
        let Geometry { output_stride, stem } = geometry;
        let small = stem == Stem::Small;
        let refuse = |option, families| Err(Error::Geometry { model: name.into(), option, families });
        Ok(match self {
            Self::As(_) if output_stride.is_some() => {
                return refuse("output stride", "ResNet, SENet and Xception networks");
            }
            Self::As(_) | Self::Xception(_) if small => return refuse("stem", "ResNet and SENet networks"),
            Self::As(build) => build()?,
            Self::ResNet(net) => {
                let mut net = net.clone();
                net.output_stride = output_stride.unwrap_or(net.output_stride);
                if small {
                    (net.stem, net.input) = (zoo_resnet::Stem::Small, SMALL);
                }
                net.graph()?
            }
            Self::SeNet(net) => {
                let mut net = net.clone();
                net.output_stride = output_stride.unwrap_or(net.output_stride);
                if small {
                    (net.stem, net.input) = (zoo_senet::Stem::Small, SMALL);
                }
                net.graph()?
            }
            Self::Xception(net) => {
                let output_stride = output_stride.unwrap_or(net.output_stride);
                Xception { output_stride, ..net.clone() }.graph()?
            }
        })
    }
}
