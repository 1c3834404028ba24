"""One core's time to make inputs of a JPEG with Pillow and torchvision: the same ways as zoo-data's example `prepare`.

    data.py make PHOTO FILE         writes the JPEG of 1000x750 pixels that is timed
    data.py time FILE SECONDS       prints a line of JSON
"""

import io
import json
import sys
import time

import torch
from PIL import Image
from torchvision import transforms as T

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def make(photo, path):
    """Cut to 4:3, scaled, at the quality that cameras and the web use."""
    with Image.open(photo) as picture:
        picture = picture.convert("RGB")
        width, height = picture.size
        side = min(width / 4, height / 3)
        picture = picture.crop((0, 0, int(side * 4), int(side * 3)))
        picture.resize((1000, 750), Image.Resampling.LANCZOS).save(path, quality=90)


def timed(seconds, work):
    for _ in range(10):
        work()
    start, rounds = time.perf_counter(), 0
    while time.perf_counter() - start < seconds or rounds < 20:
        work()
        rounds += 1
    return (time.perf_counter() - start) * 1e3 / rounds


def measure(path, seconds):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    with open(path, "rb") as file:
        content = file.read()
    last = [T.ToTensor(), T.Normalize(MEAN, STD)]
    learning = T.Compose([T.RandomResizedCrop(224), T.RandomHorizontalFlip(), *last])
    answer = T.Compose([T.Resize(256), T.CenterCrop(224), *last])

    def through(transform):
        return transform(Image.open(io.BytesIO(content)).convert("RGB"))

    result = {
        "learning_ms": timed(seconds, lambda: through(learning)),
        "answer_ms": timed(seconds, lambda: through(answer)),
        "answer_sum": through(answer).double().sum().item(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", photo, path]:
            make(photo, path)
        case ["time", path, seconds]:
            measure(path, float(seconds))
        case _:
            sys.exit(__doc__)
