//! The layers of Keras' networks in Keras' order, each with its class: Keras 3.0 to 3.3 wrote `conv2d_7` where later
//! versions name the layer too (Keras' own `model.layers`, which a file's `config.json` repeats).

const CONV: &str = "conv2d";
const DEPTHWISE: &str = "depthwise_conv2d";
const SEPARABLE: &str = "separable_conv2d";
const NORM: &str = "batch_normalization";

type Order = Vec<(&'static str, String)>;

/// Two convolutions, then blocks of separable ones. A shortcut's norm comes behind those beside it.
pub(super) fn xception() -> Order {
    let mut order = Vec::new();
    for conv in 1..=2 {
        order.push((CONV, format!("block1_conv{conv}")));
        order.push((NORM, format!("block1_conv{conv}_bn")));
    }
    let mut shortcuts = 0;
    for block in 2..=14 {
        let convs = if matches!(block, 5..=12) { 3 } else { 2 };
        for conv in 1..=convs {
            order.push((SEPARABLE, format!("block{block}_sepconv{conv}")));
            order.push((NORM, format!("block{block}_sepconv{conv}_bn")));
        }
        if matches!(block, 2..=4 | 13) {
            let number = if shortcuts == 0 { String::new() } else { format!("_{shortcuts}") };
            order.push((CONV, format!("conv2d{number}")));
            order.push((NORM, format!("batch_normalization{number}")));
            shortcuts += 1;
        }
    }
    order
}

/// One convolution, seventeen blocks, of which the first does not expand, and one convolution.
pub(super) fn mobilenet_v2() -> Order {
    let mut order = vec![(CONV, "Conv1".to_string()), (NORM, "bn_Conv1".to_string())];
    for block in 0..17 {
        let name = if block == 0 { "expanded_conv_".to_string() } else { format!("block_{block}_") };
        let parts = [(CONV, "expand"), (DEPTHWISE, "depthwise"), (CONV, "project")];
        for (class, part) in parts.into_iter().skip(usize::from(block == 0)) {
            order.push((class, format!("{name}{part}")));
            order.push((NORM, format!("{name}{part}_BN")));
        }
    }
    order.push((CONV, "Conv_1".into()));
    order.push((NORM, "Conv_1_bn".into()));
    order
}

/// Five blocks; sixteen convolutions are VGG-19's, fewer VGG-16's.
pub(super) fn vgg(convs: usize) -> Order {
    let blocks = if convs >= 16 { [2, 2, 4, 4, 4] } else { [2, 2, 3, 3, 3] };
    let numbered = (1..).zip(blocks);
    numbered
        .flat_map(|(block, convs)| (1..=convs).map(move |conv| (CONV, format!("block{block}_conv{conv}"))))
        .collect()
}
