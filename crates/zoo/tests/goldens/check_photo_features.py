"""Compares what `zoo features` makes of photographs with `xception_keras-photos.json`, by hand.

    python check_photo_features.py WEIGHTS.safetensors PHOTO...          (needs numpy, pillow, safetensors, cargo)

Each photograph is prepared as the golden's were and given to the program as a tensor. Prints one line a photograph and
fails where the pooled features differ by more than 1e-3, relative: the weights are half precision.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

HERE = Path(__file__).parent
SIDE = 299
TOLERANCE = 1e-3


def features(weights, photo, folder):
    picture = Image.open(photo).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    prepared = np.asarray(picture).astype(np.float32) / 127.5 - 1
    np.save(folder / "input.npy", np.ascontiguousarray(prepared.transpose(2, 0, 1)[None]))
    zoo = ["cargo", "run", "--quiet", "--release", "-p", "zoo-cli", "--", "features", "xception_keras"]
    files = [folder / "input.npy", "--weights", Path(weights).absolute(), "-o", folder / "features.safetensors"]
    subprocess.run(zoo + files, cwd=HERE, check=True, stdout=subprocess.DEVNULL)
    (only,) = load_file(folder / "features.safetensors").values()
    return only[0]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    golden = json.loads((HERE / "xception_keras-photos.json").read_text())["photos"]
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for photo in sys.argv[2:]:
            theirs = np.array(golden[Path(photo).name]["pooled"])
            error = np.abs(features(sys.argv[1], photo, Path(folder)) - theirs).max() / np.abs(theirs).max()
            print(f"{Path(photo).name}: {error:.2e}", flush=True)
            worst = max(worst, error)
    if worst > TOLERANCE:
        sys.exit(f"off by {worst:.2e}, more than {TOLERANCE}")


if __name__ == "__main__":
    main()
