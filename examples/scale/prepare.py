"""What a file of `zoo export` says must be done to a picture, done with Pillow and NumPy.

The steps are those of `zoo predict`: upright as the camera wrote it, transparent parts on white, the shorter side scaled
with antialiasing, the middle cut out, then (value - mean) / std. A digit of 28x28 is taken as it is.
"""

import json

import numpy as np
from PIL import Image, ImageOps


def describe(session):
    """The names of the classes and the steps, from the metadata of an ONNX Runtime session."""
    metadata = session.get_modelmeta().custom_metadata_map
    return json.loads(metadata["classes"]), json.loads(metadata["preprocessing"])


def prepared(path, steps):
    """A picture's values (channels, height, width)."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
        image.load()
    if "mean" in steps and not isinstance(steps["mean"], list):
        return digit(image, steps)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = on_white(image.convert("RGBA"))
    image = image.convert("RGB")
    if steps.get("resize"):
        image = image.resize(scaled(image.size, steps["resize"]), FILTERS[steps["interpolation"]])
    if steps.get("crop"):
        image = middle(image, *steps["input"][1:])
    values = np.asarray(image, np.float32) / np.float32(255 / steps.get("scale", 1.0))
    values = (values - np.float32(steps["mean"])) / np.float32(steps["std"])
    if steps.get("channels") == "bgr":
        values = values[:, :, ::-1]
    return np.ascontiguousarray(values.transpose(2, 0, 1))


FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def digit(image, steps):
    """A digit of MNIST, in its frame of paper."""
    if image.size != (28, 28):
        raise ValueError(f"a digit of 28x28 is wanted, not of {image.size}; `zoo predict` finds others first")
    values = np.asarray(image.convert("L"), np.float64) / 255
    values = (np.pad(values, steps.get("padding", 0)) - steps["mean"]) / steps["std"]
    return values[None].astype(np.float32)


def on_white(image):
    """A transparent picture on white."""
    pixels = np.asarray(image).astype(np.uint32)
    alpha = pixels[:, :, 3:]
    return Image.fromarray(((pixels[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8))


def scaled(size, side):
    """The size whose shorter side is `side`, the longer in proportion, rounded down."""
    width, height = size
    return (side, side * height // width) if width <= height else (side * width // height, side)


def middle(image, height, width):
    """The middle of a picture; a smaller one gets a black border first."""
    if image.width < width or image.height < height:
        image = ImageOps.pad(image, (max(width, image.width), max(height, image.height)))
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
