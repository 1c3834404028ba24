"""Writes augment.txt: what torchvision makes of the pictures beside this file, as hashes of the pixels.

Made with Pillow 13.0.0, torchvision 0.29.2, torch 2.15.0. A line is
    FILE OPERATION ARGUMENT... WIDTH HEIGHT SHA256
or
    magnitude POLICY OPERATION WIDTH HEIGHT BIN BINS VALUE
"""

import hashlib
import pathlib

from PIL import Image
from torchvision.transforms import InterpolationMode, RandAugment, TrivialAugmentWide
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import _apply_op

HERE = pathlib.Path(__file__).parent
FILES = ["444.jpg", "grey.jpg", "ribbon.png", "grey-3x3.jpg"]
MODES = {"nearest": InterpolationMode.NEAREST, "bilinear": InterpolationMode.BILINEAR}
FILTERS = {
    "nearest": InterpolationMode.NEAREST,
    "box": InterpolationMode.BOX,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
    "lanczos": InterpolationMode.LANCZOS,
}
lines = []


def note(name, words, picture):
    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    words = " ".join(str(word) for word in words)
    lines.append(f"{name} {words} {picture.width} {picture.height} {digest}")


def fill(picture, value):
    return value if picture.mode == "L" else [value] * 3


for name in FILES:
    picture = Image.open(HERE / name)
    picture = picture.convert("L" if picture.mode == "L" else "RGB")
    width, height = picture.size
    note(name, ["mirror"], F.hflip(picture))
    note(name, ["upend"], F.vflip(picture))
    for filter, mode in FILTERS.items():
        for x, y, w, h in [(0, 0, width, height), (width // 3, height // 4, max(width // 2, 1), max(height // 3, 1))]:
            for size in [(17, 23), (64, 64), (w, h)]:
                cut = F.resized_crop(picture, y, x, h, w, [size[1], size[0]], mode)
                note(name, ["crop", filter, x, y, w, h], cut)
    for border, mode in [("black", "constant"), ("edge", "edge"), ("reflect", "reflect")]:
        for padding in [1, 2, 4]:
            # Pictures of 3x3 have no four pixels to mirror.
            if mode == "reflect" and padding >= min(width, height):
                continue
            padded = F.pad(picture, [padding], 0, mode)
            for x, y in [(0, 0), (2 * padding, padding), (1, 2 * padding)]:
                note(name, ["pad", border, padding, x, y], F.crop(padded, y, x, height, width))
    for mode in MODES:
        for angle, shift, scale, shear, value in [
            (0.0, (0, 0), 1.0, (0.0, 0.0), 0),
            (0.0, (3, -2), 1.0, (0.0, 0.0), 7),
            (0.0, (0, 0), 0.7, (0.0, 0.0), 0),
            (0.0, (1, 1), 1.3, (0.0, 0.0), 255),
            (33.0, (0, 0), 1.0, (0.0, 0.0), 128),
            (-12.5, (4, 5), 1.21, (0.0, 0.0), 0),
            (90.0, (0, 0), 1.0, (0.0, 0.0), 9),
            (10.0, (-3, 2), 0.9, (17.0, -8.0), 1),
            (0.0, (0, 0), 1.0, (25.0, 0.0), 0),
        ]:
            out = F.affine(picture, angle, list(shift), scale, list(shear), MODES[mode], fill(picture, value))
            note(name, ["affine", mode, angle, *shift, scale, *shear, value], out)
        for angle in [0.0, 15.0, -30.0, 90.0, 180.0, 270.0, 135.0, 359.5, 400.0]:
            note(name, ["rotate", mode, angle, 40], F.rotate(picture, angle, MODES[mode], fill=fill(picture, 40)))
    for factor in [0.0, 0.3, 0.77, 1.0, 1.1, 1.9, 3.0]:
        note(name, ["brightness", factor], F.adjust_brightness(picture, factor))
        note(name, ["contrast", factor], F.adjust_contrast(picture, factor))
        note(name, ["saturation", factor], F.adjust_saturation(picture, factor))
        note(name, ["sharpness", factor], F.adjust_sharpness(picture, factor))
    for share in [-0.5, -0.2, -0.003, 0.0, 0.01, 0.1, 0.33, 0.5]:
        note(name, ["hue", share], F.adjust_hue(picture, share))
    for bits in range(1, 9):
        note(name, ["posterize", bits], F.posterize(picture, bits))
    for threshold in [0.0, 17.5, 128.0, 255.0]:
        note(name, ["solarize", threshold], F.solarize(picture, threshold))
    note(name, ["autocontrast"], F.autocontrast(picture))
    note(name, ["equalize"], F.equalize(picture))

    spaces = {
        "rand": RandAugment()._augmentation_space(31, (height, width)),
        "trivial": TrivialAugmentWide()._augmentation_space(31),
    }
    for policy, space in spaces.items():
        for operation, (magnitudes, signed) in space.items():
            bins = [0, 1, 9, 15, 16, 30] if magnitudes.ndim else [0]
            for bin in bins:
                magnitude = float(magnitudes[bin] if magnitudes.ndim else 0.0)
                if name != "grey-3x3.jpg":
                    lines.append(f"magnitude {policy} {operation} {width} {height} {bin} 31 {magnitude!r}")
                for sign in [1, -1] if signed else [1]:
                    if bin not in (0, 9, 30):
                        continue
                    out = _apply_op(picture, operation, sign * magnitude, InterpolationMode.NEAREST, None)
                    note(name, ["operation", operation, repr(sign * magnitude)], out)

(HERE / "augment.txt").write_text("\n".join(lines) + "\n")
