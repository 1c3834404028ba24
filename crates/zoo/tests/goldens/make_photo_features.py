"""Writes `xception_keras-photos.json`: what Keras' genuine ImageNet weights make of photographs.

    python make_photo_features.py WEIGHTS.safetensors PHOTO...

Each photograph is decoded to RGB, resized to 299x299 whatever its shape (`Image.resize` of Pillow, bilinear, which
averages over the whole footprint when it shrinks), and scaled as x / 127.5 - 1. The weights are half precision on disk
and widened to f32; the network (`xception_keras` without its classifier) is run in f64.

Of each photograph the golden has 64 bytes of the resized picture (`resized`: entries at k * floor(n / 64) of the
row-major (h, w, c) bytes, and the `mean` of all), the mean over positions of the last map (`pooled`, 2048 numbers), and
256 entries of that map (2048, h, w) at k * floor(n / 256).
"""

import json
import sys
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image
from safetensors.torch import load_file

from make_goldens import HERE, VERSIONS, output_record, short, shorts
from restatements import xception_keras

SIDE = 299


def load(path):
    net = xception_keras()
    state = {name: tensor.float() for name, tensor in load_file(path).items()}
    report = net.load_state_dict(state, strict=False)
    missing = [key for key in report.missing_keys if not key.endswith("num_batches_tracked")]
    if report.unexpected_keys or missing != ["fc.weight", "fc.bias"]:
        sys.exit(f"{path} is not Xception without its classifier: {report}")
    return net.double().eval()


def photo_record(net, path):
    picture = Image.open(path).convert("RGB")
    pixels = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    x = torch.from_numpy(pixels.astype(np.float64) / 127.5 - 1).permute(2, 0, 1).unsqueeze(0)
    with torch.no_grad():
        features = net.forward_features(x)
    flat = pixels.flatten()
    return {
        "size": list(picture.size),
        "resized": {"mean": short(flat.mean()), "samples": flat[np.arange(64) * (flat.size // 64)].tolist()},
        "pooled": shorts(features.mean((2, 3))[0]),
        "map": output_record(features[0]),
    }


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    net = load(sys.argv[1])
    head = {
        "model": "xception_keras",
        "versions": VERSIONS | {"pillow": PIL.__version__},
        "preprocessing": "RGB, Pillow resize to 299x299 (bilinear, antialiased, aspect not kept), x / 127.5 - 1",
    }
    photos = {Path(path).name: photo_record(net, path) for path in sys.argv[2:]}
    rows = ",\n".join(
        f"    {json.dumps(name)}: {{\n" + ",\n".join(f"      {json.dumps(k)}: {json.dumps(v)}" for k, v in record.items()) + "\n    }"
        for name, record in photos.items()
    )
    lines = [f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items()]
    (HERE / "xception_keras-photos.json").write_text("{\n" + "".join(lines) + f'  "photos": {{\n{rows}\n  }}\n}}\n')


if __name__ == "__main__":
    main()
