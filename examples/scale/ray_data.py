"""Classifies pictures with Ray Data and ONNX Runtime, on a file of `zoo export`.

    python ray_data.py --onnx MODEL.onnx --out answers.jsonl PICTURES…  [--workers N]

Needs `pip install "ray[data]" onnxruntime pillow`. The lines are those of `zoo predict --format jsonl`.
"""

import argparse
import json
import os
import time
from pathlib import Path

# Workers import what lies beside this file, wherever they are started.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))

import numpy as np
import ray

from prepare import describe, prepared
from pictures import listed


class Answers:
    """A worker: its session is made once, and answers batch after batch."""

    def __init__(self, file, top):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread each: the workers are what runs side by side.
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.classes, self.steps = describe(self.session)
        self.top = top

    def __call__(self, batch):
        paths, lines = list(batch["path"]), [None] * len(batch["path"])
        values = {}
        for at, path in enumerate(paths):
            try:
                values[at] = prepared(path, self.steps)
            except Exception as error:  # A picture that can't be read has a line too, and the others go on.
                lines[at] = {"path": path, "error": str(error)}
        if values:
            (logits,) = self.session.run(["logits"], {"input": np.stack(list(values.values()))})
            logits = logits - logits.max(axis=1, keepdims=True)
            shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            for at, row in zip(values, shares):
                best = np.argsort(-row, kind="stable")[: self.top]
                top = [{"index": int(k), "label": self.classes[k], "probability": float(row[k])} for k in best]
                lines[at] = {"path": paths[at], "top": top}
        return {"number": batch["number"], "line": np.array([json.dumps(line) for line in lines], object)}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("pictures", nargs="+", type=Path, help="pictures, or folders of them")
    arguments.add_argument("--onnx", required=True, type=Path, help="a file of `zoo export`")
    arguments.add_argument("--workers", type=int, default=2, help="workers at once")
    arguments.add_argument("--top", type=int, default=5, help="classes of each picture")
    arguments.add_argument("--out", required=True, type=Path, help="the file of answers to write")
    chosen = arguments.parse_args()

    paths = [str(path.absolute()) for path in listed(chosen.pictures)]
    # One more than the workers hold: Ray's own tasks would wait for ever for a place.
    ray.init(num_cpus=chosen.workers + 1, include_dashboard=False, log_to_driver=False)
    begun = time.monotonic()
    items = [{"number": number, "path": path} for number, path in enumerate(paths)]
    data = ray.data.from_items(items, override_num_blocks=max(1, min(4 * chosen.workers, len(items))))
    answers = data.map_batches(
        Answers,
        fn_constructor_args=(str(chosen.onnx.absolute()), chosen.top),
        batch_size=16,
        compute=ray.data.ActorPoolStrategy(size=chosen.workers),
        num_cpus=1,
    )
    rows = sorted(answers.take_all(), key=lambda row: row["number"])
    took = time.monotonic() - begun
    chosen.out.write_text("".join(row["line"] + "\n" for row in rows))
    print(f"{len(rows)} pictures in {took:.1f} s, {len(rows) / took:.1f} a second")


if __name__ == "__main__":
    main()
