//! A network of one's own in a few lines, small enough to work its memory out by hand.

use zoo_layers::{Conv2d, Graph, Padding, Result, Shape};

/// Three 3×3 convolutions with stride 2 and "same" padding, of 100, 200 and 400 maps, on 200×300 colour pictures:
/// 903,400 parameters.
///
/// # Errors
/// None.
pub fn three_convs() -> Result<Graph> {
    Graph::build("three_convs", Shape::map(3, 200, 300), |net, picture| {
        let conv = |maps| Conv2d::k3(maps).stride(2).padding(Padding::Same);
        let x = net.conv(picture, conv(100), "conv1")?; // (n, 100, 100, 150)
        let x = net.conv(x, conv(200), "conv2")?; // (n, 200, 50, 75)
        let x = net.conv(x, conv(400), "conv3")?; // (n, 400, 25, 38)
        net.output("maps", x)
    })
}
