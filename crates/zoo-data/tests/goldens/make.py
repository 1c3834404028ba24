"""Makes the hard pictures beside this file, and what Pillow and torchvision make of them and of the photographs.

    pip install pillow==13.0.0 torchvision==0.29.2 numpy
    python crates/zoo-data/tests/goldens/make.py

`expected.txt` has a line for each case: what is done, to which file, the size and the SHA-256 of the result
(RGB bytes; for `input`, little-endian float32 in channel, row, column order).

`cuts.txt` is about files that end too soon: each picture cut at every tenth of its length, and each JPEG so cut and
closed with an end mark. It has a line for each that Pillow reads all the same; the others it refuses.
"""

import hashlib
import io
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
BY_HAND = {}
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
    BY_HAND[name] = Image.fromarray(eight.squeeze(2) if channels == 1 else eight)


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


def interlaced_png(name, values):
    """Adam7, which Pillow reads and doesn't write."""
    height, width, _ = values.shape
    data = b""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    for y, x, down, across in passes:
        data += b"".join(b"\0" + row.tobytes() for row in values[y::down, x::across] if row.size)
    chunk = lambda tag, body: struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
    (HERE / name).write_bytes(png)


def run_length_bmp(name, image):
    """A bitmap of runs and of literal stretches, which Pillow reads and doesn't write."""
    palette = b"".join(bytes([b, g, r, 0]) for r, g, b in zip(*[iter(image.getpalette()[:768])] * 3))
    data = b""
    for row in np.asarray(image)[::-1]:
        half = len(row) // 4 * 2
        data += b"".join(bytes([1, value]) for value in row[:half])
        rest = row[half:].tobytes()
        data += bytes([0, len(rest)]) + rest + b"\0" * (len(rest) % 2) + b"\0\0"
    data += b"\0\1"
    colours = len(palette) // 4
    offset = 54 + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, *image.size, 1, 8, 1, len(data), 0, 0, colours, 0)
    (HERE / name).write_bytes(b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + head + palette + data)


def tif(name, size, bits, kind, rows, order="<", sample_format=1, extra=(), palette=(), planes=1):
    """An uncompressed TIFF of several strips. `rows` are the bytes of each row, of one plane after the other."""
    (width, height), samples = size, len(bits)
    starts = [(plane * height, y) for plane in range(planes) for y in range(0, height, 8)]
    strips = [b"".join(rows[top + y : top + min(y + 8, height)]) for top, y in starts]
    shorts, longs = 3, 4
    tags = {
        256: (longs, [width]), 257: (longs, [height]), 258: (shorts, bits), 259: (shorts, [1]), 262: (shorts, [kind]),
        273: (longs, [0] * len(strips)), 277: (shorts, [samples]), 278: (longs, [8]),
        279: (longs, list(map(len, strips))), 284: (shorts, [1 if planes == 1 else 2]), 339: (shorts, [sample_format] * samples),
    }
    if extra:
        tags[338] = (shorts, list(extra))
    if len(palette):
        tags[320] = (shorts, list(palette))
    letters = {shorts: "H", longs: "I"}
    start = 8 + 2 + 12 * len(tags) + 4
    for data in (False, True):
        body, entries = b"", b""
        for tag, (type_, values) in sorted(tags.items()):
            packed = struct.pack(order + letters[type_] * len(values), *values)
            if len(packed) > 4:
                place = struct.pack(order + "I", start + len(body))
                body += packed + b"\0" * (len(packed) % 2)
            else:
                place = packed.ljust(4, b"\0")
            entries += struct.pack(order + "HHI", tag, type_, len(values)) + place
        at = start + len(body)
        for index, strip in enumerate(strips):
            tags[273][1][index] = at
            at += len(strip)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(order + "I", 8) + struct.pack(order + "H", len(tags)) + entries + b"\0" * 4
    (HERE / name).write_bytes(head + body + b"".join(strips))


def packed(values, bits):
    """Rows of values of a few bits."""
    places = np.arange(bits)[::-1]
    return [np.packbits((row[:, None] >> places) & 1).tobytes() for row in values]


def make_tifs(random, image, crop):
    rows = lambda values, kind: [row.tobytes() for row in values.astype(kind)]
    size = (width, height) = (41, 30)
    small = crop.resize(size)
    grey, alpha = np.asarray(small.convert("L")), random.integers(0, 256, (height, width))
    rgb = np.asarray(small)
    small.quantize(200).save(HERE / "palette.tif")
    small.save(HERE / "deflate.tif", compression="tiff_adobe_deflate")
    small.convert("L").save(HERE / "packbits.tif", compression="packbits")
    small.convert("1").save(HERE / "fax.tif", compression="group4")
    small.convert("LA").save(HERE / "grey-alpha-pillow.tif")
    for bits in (1, 2, 4, 8):
        numbers = grey >> (8 - bits)
        palette = random.integers(0, 65536, 3 << bits)
        tif(f"palette-{bits}bit.tif", size, [bits], 3, packed(numbers, bits), palette=palette)
        if bits in (2, 4):
            tif(f"grey-{bits}bit.tif", size, [bits], 1, packed(numbers, bits))
            tif(f"white-is-0-{bits}bit.tif", size, [bits], 0, packed(numbers, bits), order=">")
    palette = random.integers(0, 65536, 768)
    tif("palette-alpha.tif", size, [8, 8], 3, rows(np.dstack([grey, alpha]), "u1"), extra=[2], palette=palette)
    for name, extra in {"grey-alpha": 2, "grey-multiplied": 1, "grey-other": 0}.items():
        values = grey * alpha // 255 if extra == 1 else grey
        tif(f"{name}.tif", size, [8, 8], 1, rows(np.dstack([values, alpha]), "u1"), extra=[extra])
    for name, extra in {"rgb-alpha": 2, "rgb-multiplied": 1, "rgb-other": 0}.items():
        values = rgb * alpha[..., None] // 255 if extra == 1 else rgb
        tif(f"{name}.tif", size, [8] * 4, 2, rows(np.dstack([values, alpha]), "u1"), order=">", extra=[extra])
    planes = [row for channel in range(3) for row in rows(rgb[..., channel], "u1")]
    tif("planes.tif", size, [8] * 3, 2, planes, planes=3)
    values = random.integers(0, 65536, (height, width))
    tif("grey16.tif", size, [16], 1, rows(values, ">u2"), order=">")
    BY_HAND["grey16.tif"] = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    # Pillow takes floating values as they are and cuts them to whole numbers; from 0 to 1 they would all be black.
    values = random.uniform(0, 255, (height, width))
    tif("float.tif", size, [32], 1, rows(values, ">f4"), order=">", sample_format=3)
    values = random.uniform(0, 1, (height, width)).astype("<f4")
    eight = np.round(values * np.float32(255)).astype(np.uint8)
    tif("float-to-1.tif", size, [32], 1, rows(values, "<f4"), sample_format=3)
    BY_HAND["float-to-1.tif"] = Image.fromarray(eight)
    halves = values.astype("<f2")
    tif("half-to-1.tif", size, [16], 1, rows(halves, "<f2"), sample_format=3)
    BY_HAND["half-to-1.tif"] = Image.fromarray(np.round(halves.astype("f4") * np.float32(255)).astype(np.uint8))
    tif("double-rgb-to-1.tif", size, [64] * 3, 2, rows(np.dstack([values] * 3), ">f8"), order=">", sample_format=3)
    BY_HAND["double-rgb-to-1.tif"] = Image.fromarray(eight)


def make_more_pictures():
    """What came later, so that the chance of the others stays what it was."""
    random = np.random.default_rng(1)
    crop = Image.open(PHOTOS / "chelsea.png").crop((100, 60, 237, 163))
    small = crop.resize((53, 38))
    image = Image.fromarray(random.integers(0, 256, (21, 34, 3), dtype=np.uint8))
    crop.convert("L").save(HERE / "grey-progressive.jpg", quality=70, progressive=True)
    crop.convert("L").save(HERE / "grey-restarts.jpg", quality=70, restart_marker_blocks=5)
    crop.convert("CMYK").save(HERE / "cmyk-progressive.jpg", quality=60, progressive=True)
    # A single plane is stored the same whatever its factors; some cameras write three.
    grey = bytearray((HERE / "grey.jpg").read_bytes())
    frame = grey.index(b"\xff\xc0")
    grey[frame + 11] = 0x33
    (HERE / "grey-3x3.jpg").write_bytes(grey)
    small.save(HERE / "lossy.webp", quality=70)
    alpha = Image.fromarray((np.add.outer(np.arange(38), np.arange(53)) * 255 // 90).astype(np.uint8))
    rgba = Image.merge("RGBA", [*small.split(), alpha])
    rgba.save(HERE / "lossy-alpha.webp", quality=70)
    small.save(HERE / "animation.webp", save_all=True, append_images=[small.transpose(Image.Transpose.ROTATE_180)])
    interlaced_png("interlaced.png", np.asarray(image))
    run_length_bmp("runs.bmp", small.quantize(256))
    small.quantize(16).save(HERE / "palette.bmp")
    small.convert("L").save(HERE / "plain.pgm")
    small.convert("1").save(HERE / "plain.pbm")
    text = "\n".join(" ".join(map(str, row)) for row in np.asarray(image).reshape(21, -1))
    (HERE / "text.ppm").write_text(f"P3\n34 21\n255\n{text}\n")
    make_tifs(random, image, crop)


def jpeg_tif(name, image, kind, piece, tiles=False, planes=False, **how):
    """A TIFF whose pieces are JPEGs of their own, each with its tables."""
    layers = image.split() if planes else [image]
    (width, height), (wide, high) = image.size, piece if tiles else (image.width, piece[1])
    pieces = []
    for layer, top, left in [(l, y, x) for l in layers for y in range(0, height, high) for x in range(0, width, wide)]:
        bottom = top + high if tiles else min(top + high, height)
        data = io.BytesIO()
        layer.crop((left, top, left + wide, bottom)).save(data, "jpeg", **how)
        pieces.append(data.getvalue())
    bands = len(image.getbands())
    tags = {256: [width], 257: [height], 258: [8] * bands, 259: [7], 262: [kind], 277: [bands], 284: [2 if planes else 1]}
    tags |= {530: [2, 2]} if kind == 6 else {}
    tags |= {322: [wide], 323: [high]} if tiles else {278: [high]}
    tags |= {324 if tiles else 273: [0] * len(pieces), 325 if tiles else 279: list(map(len, pieces))}
    place = 8 + 2 + 12 * len(tags) + 4
    body, entries = b"", b""
    starts = np.cumsum([place + sum(4 * len(v) for v in tags.values() if len(v) > 1)] + [len(p) for p in pieces])
    tags[324 if tiles else 273] = starts[:-1].tolist()
    for tag, values in sorted(tags.items()):
        packed = struct.pack("<" + "I" * len(values), *values)
        if len(values) > 1:
            body, packed = body + packed, struct.pack("<I", place + len(body))
        entries += struct.pack("<HHI", tag, 4, len(values)) + packed
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4
    (HERE / name).write_bytes(head + body + b"".join(pieces))


def make_jpeg_tifs():
    """Pieces as JPEGs, with tables in common as libtiff writes them and with their own, and inks."""
    crop = Image.open(PHOTOS / "chelsea.png").convert("RGB").crop((100, 60, 203, 131))
    alpha = Image.linear_gradient("L").resize(crop.size)
    for name, image, how in [
        ("rgb", crop, {}),
        ("grey", crop.convert("L"), {278: 16}),
        ("alpha", Image.merge("RGBA", [*crop.split(), alpha]), {278: 24}),
        ("inks", crop.convert("CMYK"), {278: 32}),
        ("ycbcr", crop.convert("YCbCr"), {278: 48}),
    ]:
        image.save(HERE / f"jpeg-{name}.tif", compression="jpeg", tiffinfo=how, quality=80)
    jpeg_tif("jpeg-tiles.tif", crop, 6, (48, 32), tiles=True, subsampling=2, quality=80)
    jpeg_tif("jpeg-tiles-rgb.tif", crop, 2, (64, 64), tiles=True, keep_rgb=True, quality=70)
    jpeg_tif("jpeg-strips.tif", crop, 6, (0, 32), subsampling=2, progressive=True, quality=60)
    jpeg_tif("jpeg-planes.tif", crop, 2, (0, 40), planes=True, quality=80)
    jpeg_tif("jpeg-white-is-0.tif", crop.convert("L"), 0, (32, 48), tiles=True, quality=80)
    crop.convert("CMYK").save(HERE / "inks.tif", compression="tiff_lzw")


def read(path):
    return on_white(BY_HAND.get(path.name) or ImageOps.exif_transpose(Image.open(path)))


def on_white(image):
    """RGB or grey, upright and on white."""
    image = image.convert({"La": "LA", "PA": "RGBA", "F": "L"}.get(image.mode, image.mode))
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


def cuts(path):
    """What Pillow makes of a file that ends at a tenth of its length."""
    data, found = path.read_bytes(), []
    for tenth in range(1, 10):
        part = data[: len(data) * tenth // 10]
        for what, part in {"cut": part, "closed": part + b"\xff\xd9"}.items():
            if what == "closed" and path.suffix != ".jpg":
                continue
            try:
                image = on_white(ImageOps.exif_transpose(Image.open(io.BytesIO(part))))
            except Exception:
                continue
            image = image.convert("RGB")
            found.append(f"{what} {path.name} {tenth} {hashlib.sha256(image.tobytes()).hexdigest()}")
    return found


def main():
    make_pictures()
    make_more_pictures()
    make_jpeg_tifs()
    endings = "png jpg gif bmp pbm pgm ppm tif webp".split()
    files = sorted(path for path in HERE.iterdir() if path.suffix[1:] in endings)
    (HERE / "cuts.txt").write_text("".join(line + "\n" for path in files for line in cuts(path)))
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
