//! The list of architectures: the only one. Everything else about a network is read from its graph.

use zoo_layers::{Graph, Result};
use zoo_resnet::{CifarResNet, ResNet};
use zoo_senet::SeNet;
use zoo_vgg::Vgg;
use zoo_xception::Xception;

use crate::{Options, build::Build};

/// The paper a family of networks comes from.
#[derive(Debug)]
pub struct Family {
    /// `ResNet`.
    pub name: &'static str,
    /// Year of the first version.
    pub year: u16,
    /// First authors.
    pub authors: &'static str,
    /// The paper's title.
    pub title: &'static str,
    /// Where it is.
    pub link: &'static str,
    /// What it introduced, in a sentence.
    pub idea: &'static str,
}

/// An accuracy that somebody published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// What was counted.
    pub metric: Metric,
    /// In percent.
    pub percent: f64,
    /// Of what, and by whom.
    pub source: &'static str,
}

/// What an accuracy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Pictures whose likeliest class is right.
    Top1,
    /// Pictures whose class is among the five likeliest.
    Top5,
    /// Mean over the classes of intersection over union, in pixels.
    MeanIou,
}

/// One variant of an architecture.
#[derive(Debug)]
pub struct Architecture {
    /// What it is called everywhere: `resnet50`.
    pub name: &'static str,
    /// Its paper.
    pub family: &'static Family,
    /// Published accuracy, if any.
    pub accuracy: Option<Accuracy>,
    build: Build,
}

impl Architecture {
    /// The network as a graph.
    ///
    /// # Errors
    /// None: a test builds every one.
    pub fn graph(&self) -> Result<Graph> {
        self.build.graph()
    }

    /// The network with these options.
    ///
    /// # Errors
    /// An option that this network does not have, or a value that it can't have.
    pub fn graph_for(&self, options: &Options) -> crate::Result<Graph> {
        self.build.graph_for(self.name, options)
    }

    /// What comes of these wishes over what a file says: pictures that are too small for an auxiliary head and for nothing else
    /// are for the network without one.
    pub(crate) fn asked(&self, wishes: &Options, base: &Options) -> Options {
        let options = wishes.over(base);
        let fits = |options: &Options| self.graph_for(options).is_ok();
        if options.input_size.is_none() || options.no_auxiliary || fits(&options) {
            return options;
        }
        // Where the rest wants larger ones too, it says how large.
        let without = Options { no_auxiliary: true, ..options.clone() };
        if fits(&Options { input_size: None, ..without.clone() }) { without } else { options }
    }

    /// What stays unsaid by the names and shapes of weights, for these options.
    pub(crate) fn assumed(&self, options: &Options) -> Vec<String> {
        self.build.assumed(self.name, options)
    }

    /// The published top-1 accuracy in percent, if any.
    pub fn top1(&self) -> Option<f64> {
        self.accuracy.filter(|accuracy| accuracy.metric == Metric::Top1).map(|accuracy| accuracy.percent)
    }
}

const LENET: Family = Family {
    name: "LeNet",
    year: 1998,
    authors: "LeCun, Bottou, Bengio, Haffner",
    title: "Gradient-Based Learning Applied to Document Recognition",
    link: "https://doi.org/10.1109/5.726791",
    idea: "shared weights, local fields and subsampling, learned end to end",
};

const ALEXNET: Family = Family {
    name: "AlexNet",
    year: 2012,
    authors: "Krizhevsky, Sutskever, Hinton",
    title: "ImageNet Classification with Deep Convolutional Neural Networks",
    link: "https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
    idea: "ReLUs, dropout and two GPUs: features learned from pixels beat designed ones",
};

const VGG: Family = Family {
    name: "VGG",
    year: 2014,
    authors: "Simonyan, Zisserman",
    title: "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    link: "https://arxiv.org/abs/1409.1556",
    idea: "depth from 3x3 convolutions alone",
};

const GOOGLENET: Family = Family {
    name: "GoogLeNet",
    year: 2014,
    authors: "Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich",
    title: "Going Deeper with Convolutions",
    link: "https://arxiv.org/abs/1409.4842",
    idea: "windows of several sizes side by side, cheap 1x1 convolutions in front",
};

const INCEPTION: Family = Family {
    name: "Inception",
    year: 2015,
    authors: "Szegedy, Vanhoucke, Ioffe, Shlens, Wojna",
    title: "Rethinking the Inception Architecture for Computer Vision",
    link: "https://arxiv.org/abs/1512.00567",
    idea: "large windows taken apart into small ones, rows and columns",
};

const RESNET: Family = Family {
    name: "ResNet",
    year: 2015,
    authors: "He, Zhang, Ren, Sun",
    title: "Deep Residual Learning for Image Recognition",
    link: "https://arxiv.org/abs/1512.03385",
    idea: "shortcuts: a unit learns what to add to its input",
};

const WIDE_RESNET: Family = Family {
    name: "Wide ResNet",
    year: 2016,
    authors: "Zagoruyko, Komodakis",
    title: "Wide Residual Networks",
    link: "https://arxiv.org/abs/1605.07146",
    idea: "wider residual units instead of more of them",
};

const RESNEXT: Family = Family {
    name: "ResNeXt",
    year: 2016,
    authors: "Xie, Girshick, Dollár, Tu, He",
    title: "Aggregated Residual Transformations for Deep Neural Networks",
    link: "https://arxiv.org/abs/1611.05431",
    idea: "many narrow groups in a residual unit: cardinality",
};

const FCN: Family = Family {
    name: "FCN",
    year: 2014,
    authors: "Long, Shelhamer, Darrell",
    title: "Fully Convolutional Networks for Semantic Segmentation",
    link: "https://arxiv.org/abs/1411.4038",
    idea: "a classifier laid over the picture, made large again: a class for every pixel",
};

const XCEPTION: Family = Family {
    name: "Xception",
    year: 2016,
    authors: "Chollet",
    title: "Xception: Deep Learning with Depthwise Separable Convolutions",
    link: "https://arxiv.org/abs/1610.02357",
    idea: "pixels and channels convolved separately, all the way",
};

const SENET: Family = Family {
    name: "SENet",
    year: 2017,
    authors: "Hu, Shen, Albanie, Sun, Wu",
    title: "Squeeze-and-Excitation Networks",
    link: "https://arxiv.org/abs/1709.01507",
    idea: "each channel scaled by what the whole picture says of it",
};

const MOBILENET: Family = Family {
    name: "MobileNetV2",
    year: 2018,
    authors: "Sandler, Howard, Zhu, Zhmoginov, Chen",
    title: "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    link: "https://arxiv.org/abs/1801.04381",
    idea: "residual units that are wide inside and narrow where they are carried",
};

const EXAMPLE: Family = Family {
    name: "Example",
    year: 2026,
    authors: "this project",
    title: "A network of one's own",
    link: "https://docs.rs/zoo",
    idea: "three convolutions whose memory one can work out by hand",
};

const TORCHVISION: &str = "ImageNet, torchvision IMAGENET1K_V1";
const TORCHVISION_COCO: &str = "COCO val2017 with VOC labels, torchvision COCO_WITH_VOC_LABELS_V1";
const PYTORCH_FCN: &str = "VOC 2011, the authors' Caffe models as pytorch-fcn quotes them";
const TIMM: &str = "ImageNet, timm results-imagenet.csv";
const KERAS: &str = "ImageNet, keras.applications";
const BUNDLED: &str = "MNIST, the 1,000 test digits inside the program";
const BUNDLED_SCENES: &str = "500 test scenes of MNIST's digits";
const PAPER_CIFAR: &str = "CIFAR-10, He et al. 2015, table 6";

const fn line(
    name: &'static str,
    family: &'static Family,
    build: fn() -> Result<Graph>,
    accuracy: Option<Accuracy>,
) -> Architecture {
    Architecture { name, family, accuracy, build: Build::As(build) }
}

const fn resnet(family: &'static Family, net: ResNet, accuracy: Option<Accuracy>) -> Architecture {
    Architecture { name: net.name, family, accuracy, build: Build::ResNet(net) }
}

const fn cifar(net: CifarResNet, accuracy: Option<Accuracy>) -> Architecture {
    Architecture { name: net.name, family: &RESNET, accuracy, build: Build::Cifar(net) }
}

const fn vgg(net: Vgg, accuracy: Option<Accuracy>) -> Architecture {
    Architecture { name: net.name, family: &VGG, accuracy, build: Build::Vgg(net) }
}

const fn senet(family: &'static Family, net: SeNet, accuracy: Option<Accuracy>) -> Architecture {
    Architecture { name: net.name, family, accuracy, build: Build::SeNet(net) }
}

const fn xception(family: &'static Family, net: Xception, accuracy: Option<Accuracy>) -> Architecture {
    Architecture { name: net.name, family, accuracy, build: Build::Xception(net) }
}

const fn top1(percent: f64, source: &'static str) -> Option<Accuracy> {
    Some(Accuracy { metric: Metric::Top1, percent, source })
}

const fn top5(percent: f64, source: &'static str) -> Option<Accuracy> {
    Some(Accuracy { metric: Metric::Top5, percent, source })
}

const fn mean_iou(percent: f64, source: &'static str) -> Option<Accuracy> {
    Some(Accuracy { metric: Metric::MeanIou, percent, source })
}

/// All architectures, by year, then as their papers order them.
#[rustfmt::skip]
pub static ARCHITECTURES: &[Architecture] = &[
    line("lenet5", &LENET, zoo_lenet::lenet5, top1(99.0, BUNDLED)),
    line("lenet5_paper", &LENET, zoo_lenet::lenet5_paper, top1(99.05, "MNIST, LeCun et al. 1998, section III.B")),
    line("mnist_convnet", &LENET, zoo_lenet::mnist_convnet, None),
    line("digitnet", &LENET, zoo_lenet::digitnet, top1(99.2, BUNDLED)),
    line("alexnet", &ALEXNET, zoo_alexnet::alexnet, top1(56.522, TORCHVISION)),
    line("alexnet_paper", &ALEXNET, zoo_alexnet::alexnet_paper, top1(59.3, "ImageNet, Krizhevsky et al. 2012, table 2")),
    vgg(Vgg::VGG11, top1(69.020, TORCHVISION)),
    vgg(Vgg::VGG13, top1(69.928, TORCHVISION)),
    vgg(Vgg::VGG16, top1(71.592, TORCHVISION)),
    vgg(Vgg::VGG19, top1(72.376, TORCHVISION)),
    vgg(Vgg::VGG11_BN, top1(70.370, TORCHVISION)),
    vgg(Vgg::VGG13_BN, top1(71.586, TORCHVISION)),
    vgg(Vgg::VGG16_BN, top1(73.360, TORCHVISION)),
    vgg(Vgg::VGG19_BN, top1(74.218, TORCHVISION)),
    line("googlenet", &GOOGLENET, zoo_googlenet::googlenet, top1(69.778, TORCHVISION)),
    line("googlenet_paper", &GOOGLENET, zoo_googlenet::googlenet_paper, top5(89.93, "ImageNet, Szegedy et al. 2014, table 3, one network and crop")),
    line("fcn32s", &FCN, zoo_fcn::fcn32s, mean_iou(63.63, PYTORCH_FCN)),
    line("fcn16s", &FCN, zoo_fcn::fcn16s, mean_iou(65.01, PYTORCH_FCN)),
    line("fcn8s", &FCN, zoo_fcn::fcn8s, mean_iou(65.51, PYTORCH_FCN)),
    line("fcn8s_atonce", &FCN, zoo_fcn::fcn8s_atonce, mean_iou(65.40, PYTORCH_FCN)),
    line("fcn_resnet50", &FCN, zoo_fcn::fcn_resnet50, mean_iou(60.5, TORCHVISION_COCO)),
    line("fcn_resnet101", &FCN, zoo_fcn::fcn_resnet101, mean_iou(63.7, TORCHVISION_COCO)),
    line("fcn32s_small", &FCN, zoo_fcn::fcn32s_small, None),
    line("fcn16s_small", &FCN, zoo_fcn::fcn16s_small, None),
    line("fcn8s_small", &FCN, zoo_fcn::fcn8s_small, None),
    line("fcn_digits", &FCN, zoo_fcn::fcn_digits, mean_iou(89.6, BUNDLED_SCENES)),
    line("inception_v3", &INCEPTION, zoo_inception::inception_v3, top1(77.294, TORCHVISION)),
    resnet(&RESNET, ResNet::RESNET18, top1(69.758, TORCHVISION)),
    resnet(&RESNET, ResNet::RESNET34, top1(73.314, TORCHVISION)),
    resnet(&RESNET, ResNet::RESNET50, top1(76.130, TORCHVISION)),
    resnet(&RESNET, ResNet::RESNET50_V1, top1(75.3, "ImageNet, KaimingHe/deep-residual-networks, one crop")),
    resnet(&RESNET, ResNet::RESNET101, top1(77.374, TORCHVISION)),
    resnet(&RESNET, ResNet::RESNET152, top1(78.312, TORCHVISION)),
    cifar(CifarResNet::RESNET20, top1(91.25, PAPER_CIFAR)),
    cifar(CifarResNet::RESNET32, top1(92.49, PAPER_CIFAR)),
    cifar(CifarResNet::RESNET44, top1(92.83, PAPER_CIFAR)),
    cifar(CifarResNet::RESNET56, top1(93.03, PAPER_CIFAR)),
    cifar(CifarResNet::RESNET110, top1(93.57, PAPER_CIFAR)),
    resnet(&WIDE_RESNET, ResNet::WIDE_RESNET50_2, top1(78.468, TORCHVISION)),
    resnet(&WIDE_RESNET, ResNet::WIDE_RESNET101_2, top1(78.848, TORCHVISION)),
    resnet(&RESNEXT, ResNet::RESNEXT50_32X4D, top1(77.618, TORCHVISION)),
    resnet(&RESNEXT, ResNet::RESNEXT101_32X8D, top1(79.312, TORCHVISION)),
    resnet(&RESNEXT, ResNet::RESNEXT101_64X4D, top1(83.246, TORCHVISION)),
    xception(&XCEPTION, Xception::XCEPTION, top1(79.058, TIMM)),
    xception(&XCEPTION, Xception::XCEPTION_KERAS, top1(79.0, KERAS)),
    senet(&SENET, SeNet::SERESNET18, None),
    senet(&SENET, SeNet::SERESNET34, None),
    senet(&SENET, SeNet::SERESNET50, top1(80.012, TIMM)),
    senet(&SENET, SeNet::SERESNET101, None),
    senet(&SENET, SeNet::SERESNET152, None),
    senet(&SENET, SeNet::SERESNEXT50_32X4D, top1(81.268, TIMM)),
    senet(&SENET, SeNet::SERESNEXT101_32X4D, top1(80.886, TIMM)),
    senet(&SENET, SeNet::SENET154, top1(81.258, TIMM)),
    senet(&SENET, SeNet::LEGACY_SERESNET18, top1(71.742, TIMM)),
    senet(&SENET, SeNet::LEGACY_SERESNET34, top1(74.788, TIMM)),
    senet(&SENET, SeNet::LEGACY_SERESNET50, top1(77.650, TIMM)),
    senet(&SENET, SeNet::LEGACY_SERESNET101, top1(78.370, TIMM)),
    senet(&SENET, SeNet::LEGACY_SERESNET152, top1(78.662, TIMM)),
    senet(&SENET, SeNet::LEGACY_SERESNEXT50_32X4D, top1(79.080, TIMM)),
    senet(&SENET, SeNet::LEGACY_SERESNEXT101_32X4D, top1(80.274, TIMM)),
    senet(&SENET, SeNet::LEGACY_SENET154, top1(81.320, TIMM)),
    line("mobilenet_v2", &MOBILENET, zoo_mobilenet::mobilenet_v2, top1(71.878, TORCHVISION)),
    line("mobilenet_v2_035", &MOBILENET, zoo_mobilenet::mobilenet_v2_035, None),
    line("mobilenet_v2_050", &MOBILENET, zoo_mobilenet::mobilenet_v2_050, top1(65.928, TIMM)),
    line("mobilenet_v2_075", &MOBILENET, zoo_mobilenet::mobilenet_v2_075, None),
    line("mobilenet_v2_140", &MOBILENET, zoo_mobilenet::mobilenet_v2_140, top1(76.528, TIMM)),
    line("mobilenet_v2_keras", &MOBILENET, zoo_mobilenet::mobilenet_v2_keras, top1(71.3, KERAS)),
    line("three_convs", &EXAMPLE, crate::three_convs, None),
];
