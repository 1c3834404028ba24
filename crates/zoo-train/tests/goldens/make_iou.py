"""Figures of scikit-learn for random masks with ignored labels: iou.json.

Made with scikit-learn 1.9.1 and NumPy, `python make_iou.py`. Pixels labelled 255 are taken out before scikit-learn sees
them; a mean runs over the classes that occur in the labels (accuracy) or in labels or answers (IoU). Figures are written as
the 16 hexadecimal digits of a double, so that no reader of decimals rounds them.
"""

import json
import pathlib
import struct
import warnings

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score, jaccard_score

warnings.filterwarnings("ignore")


def bits(value):
    return struct.pack(">d", float(value)).hex()


rng = np.random.default_rng(7)
cases = []
for classes, pixels, right, ignored, absent in [
    (2, 60, 0.8, 0.1, []),
    (5, 120, 0.6, 0.2, [3]),
    (21, 400, 0.5, 0.3, [0, 7, 20]),
    (11, 250, 0.9, 0.0, []),
    (4, 40, 0.0, 0.5, [1]),
    (150, 2400, 0.7, 0.2, [5, 60]),
]:
    kinds = [kind for kind in range(classes) if kind not in absent]
    truth = rng.choice(kinds, pixels)
    given = np.where(rng.random(pixels) < right, truth, rng.integers(0, classes - len(absent), pixels))
    truth = np.where(rng.random(pixels) < ignored, 255, truth)
    counted = truth != 255
    t, g = truth[counted], given[counted]
    present = sorted(set(t) | set(g))
    each = jaccard_score(t, g, labels=present, average=None)
    iou = [None] * classes
    for kind, value in zip(present, each):
        iou[kind] = bits(value)
    cases.append(
        {
            "classes": classes,
            "truth": truth.tolist(),
            "given": given.tolist(),
            "pixels": int(counted.sum()),
            "pixel_accuracy": bits(accuracy_score(t, g)),
            "mean_accuracy": bits(balanced_accuracy_score(t, g)),
            "mean_iou": bits(jaccard_score(t, g, labels=present, average="macro")),
            "frequency_weighted_iou": bits(jaccard_score(t, g, labels=present, average="weighted")),
            "iou": iou,
        }
    )
pathlib.Path(__file__).with_name("iou.json").write_text(json.dumps(cases) + "\n")
