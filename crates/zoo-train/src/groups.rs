//! Which parameters a step moves, and by how much.

use zoo_layers::{Frozen, Graph, Op, Param, is_within};

use crate::{Recipe, Result, optim::Group};

/// The units of a network, from the picture to its answer: what is thawed or slowed down together. Each is a stage's
/// residual unit, an inception block, a layer with parameters and the norm behind it.
pub fn units(graph: &Graph) -> Vec<String> {
    let mut units: Vec<String> = Vec::new();
    for layer in graph.layers().iter().filter(|layer| !layer.params.is_empty()) {
        let unit = unit(&layer.name);
        if !units.iter().any(|known| known == unit) {
            units.push(unit.into());
        }
    }
    units
}

/// The unit of a layer: its name's first word, and the second if that is a number (`layer1.0`, `features.3`).
fn unit(layer: &str) -> &str {
    let mut dots = layer.match_indices('.').map(|(place, _)| place);
    let Some(first) = dots.next() else { return layer };
    let end = dots.next().unwrap_or(layer.len());
    match layer[first + 1..end].parse::<usize>() {
        Ok(_) => &layer[..end],
        Err(_) => &layer[..first],
    }
}

/// The parameters of the layer that tells the classes apart, by the layer's name.
pub fn head(graph: &Graph) -> Option<String> {
    let answering = graph.ancestors([graph.main_output().node]);
    let mut layers = graph.nodes().rev().filter(|(node, _)| answering.contains(*node));
    layers.find(|(_, layer)| !layer.params.is_empty()).map(|(_, layer)| layer.name.clone())
}

/// The layers whose parameters depend on how many classes there are, auxiliary heads' too: what is new where a network learns
/// other classes. A fully convolutional network has several.
pub fn class_layers(graph: &Graph) -> Vec<String> {
    let classes = graph.get(graph.main_output().node).output.channels();
    let Ok(other) = graph.with_num_classes(classes + 1) else { return head(graph).into_iter().collect() };
    let pairs = graph.layers().iter().zip(other.layers());
    let differ = |(own, other): &(&zoo_layers::Layer, &zoo_layers::Layer)| {
        own.params.iter().zip(&other.params).any(|(own, other)| own.shape != other.shape)
    };
    pairs.filter(differ).map(|(own, _)| own.name.clone()).collect()
}

/// How a recipe treats each parameter of a network.
pub(crate) struct Groups {
    units: Vec<String>,
    head: Option<String>,
    head_rate: f64,
    layer_decay: f64,
    decay_all: bool,
}

impl Groups {
    pub(crate) fn new(graph: &Graph, recipe: &Recipe) -> Self {
        let &Recipe { head_rate, layer_decay, decay_all, .. } = recipe;
        Self { units: units(graph), head: head(graph), head_rate, layer_decay, decay_all }
    }

    pub(crate) fn of(&self, param: &Param) -> Group {
        let layer = param.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        let is_head = self.head.as_deref() == Some(layer);
        let above = match self.units.iter().position(|known| known == unit(layer)) {
            Some(place) if !is_head => self.units.len() - 1 - place,
            _ => 0,
        };
        let rate = self.layer_decay.powi(i32::try_from(above).unwrap_or(i32::MAX));
        let rate = if is_head { rate * self.head_rate } else { rate };
        Group { rate, decays: self.decay_all || param.shape.len() > 1 }
    }
}

/// What does not learn: the parameters in the `frozen` scopes with the norms there, and all norms' statistics where the
/// recipe says so.
pub fn frozen(graph: &Graph, frozen: &[String], norms: bool) -> Result<Frozen> {
    let all = graph.layers().iter().filter(|layer| matches!(layer.op, Op::BatchNorm2d(_)));
    let still: Vec<&str> =
        all.map(|layer| layer.name.as_str()).filter(|layer| norms || is_in(layer, frozen)).collect();
    Ok(Frozen::nothing().params(graph, frozen)?.statistics(graph, &still)?)
}

/// The first norm that goes by its batch's statistics while the rest learns.
pub(crate) fn live_norm<'g>(graph: &'g Graph, frozen: &[String], norms: bool) -> Option<&'g str> {
    let mut all = graph.layers().iter().filter(|layer| matches!(layer.op, Op::BatchNorm2d(_)));
    all.find(|layer| !norms && !is_in(&layer.name, frozen)).map(|layer| layer.name.as_str())
}

/// Whether a layer is one of these scopes, or in one.
fn is_in(layer: &str, scopes: &[String]) -> bool {
    scopes.iter().any(|scope| is_within(layer, scope))
}

#[cfg(test)]
mod tests {
    use zoo_layers::{Conv2d, ConvTranspose2d, Graph, Shape};

    use super::{class_layers, unit};

    #[test]
    fn layers_of_classes_are_all_that_make_scores() {
        let graph = Graph::build("scores", Shape::map(1, 8, 8), |net, picture| {
            let fine = net.conv(picture, Conv2d::k3(4), "conv1")?;
            let coarse = net.conv(fine, Conv2d::k3(4).stride(2), "conv2")?;
            let coarse = net.conv(coarse, Conv2d::k1(3), "coarse")?;
            let coarse = net.conv_transpose(coarse, ConvTranspose2d::new(3, 4, 2).no_bias(), "larger")?;
            let fine = net.conv(fine, Conv2d::k1(3), "fine")?;
            let coarse = net.crop_like(coarse, fine, 1)?;
            let scores = net.add(coarse, fine)?;
            net.output("logits", scores)
        });
        assert_eq!(class_layers(&graph.unwrap()), ["coarse", "larger", "fine"]);
    }

    #[test]
    fn units_are_stages_units_and_numbered_layers() {
        for (layer, expected) in [
            ("layer1.0.conv1", "layer1.0"),
            ("features.3", "features.3"),
            ("conv1", "conv1"),
            ("block3.rep.0.pointwise", "block3"),
            ("inception4a.branch1.conv", "inception4a"),
        ] {
            assert_eq!(unit(layer), expected);
        }
    }
}
