"""Every network of the goldens by the project's own name: how it is built, and what its tensors are called."""

import re
from functools import partial

import timm
import torchvision
from timm.layers import SEModule
from torchvision.models.segmentation import fcn_resnet50, fcn_resnet101

import pytorch_fcn
import restatements

TORCHVISION = """alexnet vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn googlenet inception_v3
    resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d resnext101_64x4d
    wide_resnet50_2 wide_resnet101_2 mobilenet_v2 mobilenet_v2_035 mobilenet_v2_050 mobilenet_v2_075 mobilenet_v2_140
    fcn_resnet50 fcn_resnet101""".split()
TIMM = """seresnet18 seresnet34 seresnet50 seresnet101 seresnet152 seresnext50_32x4d seresnext101_32x4d senet154
    legacy_seresnet18 legacy_seresnet34 legacy_seresnet50 legacy_seresnet101 legacy_seresnet152
    legacy_seresnext50_32x4d legacy_seresnext101_32x4d legacy_senet154 xception""".split()
RESTATED = """lenet5 resnet20_cifar resnet32_cifar resnet44_cifar resnet56_cifar resnet110_cifar resnet50_v1
    alexnet_paper googlenet_paper xception_keras mobilenet_v2_keras fcn32s fcn16s fcn8s fcn8s_atonce""".split()

AUXILIARY = ("aux1.", "aux2.", "AuxLogits.", "aux_classifier.")


def build(name, transform_input=False):
    """The network with its auxiliary heads and whatever weights its package draws."""
    match name.split("_"):
        case ["googlenet"] | ["inception", "v3"]:
            make = getattr(torchvision.models, name)
            return make(aux_logits=True, init_weights=False, transform_input=transform_input)
        case ["fcn", "resnet50" | "resnet101"]:
            make = {"fcn_resnet50": fcn_resnet50, "fcn_resnet101": fcn_resnet101}[name]
            return make(weights_backbone=None, aux_loss=True)
        case ["mobilenet", "v2", width] if width.isdigit():
            return torchvision.models.mobilenet_v2(width_mult=int(width) / 100)
        case [resnet, "cifar"]:
            return restatements.CifarResNet(int(resnet.removeprefix("resnet")))
        case ["seresnet18" | "seresnet34"]:
            # timm rounds the squeezed width up to a multiple of 8; the paper's is plain C/16.
            return timm.create_model(name, block_args=dict(attn_layer=partial(SEModule, rd_divisor=1)))
        case ["xception"]:
            return timm.create_model("legacy_xception")
    own = {
        "lenet5": restatements.LeNet5,
        "resnet50_v1": restatements.resnet50_v1,
        "alexnet_paper": restatements.AlexNetPaper,
        "googlenet_paper": restatements.GoogLeNetPaper,
        "xception_keras": restatements.xception_keras,
        "mobilenet_v2_keras": restatements.mobilenet_v2_keras,
        "fcn32s": pytorch_fcn.Fcn32s,
        "fcn16s": pytorch_fcn.Fcn16s,
        "fcn8s": pytorch_fcn.Fcn8s,
        "fcn8s_atonce": pytorch_fcn.Fcn8sAtOnce,
    }
    if name in own:
        return own[name]()
    if name in TIMM:
        return timm.create_model(name)
    return getattr(torchvision.models, name)()


DEEP_STEM = {"conv1": "conv1.0", "bn1": "conv1.1", "conv2": "conv1.3", "bn2": "conv1.4", "conv3": "conv1.6", "bn3": "bn1"}


def tensor_name(model, published):
    """The project's name of a published tensor: the published one, but the legacy SENets go by the modern names."""
    if not model.startswith("legacy_se"):
        return published
    name = published.replace(".se_module.", ".se.").replace("last_linear.", "fc.")
    stem = re.fullmatch(r"layer0\.(\w+)\.(\w+)", name)
    if stem:
        layer, tensor = stem.groups()
        name = f"{DEEP_STEM[layer] if 'senet154' in model else layer}.{tensor}"
    return name


def nominal_input(name):
    """(c, h, w) of the published input."""
    if name == "lenet5":
        return 1, 28, 28
    size = 224
    for prefix, nominal in [("inception_v3", 299), ("xception", 299), ("fcn_", 520), ("alexnet_paper", 227)]:
        if name.startswith(prefix):
            size = nominal
    if name.endswith("_cifar"):
        size = 32
    if name in ("fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce"):
        size = 500
    return 3, size, size
