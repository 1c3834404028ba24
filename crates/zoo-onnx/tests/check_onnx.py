"""Holds exported networks against ONNX's own checker and ONNX Runtime, by hand:

    python check_onnx.py [--zoo PROGRAM] [--folder FOLDER] [NAME...]
    python check_onnx.py --operations FOLDER

For every architecture (or those named) it makes weights from the tensors' names, has `zoo export` write the network
three times (as it is, with norms folded, and for pictures of any size where the network takes them), and checks each:

* `onnx.checker` with full check: every node against its operator's schema, every shape inferred again, strictly;
* names: the graph's inputs and outputs, the parameters' names and shapes, the metadata;
* ONNX Runtime's answer against `zoo features --at logits` for the same input, within 1e-4 of the largest value. The one
  for any size is asked for pictures of another.

With --operations it checks the small networks that `cargo run -p zoo-onnx --example operations -- FOLDER` wrote: every
operation, with options that no architecture has.

It prints a line for each network and ends with 1 if any is wrong. It needs numpy, onnx, onnxruntime and safetensors, and
a built `zoo` (`cargo build --release -p zoo-cli`); two cores take half an hour.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parents[3]
SNAPSHOTS = ROOT / "crates/zoo/tests/snapshots"
WITHIN = 1e-4
# What is no classifier answers with something else.
OUTPUTS = {"three_convs": "maps"}
CHUNK = 1 << 20


def uniform(name, count):
    """Values in [-1, 1) that a name decides, as `crates/zoo/tests/goldens/make_goldens.py` makes them."""
    digest = 0xCBF29CE484222325
    for byte in name.encode():
        digest = ((digest ^ byte) * 0x100000001B3) % 2**64
    values = np.empty(count, np.float32)
    for first in range(0, count, CHUNK):
        z = np.arange(first + 1, min(first + CHUNK, count) + 1, dtype=np.uint64)
        z = z * np.uint64(0x9E3779B97F4A7C15) + np.uint64(digest)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        values[first:first + CHUNK] = (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)
    return values


def generated(name, shape):
    """A parameter: signals neither die nor explode, whatever the network."""
    f, kind = uniform(name, math.prod(shape)), name.rsplit(".", 1)[-1]
    if len(shape) >= 2:
        numerator = 3.0 if len(shape) == 4 and shape[1] == 1 else 6.0
        f = f * np.float32(math.sqrt(numerator / math.prod(shape[1:])))
    elif kind == "running_var":
        f = 1 + np.float32(0.5) * f
    elif kind in ("running_mean", "bias"):
        f = np.float32(0.1) * f
    else:
        f = (1 + np.float32(0.1) * f) * np.float32(0.5 if name.endswith(("bn2.weight", "bn3.weight")) else 1)
    return f.reshape(shape)


def described(name):
    """Input and parameters of an architecture, from the blessed snapshot."""
    lines = (SNAPSHOTS / f"{name}.snap").read_text().split("---\n", 2)[2].strip().splitlines()
    size = [int(side) for side in lines[0].split()[1].split("x")]
    pairs = [line.split() for line in lines[lines.index("") + 1:]]
    return size, {param: [int(side) for side in shape.split("x")] for param, shape in pairs}


class Checked:
    """One architecture, in a folder of its own."""

    def __init__(self, zoo, name, folder):
        self.zoo, self.name, self.folder = zoo, name, folder
        self.size, self.params = described(name)
        self.output = OUTPUTS.get(name, "logits")
        self.weights = folder / "weights.safetensors"
        save_file({param: generated(param, shape) for param, shape in self.params.items()}, self.weights)

    def run(self, *arguments):
        done = subprocess.run([self.zoo, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip() or f"`zoo` ended with {done.returncode}")

    def ours(self, x):
        """What the zoo answers."""
        np.save(self.folder / "input.npy", x)
        out = self.folder / "features.safetensors"
        inputs = [self.name, self.folder / "input.npy", "--weights", self.weights]
        self.run("features", *inputs, "--at", self.output, "-o", out)
        return load_file(out)[self.output]

    def export(self, *flags):
        path = self.folder / "model.onnx"
        self.run("export", self.name, path, "--weights", self.weights, *flags)
        onnx.checker.check_model(path, full_check=True)
        return path

    def names(self, path):
        """The file's names are the network's."""
        model = onnx.load(path)
        here = {t.name: list(t.dims) for t in model.graph.initializer if "/constant" not in t.name}
        strange = {param for param, shape in here.items() if self.params.get(param) != shape}
        assert not strange, f"strange tensors {sorted(strange)[:3]}"
        assert model.graph.input[0].name == "input" and model.graph.output[0].name == self.output
        metadata = {prop.key: prop.value for prop in model.metadata_props}
        assert metadata["architecture"] == self.name
        classes = json.loads(metadata["classes"])
        assert len(classes) == model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
        assert json.loads(metadata["preprocessing"])["input"] == self.size

    def deviation(self, path, x, ours):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        theirs = session.run([self.output], {"input": x})[0]
        assert theirs.shape == ours.shape, f"{theirs.shape}, not {ours.shape}"
        return float(np.abs(theirs - ours).max() / np.abs(ours).max())


def checked(zoo, name, folder):
    """The deviations of the three files; of the last, why there is none."""
    net = Checked(zoo, name, folder)
    batch = 1 if name.startswith("fcn") else 2
    x = uniform("input", batch * math.prod(net.size)).reshape(batch, *net.size) * np.float32(math.sqrt(3))
    ours = net.ours(x)
    plain = net.export()
    net.names(plain)
    found = [net.deviation(plain, x, ours), net.deviation(net.export("--fold-norms"), x, ours)]
    try:
        free = net.export("--input", "free")
    except RuntimeError as error:
        if "any size" not in str(error):
            raise
        return found + [None]
    channels, height, width = net.size
    # Larger and not square; segmenters are slow enough as they are.
    height, width = (height // 2 + 13, width // 2 + 32) if name.startswith("fcn") else (height + 29, width + 64)
    x = uniform("larger", channels * height * width).reshape(1, channels, height, width) * np.float32(math.sqrt(3))
    return found + [net.deviation(free, x, net.ours(x))]


def operations(folder):
    """The small networks, in all the ways they were written; how many are wrong."""
    paths = sorted(folder.glob("*/*.onnx"))
    wrong = 0
    for path in paths:
        try:
            onnx.checker.check_model(path, full_check=True)
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            x = np.load(path.with_suffix(".input.npy"))
            far = 0.0
            for output in session.get_outputs():
                ours = np.load(path.with_suffix(f".{output.name}.npy"))
                theirs = session.run([output.name], {"input": x})[0]
                assert theirs.shape == ours.shape, f"{theirs.shape}, not {ours.shape}"
                far = max(far, float(np.abs(theirs - ours).max() / np.abs(ours).max()))
            ok = far <= WITHIN
            print(f"{path.parent.name:36} {path.stem:6} {far:.1e}{'' if ok else '  WRONG'}")
        except Exception as error:
            ok = False
            print(f"{path.parent.name:36} {path.stem:6} {type(error).__name__}: {error}")
        wrong += not ok
    print(f"{len(paths)} files, {wrong} wrong")
    return wrong


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument("--zoo", default=str(ROOT / "target/release/zoo"), help="the program")
    arguments.add_argument("--folder", help="where networks are written, half a gigabyte at a time")
    arguments.add_argument("--operations", type=Path, help="check what the example wrote into this folder instead")
    arguments = arguments.parse_args()
    if arguments.operations:
        sys.exit(operations(arguments.operations) > 0)
    names = arguments.names or sorted(path.stem for path in SNAPSHOTS.glob("*.snap"))
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    print(f"{'network':28} {'as it is':>10} {'folded':>10} {'any size':>10}")
    wrong = 0
    if arguments.folder:
        Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            try:
                found = checked(arguments.zoo, name, Path(folder))
            except Exception as error:
                wrong += 1
                print(f"{name:28} {type(error).__name__}: {error}", flush=True)
                continue
        ok = all(far is None or far <= WITHIN for far in found)
        wrong += not ok
        cells = " ".join(f"{'fixed' if far is None else format(far, '.1e'):>10}" for far in found)
        print(f"{name:28} {cells}{'' if ok else '  WRONG'}", flush=True)
    print(f"{len(names)} networks, {wrong} wrong")
    sys.exit(wrong > 0)


main()
