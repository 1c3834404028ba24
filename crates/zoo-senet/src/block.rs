//! Squeeze-and-excitation: a number for each channel, from all pixels, that says how much of it is wanted.

use zoo_layers::{Activation, AdaptiveAvgPool2d, Conv2d, Node, Result, Scope};

/// Scales each channel of the map `x` `(n, c, h, w)` by a number between 0 and 1 that is computed from all of
/// them: the mean of each channel (equation 2, "squeeze"), two layers with c / `reduction` channels between
/// them and a sigmoid (equation 3, "excitation"), and the product (equation 4). The layers are called `se.fc1`
/// and `se.fc2` and are 1×1 convolutions with bias. Any network's block can end with it.
///
/// # Errors
/// A reduction that leaves no channel; `x` is not a map.
pub fn squeeze_excite(net: &mut Scope<'_>, x: Node, reduction: usize) -> Result<Node> {
    squeeze_to(net, x, reduction, 0)
}

/// The same with at least so many squeezed channels.
pub(crate) fn squeeze_to(net: &mut Scope<'_>, x: Node, reduction: usize, least: usize) -> Result<Node> {
    let channels = net.shape(x).channels();
    let squeezed = match channels.checked_div(reduction) {
        Some(squeezed) if squeezed > 0 => squeezed.max(least),
        _ => 0,
    };
    let mut net = net.enter("se");
    if squeezed == 0 {
        let reason = format!(
            "a reduction by {reduction} leaves nothing of {channels} channels; it can be 1 to {channels}"
        );
        return Err(net.misfit("fc1", "Conv2d", reason));
    }
    let gate = net.add_unnamed(AdaptiveAvgPool2d::GLOBAL, &[x], "avgpool")?; // (n, c, 1, 1)
    let gate = net.conv(gate, Conv2d::k1(squeezed).kaiming(), "fc1")?; // (n, c / reduction, 1, 1)
    let gate = net.relu(gate)?;
    let gate = net.conv(gate, Conv2d::k1(channels).kaiming(), "fc2")?; // (n, c, 1, 1)
    let gate = net.activation(gate, Activation::Sigmoid)?;
    net.scale_channels(x, gate)
}
