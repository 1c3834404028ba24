//! What Keras' description of a model tells of it beside its weights: layers that have none, and compute.

use serde_json::Value;

/// The key of the metadata for the activation behind the last layer.
pub(crate) const ACTIVATION: &str = "activation";

/// The key of the metadata for what the head takes of each map: `max` where it is the largest value, and not the mean.
pub(crate) const POOLING: &str = "pooling";

/// The key of the metadata for what the model itself does to pictures of 0 to 255: a factor and what is added then.
pub(crate) const RESCALING: &str = "rescaling";

/// Operations on a model's input whose numbers the description has among its calls' arguments.
const ARITHMETIC: [&str; 5] = ["TrueDivide", "Divide", "Multiply", "Subtract", "Lambda"];

/// What a description tells, as keys of metadata with their values; nothing if it is none.
pub(crate) fn told(config: &[u8]) -> Vec<(String, String)> {
    // serde_json bounds the depth.
    let Ok(config) = serde_json::from_slice::<Value>(config) else { return Vec::new() };
    let mut layers = Vec::new();
    gather(&config, &mut layers);
    let is = |layer: &Value, class: &str| layer["class_name"] == class;
    let most = layers.iter().any(|layer| is(layer, "GlobalMaxPooling2D") || is(layer, "GlobalMaxPool2D"));
    let others = layers.iter().any(|layer| ARITHMETIC.iter().any(|class| is(layer, class)));
    let mut scales = layers.iter().filter(|layer| is(layer, "Rescaling"));
    let rescaling = match (scales.next(), scales.next()) {
        (Some(one), None) if !others => {
            let (scale, offset) = (one["config"]["scale"].as_f64(), one["config"]["offset"].as_f64());
            scale.zip(offset).map(|(scale, offset)| format!("{scale} {offset}"))
        }
        _ => None,
    };
    let said = [
        (ACTIVATION, activation(&config)),
        (POOLING, most.then(|| "max".to_string())),
        (RESCALING, rescaling),
    ];
    said.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect()
}

/// The layers of a model and of those inside it.
fn gather<'a>(model: &'a Value, layers: &mut Vec<&'a Value>) {
    for layer in model["config"]["layers"].as_array().into_iter().flatten() {
        layers.push(layer);
        gather(layer, layers);
    }
}

/// The activation behind a model's last layer.
fn activation(config: &Value) -> Option<String> {
    // An inner model may be the last layer.
    let mut last = config;
    while let Some(layer) = last["config"]["layers"].as_array().and_then(|layers| layers.last()) {
        last = layer;
    }
    match last["class_name"].as_str()? {
        "Softmax" => Some("softmax".into()),
        _ => last["config"]["activation"].as_str().map(str::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn layers_without_weights_are_told_of_wherever_they_stand() {
        let said = |layers: &str| {
            let config = format!(r#"{{"class_name": "Functional", "config": {{"layers": [{layers}]}}}}"#);
            let said = told(config.as_bytes());
            said.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("; ")
        };
        let layer =
            |class: &str, config: &str| format!(r#"{{"class_name": "{class}", "config": {{{config}}}}}"#);
        let dense = layer("Dense", r#""activation": "sigmoid""#);
        let half = layer("Rescaling", r#""scale": 0.5, "offset": -1"#);
        let most = layer("GlobalMaxPooling2D", "");
        let inner = layer("Functional", &format!(r#""layers": [{half}, {most}]"#));
        assert_eq!(said(&dense), "activation=sigmoid");
        assert_eq!(said(&[half.clone(), dense.clone()].join(",")), "activation=sigmoid; rescaling=0.5 -1");
        assert_eq!(said(&[inner, dense].join(",")), "activation=sigmoid; pooling=max; rescaling=0.5 -1");
        // Where more is done to a picture, one step alone is not what is done.
        for more in [half.clone(), layer("TrueDivide", "")] {
            assert_eq!(said(&[half.clone(), more].join(",")), "");
        }
        assert_eq!(said(&layer("Rescaling", r#""scale": [1, 2, 3], "offset": 0"#)), "");
        assert!(told(b"{").is_empty() && told(b"[]").is_empty());
    }
}
