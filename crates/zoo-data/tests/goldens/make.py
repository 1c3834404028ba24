"""Makes the hard pictures beside this file, and what Pillow and torchvision make of them and of the photographs.

    pip install pillow==13.0.0 torchvision==0.29.2 numpy
    python crates/zoo-data/tests/goldens/make.py

`expected.txt` has a line for each case: what is done, to which file, the size and the SHA-256 of the result
(RGB bytes; for `input`, little-endian float32 in channel, row, column order).
"""

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode

HERE = Path(__file__).parent
PHOTOS = HERE.parents[3] / "assets" / "photos"
FILTERS = {"nearest": 0, "box": 4, "bilinear": 2, "bicubic": 3, "lanczos": 1}
SIXTEEN_BIT = {}
lines = []


def png16(name, values):
    """Pillow writes no 16-bit colour, so a PNG of one zlib stream is written by hand."""
    height, width, channels = values.shape
    rows = values.astype(">u2").reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    chunk = lambda tag, body: struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
    (HERE / name).write_bytes(png)
    eight = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    SIXTEEN_BIT[name] = Image.fromarray(eight.squeeze(2) if channels == 1 else eight)


def make_pictures():
    random = np.random.default_rng(0)
    ramp = np.stack(np.meshgrid(np.arange(61) * 4, np.arange(47) * 5), 2)
    rgb = np.concatenate([ramp, random.integers(0, 256, (47, 61, 1))], 2).astype(np.uint8)
    alpha = (np.add.outer(np.arange(47), np.arange(61)) * 255 // 106).astype(np.uint8)
    image = Image.fromarray(rgb)
    rgba = Image.fromarray(np.dstack([rgb, alpha]))
    crop = Image.open(PHOTOS / "chelsea.png").crop((100, 60, 237, 163))

    noise = lambda height, width: Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
    noise(300, 1).save(HERE / "one-wide.png")
    noise(1, 400).save(HERE / "one-high.png")
    noise(2, 1500).save(HERE / "ribbon.png")
    noise(2, 2).save(HERE / "four-pixels.png")
    rgba.save(HERE / "alpha.png")
    rgba.convert("LA").save(HERE / "grey-alpha.png")
    image.convert("L").save(HERE / "grey.png")
    image.convert("1").save(HERE / "one-bit.png")
    image.quantize(13).save(HERE / "palette.png", bits=4)
    transparent = image.quantize(50)
    transparent.save(HERE / "palette-alpha.png", transparency=bytes(range(0, 250, 5)))
    transparent.save(HERE / "palette.gif", transparency=3)
    image.save(HERE / "plain.bmp")
    image.save(HERE / "plain.ppm")
    image.save(HERE / "lzw.tif", compression="tiff_lzw")
    rgba.save(HERE / "lossless.webp", lossless=True, exact=True)
    frames = [image.quantize(8), image.transpose(Image.Transpose.ROTATE_180).quantize(8)]
    frames[0].save(HERE / "animation.gif", save_all=True, append_images=frames[1:])
    for name, channels in {"grey16": 1, "grey-alpha16": 2, "rgb16": 3, "rgba16": 4}.items():
        png16(f"{name}.png", random.integers(0, 65536, (19, 23, channels)))

    for name, how in {
        "420": dict(quality=85, subsampling=2),
        "422-progressive": dict(quality=60, subsampling=1, progressive=True),
        "444": dict(quality=95, subsampling=0),
        "420-progressive": dict(quality=40, subsampling=2, progressive=True),
        "restarts": dict(quality=75, subsampling=2, restart_marker_blocks=3),
        "rgb": dict(quality=75, keep_rgb=True),
    }.items():
        crop.save(HERE / f"{name}.jpg", **how)
    crop.convert("L").save(HERE / "grey.jpg", quality=80)
    crop.convert("CMYK").save(HERE / "cmyk.jpg", quality=80)
    arrow = crop.resize((24, 17))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        arrow.save(HERE / f"exif-{orientation}.jpg", quality=70, exif=exif)
    arrow.save(HERE / "exif-6.png", exif=(exif := Image.Exif(), exif.__setitem__(0x0112, 6))[0])
    arrow.save(HERE / "exif-5.tif", exif=(exif := Image.Exif(), exif.__setitem__(0x0112, 5))[0])


def read(path):
    """RGB or grey, upright and on white."""
    image = SIXTEEN_BIT.get(path.name) or ImageOps.exif_transpose(Image.open(path))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def expect(what, path, width, height, data):
    lines.append(f"{what} {path.name} {width} {height} {hashlib.sha256(data).hexdigest()}")


def expect_picture(what, path, image):
    expect(what, path, *image.size, image.convert("RGB").tobytes())


def preset(resize, mode, crop, mean, std):
    """The steps of torchvision's own presets for published weights, of which some may be left out."""
    steps = [T.Resize(resize, interpolation=InterpolationMode(mode), antialias=True)] if resize else []
    steps += [T.CenterCrop(crop)] if crop else []
    return T.Compose(steps + [T.PILToTensor(), T.ConvertImageDtype(torch.float32), T.Normalize(mean, std)])


def main():
    make_pictures()
    files = sorted(path for path in HERE.iterdir() if path.suffix[1:] in "png jpg gif bmp ppm tif webp".split())
    for path in sorted(PHOTOS.glob("*.[pj]*g")) + files:
        image = read(path)
        expect_picture("decode", path, image)
        for mode, number in FILTERS.items():
            for width, height in [(37, 29), (64, 500), (1, 1), (image.width, 50), (image.width * 2 + 1, image.height)]:
                if width * height < 300_000:
                    expect_picture(mode, path, image.resize((width, height), number))
        imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        for name, resize, mode, crop, normal in [
            ("input-bilinear-256-224", 256, "bilinear", 224, imagenet),
            ("input-bilinear-232-224", 232, "bilinear", 224, imagenet),
            ("input-bicubic-333-299", 333, "bicubic", 299, ([0.5] * 3, [0.5] * 3)),
            ("input-bilinear-50-75", 50, "bilinear", 75, imagenet),
            ("input-bicubic-0-98", None, "bicubic", 98, imagenet),
            ("input-bilinear-130-0", 130, "bilinear", None, imagenet),
        ]:
            if max(image.size) / min(image.size) > 20 and not crop:
                continue
            values = preset(resize, mode, crop, *normal)(image.convert("RGB"))
            data = values.numpy().astype("<f4").tobytes()
            expect(name, path, values.shape[2], values.shape[1], data)
    (HERE / "expected.txt").write_text("\n".join(lines) + "\n")


main()
