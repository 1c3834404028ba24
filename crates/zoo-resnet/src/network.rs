//! Stem, stages, head.

use zoo_layers::{Conv2d, Graph, Linear, MaxPool2d, Node, Padding, Result, Scope};

use crate::{
    CifarResNet, ResNet, Stem, StemPool,
    block::{Recalibrate, Unit, cifar_unit, unit},
};

impl ResNet {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let [.., x] = self.backbone(net, picture, None)?;
            net.head(x, self.head, 0.0, Linear::new, "fc")
        })
    }

    /// Stem and stages within a network of one's own; returns each stage's map, the last
    /// `(n, 512 · expansion, h/32, w/32)`. `recalibrate` is applied to each residual.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn backbone(
        &self,
        net: &mut Scope<'_>,
        picture: Node,
        recalibrate: Option<Recalibrate<'_>>,
    ) -> Result<[Node; 4]> {
        let x = stem(net, picture, self.stem, StemPool::Padded)?;
        let plan =
            Stages { units: self.units, stem_stride: self.stem.stride(), output_stride: self.output_stride };
        stages(net, x, plan, recalibrate, |width| self.unit(width))
    }

    /// The unit of the stage with so many nominal channels, before any stride.
    pub const fn unit(&self, width: usize) -> Unit {
        Unit::plain(self.block, width, self.cardinality, self.width_per_group)
    }

    /// Channels of the last stage.
    pub const fn num_features(&self) -> usize {
        512 * self.block.expansion()
    }
}

/// The first reduction of the picture (conv1 and the pool of conv2_x in table 1), to `(n, 64, h/4, w/4)`, 128
/// channels from a deep stem, and the whole size from a small one, which has no pool.
///
/// # Errors
/// What does not fit, by node.
pub fn stem(net: &mut Scope<'_>, picture: Node, stem: Stem, pool: StemPool) -> Result<Node> {
    let x = match stem {
        Stem::Small => return net.conv_norm_act(picture, Conv2d::k3(64).kaiming(), "conv1", "bn1"),
        Stem::Imagenet => {
            net.conv_norm_act(picture, Conv2d::k7(64).kaiming().stride(2), "conv1", "bn1")? // (n, 64, 112, 112)
        }
        Stem::Deep => {
            // The numbers are places in a list of convolutions, norms and ReLUs; the last norm is outside.
            let mut deep = net.enter("conv1");
            let x = deep.conv_norm_act(picture, Conv2d::k3(64).kaiming().stride(2), 0, 1)?; // (n, 64, 112, 112)
            let x = deep.conv_norm_act(x, Conv2d::k3(64).kaiming(), 3, 4)?;
            let x = deep.conv(x, Conv2d::k3(128).kaiming().no_bias(), 6)?; // (n, 128, 112, 112)
            let x = net.norm(x, "bn1")?;
            net.relu(x)?
        }
    };
    let pool = match pool {
        StemPool::Padded => MaxPool2d::new(3, 2).padding(Padding::All(1)),
        StemPool::Ceil => MaxPool2d::new(3, 2).ceil_mode(),
    };
    net.max_pool(x, pool, "maxpool") // (n, 64 or 128, 56, 56)
}

/// How the four stages share out units and strides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stages {
    /// Units in each.
    pub units: [usize; 4],
    /// Picture pixels for one pixel of the map that enters.
    pub stem_stride: usize,
    /// Picture pixels for one pixel of the map that leaves: eight times `stem_stride`, or with strides traded
    /// for dilation four or two times. 32, every network's preset, trades nothing.
    pub output_stride: usize,
}

/// The four stages of a residual network (conv2_x to conv5_x in table 1), `layer1` to `layer4`: nominally 64,
/// 128, 256 and 512 channels, each stage but the first with a stride of 2 in its first unit. `unit_of` gives
/// a stage's unit by its nominal channels. Returns each stage's map.
///
/// # Errors
/// An output stride that can't be had; what else does not fit, by node.
pub fn stages(
    net: &mut Scope<'_>,
    mut x: Node,
    plan: Stages,
    recalibrate: Option<Recalibrate<'_>>,
    unit_of: impl Fn(usize) -> Unit,
) -> Result<[Node; 4]> {
    let strides = [2_usize, 4, 8].map(|factor| factor.saturating_mul(plan.stem_stride));
    if plan.output_stride != 32 && !strides.contains(&plan.output_stride) {
        let [low, middle, high] = strides;
        let reason = format!(
            "an output stride of {} can't be had; it can be {low}, {middle} or {high}",
            plan.output_stride
        );
        return Err(net.misfit("layer4", "stage", reason));
    }
    let mut maps = [x; 4];
    let mut reached = plan.stem_stride;
    let mut dilation = 1;
    for (stage, units) in plan.units.into_iter().enumerate() {
        let wanted = if stage == 0 { 1 } else { 2 };
        // A stride that is traded away: what lies behind it looks twice as far apart instead.
        let stride = if reached.saturating_mul(wanted) <= plan.output_stride { wanted } else { 1 };
        let behind = dilation * wanted / stride;
        let base = unit_of(64 << stage);
        let mut scope = net.enter(format!("layer{}", stage + 1));
        for index in 0..units {
            let options = match index {
                0 => Unit { stride, dilation: [dilation, behind], ..base },
                _ => Unit { dilation: [behind; 2], ..base },
            };
            x = unit(&mut scope.enter(index), x, options, recalibrate)?; // (n, width · expansion, …)
        }
        maps[stage] = x;
        reached = reached.saturating_mul(stride);
        dilation = behind;
    }
    Ok(maps)
}

impl CifarResNet {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let mut x = net.conv_norm_act(picture, Conv2d::k3(16).kaiming(), "conv1", "bn1")?; // (n, 16, 32, 32)
            for (stage, width) in [16, 32, 64].into_iter().enumerate() {
                let mut scope = net.enter(format!("layer{}", stage + 1));
                for index in 0..self.units {
                    let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                    x = cifar_unit(&mut scope.enter(index), x, width, stride, self.new_channels)?; // (n, width, 32 / 2^stage, …)
                }
            }
            net.head(x, self.head, 0.0, Linear::new, "fc")
        })
    }
}
