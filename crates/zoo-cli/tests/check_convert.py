"""Converts what the packages themselves save, and compares what the result computes with what the package computes.

    python check_convert.py PATH/TO/zoo

Needs torch, torchvision, timm, pretrainedmodels, segmentation-models-pytorch, keras, h5py and safetensors. The weights are
drawn, and batch norm gets statistics that are not trivial. Prints one line a case: the largest difference of the outputs,
relative to the largest output. Fails where it is more than 1e-5, or where a file that must be refused is taken.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import pretrainedmodels
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from safetensors.numpy import load_file
from safetensors.torch import save_file

TOLERANCE = 1e-5
failures = []


def zoo(*arguments):
    return subprocess.run([sys.argv[1], *map(str, arguments)], capture_output=True, text=True)


def report(case, good, what):
    print(f"{'ok  ' if good else 'FAIL'} {case}: {what}", flush=True)
    if not good:
        failures.append(case)


def computed(case, model, folder, picture, expected, *options):
    """What the program makes of a picture, against what is expected."""
    np.save(folder / "x.npy", picture.numpy())
    run = zoo("features", model, folder / "x.npy", "-o", folder / "f.safetensors", *options)
    if run.returncode:
        return report(case, False, run.stderr.strip())
    (ours,) = load_file(folder / "f.safetensors").values()
    expected = expected.detach().cpu().numpy()
    error = np.abs(ours.reshape(expected.shape) - expected).max() / np.abs(expected).max()
    report(case, error < TOLERANCE, f"{error:.1e}")


def converted(case, file, model, folder, picture, expected):
    out = folder / "out.safetensors"
    out.unlink(missing_ok=True)
    run = zoo("convert", file, out, "--model", model)
    if run.returncode:
        return report(case, False, run.stderr.strip())
    computed(case, out, folder, picture, expected, "--at", "logits")


def stirred(net):
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return net.eval()


@torch.no_grad()
def pytorch(case, net, model, folder, size=224, half=False, older=False):
    stirred(net)
    if half:
        net.half().float()
    state = {k: v.half() if half and v.is_floating_point() else v for k, v in net.state_dict().items()}
    torch.save(state, folder / "net.pth", _use_new_zipfile_serialization=not older)
    picture = torch.randn(1, 3, size, size)
    converted(case, folder / "net.pth", model, folder, picture, net(picture))


@torch.no_grad()
def encoder(name, model, folder):
    """An encoder has no classifier: refused as a whole, and loaded for its features."""
    net = stirred(smp.encoders.get_encoder(name, weights=None))
    file = folder / "encoder.safetensors"
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, file)
    run = zoo("convert", file, folder / "out.safetensors", "--model", model)
    report(f"smp {name} without a classifier", run.returncode == 1 and "2 missing" in run.stderr, run.stderr.split("\n")[0])
    picture = torch.randn(1, 3, 256, 256)
    expected = net(picture)[-1].mean((2, 3))
    computed(f"smp {name}", model, folder, picture, expected, "--weights", file)


@torch.no_grad()
def of_keras(application, model, folder, size, endings):
    net = application(weights=None, classifier_activation=None)
    draw = np.random.default_rng(0)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            scales = [draw.uniform(0.5, 1.5, w.shape) if i in (0, 3) else draw.normal(0, 0.1, w.shape)
                      for i, w in enumerate(layer.get_weights())]
            layer.set_weights(scales)
    picture = torch.randn(1, 3, size, size)
    expected = net(picture.permute(0, 2, 3, 1), training=False)
    for ending in endings:
        file = folder / f"net{ending}"
        (net.save_weights if "weights" in ending else net.save)(file)
        converted(f"Keras {net.name} {ending}", file, model, folder, picture, expected)
        file.unlink()
    keras.backend.clear_session()


def refused(application, model, folder):
    application(weights=None).save(folder / "net.h5")
    run = zoo("convert", folder / "net.h5", folder / "out.safetensors", "--model", model)
    report(f"Keras {application.__name__} as {model}", run.returncode == 1 and "is refused" in run.stderr, run.stderr.strip())
    keras.backend.clear_session()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.manual_seed(0)
    models, cadene, apps = torchvision.models, pretrainedmodels, keras.applications
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        pytorch("torchvision resnet18", models.resnet18(), "resnet18", folder)
        pytorch("torchvision resnet18, older format", models.resnet18(), "resnet18", folder, older=True)
        pytorch("torchvision resnet18, 7 classes", models.resnet18(num_classes=7), "resnet18", folder)
        for name, model, options in [
            ("legacy_seresnet50", "legacy_seresnet50", {"older": True}),
            ("legacy_senet154", "legacy_senet154", {"half": True}),
            ("seresnet50", "seresnet50", {}),
            ("mobilenetv2_100", "mobilenet_v2", {}),
            ("vgg16", "vgg16", {"half": True}),
            ("legacy_xception", "xception", {"size": 299}),
        ]:
            pytorch(f"timm {name}", timm.create_model(name), model, folder, **options)
        pytorch("Cadene se_resnet50", cadene.se_resnet50(pretrained=None), "legacy_seresnet50", folder)
        pytorch("Cadene senet154", cadene.senet154(pretrained=None), "legacy_senet154", folder, half=True)
        pytorch("Cadene xception", cadene.xception(pretrained=None), "xception", folder, size=299)
        # segmentation-models-pytorch pads its Xception otherwise; its names are Cadene's.
        for name, model in [("se_resnet50", "legacy_seresnet50"), ("resnet18", "resnet18"), ("mobilenet_v2", "mobilenet_v2")]:
            encoder(name, model, folder)
        all_kinds = [".h5", ".keras", ".weights.h5"]
        of_keras(apps.Xception, "xception_keras", folder, 299, all_kinds)
        of_keras(apps.MobileNetV2, "mobilenet_v2_keras", folder, 224, all_kinds)
        of_keras(apps.VGG16, "vgg16", folder, 224, [".h5"])
        for application, model in [(apps.ResNet50, "resnet50"), (apps.InceptionV3, "inception_v3"), (apps.Xception, "xception")]:
            refused(application, model, folder)
    if failures:
        sys.exit(f"{len(failures)} failed: {', '.join(failures)}")


if __name__ == "__main__":
    main()
