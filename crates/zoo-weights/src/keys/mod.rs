//! Key maps: from the names in a published file to the architecture's.

mod keras;
mod keras_order;
mod tables;

use serde::Deserialize;

use crate::error::Fault;
use crate::file::{Data, Entry};
use crate::{Error, Format, Result, TensorFile};

/// A map of names, and of the order of values where the file has another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyMap {
    /// The file has the architecture's own names, as torchvision's have.
    #[default]
    Identity,
    /// Cadene's SE-ResNets: timm's legacy files and those of segmentation-models-pytorch.
    CadeneSenet,
    /// Cadene's SENet-154, whose stem has three convolutions.
    CadeneSenet154,
    /// Cadene's Xception, and segmentation-models-pytorch's.
    CadeneXception,
    /// timm's VGG, whose dense layers are convolutions.
    TimmVgg,
    /// timm's MobileNetV2.
    TimmMobilenetV2,
    /// lucid's AlexNet.
    LucidAlexnet,
    /// lucid's VGG.
    LucidVgg,
    /// lucid's GoogLeNet.
    LucidGooglenet,
    /// lucid's ResNet.
    LucidResnet,
    /// lucid's MobileNetV2.
    LucidMobilenetV2,
    /// lucid's FCN.
    LucidFcn,
    /// Keras' Xception.
    KerasXception,
    /// Keras' MobileNetV2.
    KerasMobilenetV2,
    /// Keras' VGG.
    KerasVgg,
}

impl KeyMap {
    /// The map for a file that is not in the manifest, told from the architecture and from the file itself.
    ///
    /// # Errors
    /// [`Error::Refused`] for a file whose tensors would fit the architecture and compute something else:
    /// legacy SENets in the modern geometry, Keras' networks where they differ from the others of their name.
    pub fn detect(model: &str, file: &TensorFile) -> Result<Self> {
        let refused = |why: String| Error::Refused { path: file.path().to_path_buf(), why };
        if matches!(file.format(), Format::Keras) {
            return keras::map_for(model).map_err(refused);
        }
        let map = Self::of_names(file.shapes().map(|(name, _)| name));
        if matches!(map, Self::CadeneSenet | Self::CadeneSenet154) && !model.starts_with("legacy_") {
            return Err(refused(format!(
                "its names are those of the original SENets, which have the stride in the first 1x1 convolution \
                 of a block: in {model} its numbers would fit and compute something else; load it into \
                 legacy_{model}"
            )));
        }
        Ok(map)
    }

    /// The map for names that are the architecture's or another's, and not Keras'.
    pub fn of_names<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        const SIGNS: [(&str, KeyMap); 5] = [
            ("layer0.conv2.", KeyMap::CadeneSenet154),
            ("layer0.", KeyMap::CadeneSenet),
            ("pre_logits.fc1.", KeyMap::TimmVgg),
            ("conv_stem.", KeyMap::TimmMobilenetV2),
            ("last_linear.", KeyMap::CadeneXception),
        ];
        let mut seen = [false; SIGNS.len()];
        for name in names {
            for (seen, (start, _)) in seen.iter_mut().zip(SIGNS) {
                *seen |= name.starts_with(start);
            }
        }
        let first = SIGNS.into_iter().zip(seen).find(|(_, seen)| *seen);
        first.map_or(Self::Identity, |((_, map), _)| map)
    }

    /// The architecture's name for a name of the file; of Keras' files, whose names are told from the whole, the same.
    pub fn rename(self, name: &str) -> String {
        match self {
            Self::Identity | Self::KerasXception | Self::KerasMobilenetV2 | Self::KerasVgg => name.into(),
            Self::TimmVgg => tables::rename(name, tables::TIMM_VGG),
            Self::TimmMobilenetV2 => tables::timm_mobilenet_v2(name),
            Self::CadeneSenet => tables::rename(name, tables::CADENE_SENET),
            Self::CadeneSenet154 => tables::rename(name, tables::CADENE_SENET154),
            Self::CadeneXception => tables::rename(name, tables::CADENE_XCEPTION),
            Self::LucidAlexnet => tables::rename(name, tables::LUCID_ALEXNET),
            Self::LucidVgg => tables::rename(name, tables::LUCID_VGG),
            Self::LucidGooglenet => tables::rename(name, tables::LUCID_GOOGLENET),
            Self::LucidResnet => tables::rename(name, tables::LUCID_RESNET),
            Self::LucidMobilenetV2 => tables::rename(name, tables::LUCID_MOBILENET_V2),
            Self::LucidFcn => tables::rename(name, tables::LUCID_FCN),
        }
    }

    /// Maps all entries of a file. Behind what is not the mean of each map (`is_mean`), a head of Keras is none of ours.
    pub(crate) fn apply(self, entries: &mut [Entry], is_mean: bool) -> std::result::Result<(), Fault> {
        match self {
            Self::KerasXception => keras::apply(entries, keras::XCEPTION, is_mean),
            Self::KerasMobilenetV2 => keras::apply(entries, keras::MOBILENET_V2, is_mean),
            Self::KerasVgg => keras::apply(entries, keras::VGG, is_mean),
            _ => {
                for entry in entries {
                    entry.name = self.rename(&entry.name);
                    if self == Self::TimmVgg {
                        flatten_dense(entry);
                    }
                }
                Ok(())
            }
        }
    }
}

/// A convolution over the whole of its input is a dense layer: the same numbers in the same order.
fn flatten_dense(entry: &mut Entry) {
    if entry.name.starts_with("classifier.")
        && let &[out, channels, height, width] = entry.shape.as_slice()
        && let Some(inputs) = channels.checked_mul(height).and_then(|area| area.checked_mul(width))
    {
        entry.shape = vec![out, inputs];
    }
}

/// Reorders the axes of a tensor that lies in the file row by row; the values are gathered when asked for.
fn permute(entry: &mut Entry, shape: &[usize], order: &[usize]) -> std::result::Result<(), Fault> {
    let wrong =
        || Fault::malformed(format!("`{}` has the shape {:?}", entry.name.escape_debug(), entry.shape));
    let Data::InFile(range) = &entry.data else { return Err(wrong()) };
    let count = |shape: &[usize]| shape.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim));
    if shape.len() != order.len() || count(shape) != count(&entry.shape) {
        return Err(wrong());
    }
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        // Only where another axis is empty is this beyond the range, and then no step is taken.
        strides[axis - 1] = usize::saturating_mul(strides[axis], shape[axis]);
    }
    let pick = |values: &[usize]| order.iter().map(|&axis| values[axis]).collect::<Vec<_>>();
    let first = range.start;
    entry.shape = pick(shape);
    if !range.is_empty() {
        entry.data = Data::Strided { first, shape: pick(shape), strides: pick(&strides) };
    }
    Ok(())
}

#[cfg(test)]
mod tests;
