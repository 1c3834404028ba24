//! Weights that are inside the program.

/// The file of weights for an architecture, if it is compiled in.
pub(crate) fn weights(name: &str) -> Option<&'static [u8]> {
    match name {
        "digitnet" => Some(include_bytes!("../assets/digitnet.safetensors")),
        "lenet5" => Some(include_bytes!("../assets/lenet5.safetensors")),
        "fcn_digits" => Some(include_bytes!("../assets/fcn_digits.safetensors")),
        _ => None,
    }
}
