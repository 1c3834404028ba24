//! Options that fit and options that don't.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use zoo_layers::Shape;
use zoo_xception::{Head, Xception, xception, xception_keras};

fn output(network: Xception) -> Shape {
    let graph = network.graph().unwrap();
    graph.get(graph.main_output().node).output
}

#[test]
fn heads_are_classes_features_or_a_map() {
    let base = Xception::XCEPTION;
    assert_eq!(output(Xception { head: Head::Classes(7), ..base.clone() }), Shape::vector(7));
    assert_eq!(output(Xception { head: Head::Pooled, ..base.clone() }), Shape::vector(2048));
    assert_eq!(output(Xception { head: Head::None, ..base }), Shape::map(2048, 10, 10));
}

#[test]
fn strides_are_traded_for_dilation_and_names_stay() {
    for base in [Xception::XCEPTION, Xception::XCEPTION_KERAS] {
        let size =
            |output_stride| output(Xception { head: Head::None, output_stride, ..base.clone() }).size();
        assert_eq!([32, 16, 8].map(size), [[10, 10], [19, 19], [37, 37]]);
        let names = |output_stride| -> Vec<String> {
            let graph = Xception { output_stride, ..base.clone() }.graph().unwrap();
            graph.params().map(|param| format!("{} {:?}", param.name, param.shape)).collect()
        };
        assert_eq!(names(8), names(32));
    }
}

#[test]
fn pools_are_padded_as_the_variant_says() {
    let [torch, keras] = [xception().unwrap(), xception_keras().unwrap()];
    let at =
        |graph: &zoo_layers::Graph| graph.at_size(71, 80).unwrap().layer("block12.rep.6").unwrap().output;
    assert_eq!(at(&torch), at(&keras));
}

#[test]
fn what_does_not_fit_is_said_with_the_node() {
    let message = |network: Xception| network.graph().unwrap_err().to_string();
    let zero = message(Xception { head: Head::Classes(0), ..Xception::XCEPTION });
    assert!(zero.starts_with("`fc`") && zero.contains("at least 1 class"), "{zero}");
    let stride = message(Xception { output_stride: 4, ..Xception::XCEPTION });
    assert!(stride.starts_with("`block12`") && stride.contains("8, 16 or 32"), "{stride}");
    let small = xception().unwrap().at_size(4, 30).unwrap_err().to_string();
    assert!(small.starts_with("`conv2`") && small.contains("3x3") && small.contains("1x14"), "{small}");
}
