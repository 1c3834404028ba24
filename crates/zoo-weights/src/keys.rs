//! Key maps: from the names in a published file to the architecture's.

use serde::Deserialize;

/// A map of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyMap {
    /// The file has the architecture's own names, as torchvision's have.
    #[default]
    Identity,
    /// Cadene's SE-ResNets and SENet-154: timm's legacy files and those of segmentation-models-pytorch.
    CadeneSenet,
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
