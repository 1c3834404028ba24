//! The tables: what stands in a published name, and what stands there in the architecture's.
//!
//! A row that begins with `^` replaces the beginning of a name, and is the last that is tried; any other
//! replaces its text wherever it stands.

type Rows = &'static [(&'static str, &'static str)];

pub(super) const CADENE_SENET: Rows = &[(".se_module.", ".se."), ("^layer0.", ""), ("^last_linear.", "fc.")];

pub(super) const CADENE_SENET154: Rows = &[
    (".se_module.", ".se."),
    ("^layer0.conv1.", "conv1.0."),
    ("^layer0.bn1.", "conv1.1."),
    ("^layer0.conv2.", "conv1.3."),
    ("^layer0.bn2.", "conv1.4."),
    ("^layer0.conv3.", "conv1.6."),
    ("^layer0.bn3.", "bn1."),
    ("^last_linear.", "fc."),
];

pub(super) const CADENE_XCEPTION: Rows = &[("^last_linear.", "fc.")];

pub(super) const TIMM_VGG: Rows = &[
    ("^pre_logits.fc1.", "classifier.0."),
    ("^pre_logits.fc2.", "classifier.3."),
    ("^head.fc.", "classifier.6."),
];

pub(super) const LUCID_ALEXNET: Rows =
    &[("^fc6.", "classifier.1."), ("^fc7.", "classifier.4."), ("^classifier.", "classifier.6.")];

pub(super) const LUCID_VGG: Rows =
    &[("^fc6.", "classifier.0."), ("^fc7.", "classifier.3."), ("^classifier.", "classifier.6.")];

pub(super) const LUCID_GOOGLENET: Rows = &[("^classifier.", "fc.")];

pub(super) const LUCID_RESNET: Rows =
    &[("^stem.0.", "conv1."), ("^stem.1.", "bn1."), ("^classifier.", "fc.")];

pub(super) const LUCID_MOBILENET_V2: Rows = &[("^classifier.", "classifier.1.")];

pub(super) const LUCID_FCN: Rows =
    &[("^backbone.stem.0.", "backbone.conv1."), ("^backbone.stem.1.", "backbone.bn1.")];

/// Renames by the rows.
pub(super) fn rename(name: &str, rows: Rows) -> String {
    let mut name = name.to_string();
    for (from, to) in rows {
        match from.strip_prefix('^') {
            None => name = name.replace(from, to),
            Some(start) => {
                if let Some(rest) = name.strip_prefix(start) {
                    return format!("{to}{rest}");
                }
            }
        }
    }
    name
}

/// The first block of each stage of MobileNetV2, counted as torchvision counts `features`.
const STAGE_STARTS: [usize; 7] = [1, 2, 4, 7, 11, 14, 17];

/// The layers of timm's first block, which does not expand, and torchvision's names for them.
const FIRST_BLOCK: [(&str, &str); 4] =
    [("conv_dw.", "conv.0.0."), ("bn1.", "conv.0.1."), ("conv_pw.", "conv.1."), ("bn2.", "conv.2.")];

/// The layers of the others.
const BLOCK: [(&str, &str); 6] = [
    ("conv_pw.", "conv.0.0."),
    ("bn1.", "conv.0.1."),
    ("conv_dw.", "conv.1.0."),
    ("bn2.", "conv.1.1."),
    ("conv_pwl.", "conv.2."),
    ("bn3.", "conv.3."),
];

const ENDS: Rows = &[
    ("^conv_stem.", "features.0.0."),
    ("^bn1.", "features.0.1."),
    ("^conv_head.", "features.18.0."),
    ("^bn2.", "features.18.1."),
    ("^classifier.", "classifier.1."),
];

/// timm counts blocks within stages (`blocks.2.1.conv_dw`), torchvision all in one row (`features.5.conv.1.0`).
pub(super) fn timm_mobilenet_v2(name: &str) -> String {
    let block = || {
        let (stage, rest) = name.strip_prefix("blocks.")?.split_once('.')?;
        let (block, rest) = rest.split_once('.')?;
        let feature = STAGE_STARTS.get(stage.parse::<usize>().ok()?)?.checked_add(block.parse().ok()?)?;
        let layers = if feature == 1 { &FIRST_BLOCK[..] } else { &BLOCK };
        let (layer, rest) = layers.iter().find_map(|(from, to)| Some((to, rest.strip_prefix(from)?)))?;
        Some(format!("features.{feature}.{layer}{rest}"))
    };
    block().unwrap_or_else(|| rename(name, ENDS))
}
