"""Writes small Keras files as transfer learning leaves them: `python make_keras_nested.py FOLDER NAME`.

NAME stands for the version: `3_0` was made with keras 3.0.5, `3_3` with 3.3.3, `3_15` with 3.15.1, each with the jax
backend 0.10.2 and h5py 3.16.0. The layers are the first of MobileNetV2, under its names; the head has Keras' own.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras import layers

folder, version = sys.argv[1:]
path = lambda name: os.path.join(folder, name)


def body(x):
    x = layers.Conv2D(4, 3, use_bias=False, name="Conv1")(x)
    x = layers.BatchNormalization(name="bn_Conv1")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="expanded_conv_depthwise")(x)
    x = layers.BatchNormalization(name="expanded_conv_depthwise_BN")(x)
    x = layers.Conv2D(5, 1, use_bias=False, name="expanded_conv_project")(x)
    return layers.BatchNormalization(name="expanded_conv_project_BN")(x)


def filled(net):
    """The same values for a layer wherever it stands."""
    for layer in net.layers:
        if hasattr(layer, "layers"):
            filled(layer)
            continue
        rng = np.random.default_rng(sum(layer.name.encode()) if "dense" not in layer.name else 1)
        layer.set_weights([rng.normal(size=w.shape).astype("float32") for w in layer.get_weights()])
    return net


def head(x):
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(3, activation="softmax")(x)


inputs = keras.Input((8, 8, 3))
flat = filled(keras.Model(inputs, head(body(inputs))))
keras.backend.clear_session()
inner = keras.Input((8, 8, 3))
base = keras.Model(inner, body(inner), name="base")
outer = keras.Input((8, 8, 3))
nested = filled(keras.Model(outer, head(layers.Dropout(0.2)(base(outer)))))
for name, net in (("flat", flat), ("nested", nested)):
    net.save_weights(path(f"{name}-{version}.weights.h5"))
    net.save(path(f"{name}-{version}.keras"))
    # Keras 3.0 itself fails where two layers of an inner model have weights of one name.
    if version != "3_0":
        net.save(path(f"{name}-{version}.h5"))
if version == "3_15":
    # A head of two layers, trained: the optimizer's state is in the archive too.
    keras.backend.clear_session()
    inner = keras.Input((8, 8, 3))
    base = keras.Model(inner, body(inner), name="base")
    deep = filled(keras.Sequential([keras.Input((8, 8, 3)), base, layers.GlobalAveragePooling2D(),
                                    layers.Dense(2, activation="relu"), layers.Dense(1, activation="sigmoid")]))
    deep.compile("adam", "binary_crossentropy")
    deep.fit(np.zeros((2, 8, 8, 3)), np.zeros((2, 1)), verbose=0)
    deep.save(path("deep-3_15.keras"))

    import h5py  # noqa: F401
    from safetensors.numpy import save_file

    conv = lambda w: w.transpose(3, 2, 0, 1)
    get = lambda layer: [np.asarray(w) for w in flat.get_layer(layer).get_weights()]
    norm = lambda name, layer: dict(
        zip((f"{name}.{k}" for k in ("weight", "bias", "running_mean", "running_var")), get(layer)))
    dense = get([layer.name for layer in flat.layers if "dense" in layer.name][0])
    twin = (
        {"features.0.0.weight": conv(get("Conv1")[0])}
        | norm("features.0.1", "bn_Conv1")
        | {"features.1.conv.0.0.weight": get("expanded_conv_depthwise")[0].transpose(2, 3, 0, 1)}
        | norm("features.1.conv.0.1", "expanded_conv_depthwise_BN")
        | {"features.1.conv.1.weight": conv(get("expanded_conv_project")[0])}
        | norm("features.1.conv.2", "expanded_conv_project_BN")
        | {"classifier.1.weight": dense[0].T, "classifier.1.bias": dense[1]}
    )
    save_file({k: np.ascontiguousarray(v) for k, v in twin.items()}, path("nested.safetensors"))
