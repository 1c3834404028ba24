"""Checks `xception_keras` and `mobilenet_v2_keras` against Keras itself, on generated weights and sizes odd and even.

    python verify_keras.py          (needs keras; its PyTorch backend is used)

Prints one line a size and fails where the logits differ by more than 1e-5, relative.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import re
import sys

import keras
import torch
import torch.nn as nn

from make_goldens import fill, generated_input, relative_error
from restatements import mobilenet_v2_keras, xception_keras

TOLERANCE = 1e-5


def conv_kernel(conv):
    return conv.weight.detach().permute(2, 3, 1, 0).numpy()


def depthwise_kernel(conv):
    return conv.weight.detach().permute(2, 3, 0, 1).numpy()


def batch_norm(norm):
    return [t.detach().numpy() for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var)]


def dense(linear):
    return [linear.weight.detach().numpy().T, linear.bias.detach().numpy()]


def numbered(model, prefix):
    """Keras' automatically named layers (`conv2d`, `conv2d_1`, ...) in the order of their creation."""
    names = [layer.name for layer in model.layers if re.fullmatch(rf"{prefix}(_\d+)?", layer.name)]
    return sorted(names, key=lambda name: int((re.search(r"_(\d+)$", name) or [0, 0])[1]))


def xception_weights(net, model):
    weights = {"predictions": dense(net.fc)}

    def separable(name, conv, norm):
        weights[name] = [depthwise_kernel(conv.conv1), conv_kernel(conv.pointwise)]
        weights[f"{name}_bn"] = batch_norm(norm)

    for i in (1, 2):
        weights[f"block1_conv{i}"] = [conv_kernel(getattr(net, f"conv{i}"))]
        weights[f"block1_conv{i}_bn"] = batch_norm(getattr(net, f"bn{i}"))
        separable(f"block14_sepconv{i}", getattr(net, f"conv{i + 2}"), getattr(net, f"bn{i + 2}"))
    for i in range(1, 13):
        rep = [m for m in getattr(net, f"block{i}").rep if not isinstance(m, (nn.ReLU, nn.MaxPool2d))]
        for j in range(len(rep) // 2):
            separable(f"block{i + 1}_sepconv{j + 1}", rep[2 * j], rep[2 * j + 1])
    skips = [net.block1, net.block2, net.block3, net.block12]
    for block, conv, norm in zip(skips, numbered(model, "conv2d"), numbered(model, "batch_normalization"), strict=True):
        weights[conv] = [conv_kernel(block.skip)]
        weights[norm] = batch_norm(block.skipbn)
    return weights


def mobilenet_weights(net, model):
    weights = {
        "Conv1": [conv_kernel(net.features[0][0])],
        "bn_Conv1": batch_norm(net.features[0][1]),
        "Conv_1": [conv_kernel(net.features[18][0])],
        "Conv_1_bn": batch_norm(net.features[18][1]),
        "predictions": dense(net.classifier[1]),
    }
    for i in range(17):
        prefix = f"block_{i}_" if i else "expanded_conv_"
        convs = [m for m in net.features[i + 1].modules() if isinstance(m, nn.Conv2d)]
        norms = [m for m in net.features[i + 1].modules() if isinstance(m, nn.BatchNorm2d)]
        steps = ["expand", "depthwise", "project"][-len(convs):]
        for step, conv, norm in zip(steps, convs, norms, strict=True):
            weights[prefix + step] = [depthwise_kernel(conv) if step == "depthwise" else conv_kernel(conv)]
            weights[f"{prefix}{step}_BN"] = batch_norm(norm)
    return weights


def check(name, net, application, weights_of, sizes):
    fill(net, name)
    net.eval()
    worst = 0.0
    for h, w in sizes:
        keras.backend.clear_session()
        model = application(weights=None, input_shape=(h, w, 3), classifier_activation=None)
        weights = weights_of(net, model)
        with_weights = {layer.name for layer in model.layers if layer.weights}
        if with_weights != set(weights):
            sys.exit(f"{name}: layers without a counterpart: {sorted(with_weights ^ set(weights))}")
        for layer, values in weights.items():
            model.get_layer(layer).set_weights(values)
        x = generated_input("input", (1, 3, h, w))
        with torch.no_grad():
            theirs = model(x.permute(0, 2, 3, 1), training=False).detach().cpu()
            error = relative_error(net(x), theirs)
        print(f"{name} {h}x{w} against Keras {keras.__version__}: {error:.2e}", flush=True)
        worst = max(worst, error)
    return worst


def main():
    worst = max(
        check("xception_keras", xception_keras(), keras.applications.Xception, xception_weights,
              [(299, 299), (98, 131), (128, 100)]),
        check("mobilenet_v2_keras", mobilenet_v2_keras(), keras.applications.MobileNetV2, mobilenet_weights,
              [(224, 224), (97, 131), (130, 99)]),
    )
    if worst > TOLERANCE:
        sys.exit(f"off by {worst:.2e}, more than {TOLERANCE}")


if __name__ == "__main__":
    main()
