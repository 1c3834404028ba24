"""Writes small Keras files: `python make_keras.py FOLDER`. Made with keras 3.15.1 (torch backend), h5py 3.16.0."""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import keras
import numpy as np
from keras import layers
from safetensors.numpy import save_file

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
path = lambda name: os.path.join(folder, name)
rng = np.random.default_rng(0)

# Layers of every kind, under names that Keras' own networks have.
x = inputs = keras.Input((16, 16, 3))
x = layers.Conv2D(4, 3, use_bias=False, name="block1_conv1")(x)
x = layers.BatchNormalization(name="block1_conv1_bn")(x)
x = layers.SeparableConv2D(6, 3, use_bias=False, name="block2_sepconv1")(x)
x = layers.BatchNormalization(name="block2_sepconv1_bn")(x)
x = layers.Conv2D(6, 1, use_bias=False, name="conv2d_7")(x)
x = layers.BatchNormalization(name="batch_normalization_7")(x)
x = layers.SeparableConv2D(5, 3, use_bias=False, name="block3_sepconv2")(x)
x = layers.Conv2D(5, 1, use_bias=False, name="conv2d_12")(x)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dense(3, name="predictions")(x)
xception = keras.Model(inputs, x)

x = inputs = keras.Input((8, 8, 3))
x = layers.Conv2D(4, 3, use_bias=False, name="Conv1")(x)
x = layers.DepthwiseConv2D(3, use_bias=False, name="expanded_conv_depthwise")(x)
x = layers.Conv2D(5, 1, use_bias=False, name="block_1_expand")(x)
x = layers.BatchNormalization(name="block_1_expand_BN")(x)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dense(3, name="predictions")(x)
mobilenet = keras.Model(inputs, x)

for net in (xception, mobilenet):
    net.set_weights([rng.normal(size=w.shape).astype("float32") for w in net.get_weights()])

xception.save(path("xception.h5"))
xception.save_weights(path("xception.weights.h5"))
xception.save(path("xception.keras"))
mobilenet.save_weights(path("mobilenet.weights.h5"))

conv = lambda w: w.transpose(3, 2, 0, 1)
depthwise = lambda w: w.transpose(2, 3, 0, 1)
norm = lambda name, ws: dict(zip((f"{name}.{k}" for k in ("weight", "bias", "running_mean", "running_var")), ws))


def get(net, layer):
    return [np.asarray(w) for w in net.get_layer(layer).get_weights()]


def dense(name, ws):
    return {f"{name}.weight": ws[0].T, f"{name}.bias": ws[1]}


def separable(name, ws):
    return {f"{name}.conv1.weight": depthwise(ws[0]), f"{name}.pointwise.weight": conv(ws[1])}


def twin(name, tensors):
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, path(name))


twin(
    "xception.safetensors",
    {"conv1.weight": conv(get(xception, "block1_conv1")[0])}
    | norm("bn1", get(xception, "block1_conv1_bn"))
    | separable("block1.rep.0", get(xception, "block2_sepconv1"))
    | norm("block1.rep.1", get(xception, "block2_sepconv1_bn"))
    | {"block1.skip.weight": conv(get(xception, "conv2d_7")[0])}
    | norm("block1.skipbn", get(xception, "batch_normalization_7"))
    | separable("block2.rep.4", get(xception, "block3_sepconv2"))
    | {"block2.skip.weight": conv(get(xception, "conv2d_12")[0])}
    | dense("fc", get(xception, "predictions")),
)
twin(
    "mobilenet.safetensors",
    {"features.0.0.weight": conv(get(mobilenet, "Conv1")[0])}
    | {"features.1.conv.0.0.weight": depthwise(get(mobilenet, "expanded_conv_depthwise")[0])}
    | {"features.2.conv.0.0.weight": conv(get(mobilenet, "block_1_expand")[0])}
    | norm("features.2.conv.0.1", get(mobilenet, "block_1_expand_BN"))
    | dense("classifier.1", get(mobilenet, "predictions")),
)

# As Keras 1 and 2 wrote: texts of fixed length, names with the number of an output.
with h5py.File(path("old.h5"), "w") as file:
    kernel = rng.normal(size=(3, 3, 3, 64)).astype("float16")
    names = ["input_1", "block1_conv1"]
    file.attrs["layer_names"] = np.array([n.encode() for n in names])
    file.create_group("input_1").attrs["weight_names"] = np.array([], dtype="S1")
    group = file.create_group("block1_conv1")
    group.attrs["weight_names"] = np.array([b"block1_conv1_W_1:0", b"block1_conv1_b_1:0"])
    group["block1_conv1_W_1:0"] = kernel
    group["block1_conv1_b_1:0"] = np.arange(64, dtype="float64")
twin("old.safetensors", {"features.0.weight": conv(kernel), "features.0.bias": np.arange(64, dtype="float64")})

with h5py.File(path("chunked.h5"), "w") as file:
    file.attrs["layer_names"] = np.array([b"a"])
    group = file.create_group("a")
    group.attrs["weight_names"] = np.array([b"w"])
    group.create_dataset("w", data=np.zeros(100), compression="gzip")
with h5py.File(path("newer.h5"), "w", libver="latest") as file:
    file.create_group("a")
with h5py.File(path("plain.h5"), "w") as file:
    file["data"] = np.zeros(3)
