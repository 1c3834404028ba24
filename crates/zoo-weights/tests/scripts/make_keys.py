"""Writes names and shapes of state dicts: `python make_keys.py FOLDER`.

torch 2.15.0, torchvision 0.29.2, timm 1.0.31, segmentation-models-pytorch 0.6.0, pretrainedmodels 0.7.4,
keras 3.15.1 (torch backend). No weights are fetched.
"""

import gzip
import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras
import pretrainedmodels
import segmentation_models_pytorch as smp
import timm
import torchvision

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)


def write(name, rows):
    text = "".join(f"{key} {','.join(map(str, shape))}\n" for key, shape in rows)
    with open(os.path.join(folder, name + ".txt.gz"), "wb") as file:
        file.write(gzip.compress(text.encode(), mtime=0))


def torch_net(name, net):
    write(name, ((k, v.shape) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")))


tv = torchvision.models
for name in ["alexnet", "vgg16", "vgg19", "mobilenet_v2"]:
    torch_net(f"torchvision-{name}", getattr(tv, name)(weights=None))
torch_net("torchvision-resnet18", tv.resnet18(weights=None))
torch_net("torchvision-vgg11_bn", tv.vgg11_bn(weights=None))
names = "vgg16 mobilenetv2_100 seresnet50 senet154 legacy_seresnet50 legacy_senet154 legacy_xception"
for name in names.split():
    torch_net(f"timm-{name}", timm.create_model(name, pretrained=False))
for name in ["se_resnet50", "senet154", "xception"]:
    torch_net(f"cadene-{name}", getattr(pretrainedmodels, name)(pretrained=None))
for name in ["se_resnet50", "senet154", "xception", "resnet18", "vgg11_bn", "mobilenet_v2"]:
    torch_net(f"smp-{name}", smp.encoders.get_encoder(name, weights=None))
for name in ["Xception", "MobileNetV2", "VGG16", "VGG19"]:
    net = getattr(keras.applications, name)(weights=None)
    rows = ((w.path, w.shape) for layer in net.layers for w in layer.weights)
    write(f"keras-{name}", rows)
