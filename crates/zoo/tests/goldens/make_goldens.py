"""Writes the goldens: what torchvision, timm and the restatements compute for weights that both sides generate.

    python make_goldens.py [--list] [--check] [NAME...]

Tests read the JSON files beside this script and need neither Python nor PyTorch. Everything is computed in f64 from
the f32 weights below, so that a golden has no rounding error of its own, and of gradients it is recorded how far
PyTorch's f32 is from that. `--check` computes each in f32 as well and prints the difference, with the least, greatest
and standard deviation of each output.

Generated weights
-----------------
A tensor is known by its full name (`layer1.0.conv1.weight`), the input by the one in the golden (`input`, `input.1`).
For the legacy SENets these are the project's names, which are the modern ones. `hash` is FNV-1a, 64 bits, of the name's
UTF-8 bytes. Value i, in row-major order from 0, is

    z  = hash + (i + 1) * 0x9E3779B97F4A7C15                       (mod 2^64)
    z ^= z >> 30;  z *= 0xBF58476D1CE4E5B9
    z ^= z >> 27;  z *= 0x94D049BB133111EB
    z ^= z >> 31
    f  = 2 * ((z >> 40) / 2^24) - 1                                 (in [-1, 1), exact in f32)

and then, in f32, each operation rounded on its own:

    input                               f * sqrt(3) * scale         (`scale` is the golden's, a power of two, mostly 1)
    (_, 1, _, _), so depthwise          f * sqrt(3 / fan_in)        (fan_in: the product of all dimensions but the first)
    two dimensions or more, others      f * sqrt(6 / fan_in)
    `running_var`                       1 + 0.5 * f
    `running_mean`                      0.1 * f
    one dimension, `weight`             1 + 0.1 * f, and half of that for names that end in `bn2.weight` or `bn3.weight`
    one dimension, `bias`               0.1 * f

The square roots are taken in f64 and rounded to f32. The rule of two dimensions holds for deconvolutions as well.
The two exceptions keep deep networks tame. Without the half, every residual unit doubles the variance, and after the
50 units of SENet-154 the gates' inputs are so large that f32 has no correct digit left. Without the 3, each pair of
depthwise and pointwise convolution, with nothing between them, doubles it too, and Xception's biases drown.

A golden
--------
`input`     name, shape and scale.
`outputs`   by name: `shape`, `max_abs`, and `values` (at most 2048 elements) or `samples`, 256 entries at the indices
            k * floor(n / 256) of the row-major tensor.

A `-grads-` golden is one step in training mode (batch statistics, no dropout), a `-frozen_grads-` one is a step in
evaluation mode (running statistics, no auxiliary heads where evaluation has none). Besides its outputs it has:

`loss`      the cross entropy, mean over pictures, or over pixels for maps; auxiliary outputs are added with the weights
            in `loss_weights`. The class at place p is (7 p + 3) mod classes, where p counts pictures, or pixels through
            the batch in row-major order.
`gradients` by parameter: `norm` (L2), `max_abs`, and `samples`, 16 entries at the indices floor(k * n / 16). `f32` says
            what PyTorch's own f32 makes of this gradient: `deviation`, the norm of its difference from f64's as a share
            of f64's norm, and `cosine`, of the angle between the two; each is the worst of the runs below.
`f32`       those runs: `batches`, the golden's own and others (`batch.0`, `batch.1`, ...), each in all `arithmetics`.
`running`   the same of the running statistics after the step, in training mode.
`vanishing` parameters whose gradient is zero in exact arithmetic (a bias in front of batch norm, a dead unit) or nearly
            so: a norm under 1e-9 of the greatest. What is computed there may be rounding noise; compare it with zero.

Why several batches: whether a value that is nearly zero comes out above or below decides a ReLU, and a gradient that
meets it is another one from there on. A single run in f32 tells of a network whether *this* batch has such values, and
the golden's own was chosen to have few. Many runs tell how far f32 can be from f64 in this network.

`generator.json` has the first values and the last of one tensor of every kind.

A relative error is max|a - b| / max|b|; where only samples of b are here, the divisor is `max_abs`.
"""

import argparse
import json
import logging
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision

from networks import build, tensor_name

HERE = Path(__file__).parent
VERSIONS = {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__}
OUTPUT_SAMPLES = 256
GRADIENT_SAMPLES = 16
WHOLE_OUTPUT = 2048
CHUNK = 1 << 20


# ---- weights ---------------------------------------------------------------------------------------------------------

def fnv1a(name):
    digest = 0xCBF29CE484222325
    for byte in name.encode():
        digest = ((digest ^ byte) * 0x100000001B3) % 2**64
    return digest


def uniform(name, count):
    """`count` f32 values in [-1, 1)."""
    values = np.empty(count, np.float32)
    start = np.uint64(fnv1a(name))
    for first in range(0, count, CHUNK):
        z = np.arange(first + 1, min(first + CHUNK, count) + 1, dtype=np.uint64)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z += start
        z ^= z >> np.uint64(30)
        z *= np.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> np.uint64(27)
        z *= np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        values[first:first + CHUNK] = (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)
    return values


def generated(name, shape):
    f = uniform(name, math.prod(shape))
    kind = name.rsplit(".", 1)[-1]
    if len(shape) >= 2:
        depthwise = len(shape) == 4 and shape[1] == 1
        f *= np.float32(math.sqrt((3 if depthwise else 6) / math.prod(shape[1:])))
    elif kind == "running_var":
        f = np.float32(1) + np.float32(0.5) * f
    elif kind == "weight":
        f = np.float32(1) + np.float32(0.1) * f
        if name.endswith(("bn2.weight", "bn3.weight")):
            f *= np.float32(0.5)
    elif kind in ("running_mean", "bias"):
        f *= np.float32(0.1)
    else:
        raise ValueError(f"no rule for {name} of shape {tuple(shape)}")
    return torch.from_numpy(f.reshape(shape))


def generated_input(name, shape, scale=1):
    f = uniform(name, math.prod(shape)) * np.float32(math.sqrt(3)) * np.float32(scale)
    return torch.from_numpy(f.reshape(shape))


def fill(net, model):
    state = {
        key: tensor if key.endswith("num_batches_tracked") else generated(tensor_name(model, key), tensor.shape)
        for key, tensor in net.state_dict().items()
    }
    net.load_state_dict(state)


# ---- cases -----------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Case:
    """One golden."""

    model: str
    shape: tuple
    train: bool = False
    grads: bool = False
    scale: int = 1
    transform_input: bool = False
    input: str = "input"
    batches: int = 8  # in how many PyTorch's f32 is compared with its f64; fewer where that takes minutes
    features: str = ""  # the project's name of what the network's method `features` gives, to record that instead

    @property
    def name(self):
        option = "-transform_input" if self.transform_input else ""
        if self.grads:
            option += "-grads" if self.train else "-frozen_grads"
        return f"{self.model}{option}-{self.shape[2]}x{self.shape[3]}"


# Both papers feed pixels of 0 to 255, less the mean; on small inputs their normalisation would do next to nothing.
RAW_PIXELS = 16
LOSS_WEIGHTS = {"logits": 1.0, "aux1": 0.3, "aux2": 0.3}
AUX_LOSS_WEIGHT = {"inception_v3": 0.4, "fcn_resnet50": 0.5, "fcn_resnet101": 0.5}


def cases():
    def evaluate(model, *sizes, **options):
        channels = 1 if model == "lenet5" else 3
        return [Case(model, (1, channels, h, w), **options) for h, w in sizes]

    def gradients(model, h, w, train=True, **options):
        channels = 1 if model == "lenet5" else 3
        return Case(model, (2, channels, h, w), train=train, grads=True, **options)

    square, odd = (224, 224), (97, 131)
    for model in """resnet18 resnet50 resnext50_32x4d wide_resnet50_2 resnet50_v1 alexnet vgg11 vgg11_bn googlenet
                    seresnet18 legacy_seresnet18 seresnet50 legacy_seresnet50 seresnext50_32x4d
                    legacy_seresnext50_32x4d senet154 legacy_senet154 mobilenet_v2 mobilenet_v2_050
                    mobilenet_v2_keras""".split():
        yield from evaluate(model, square, odd)
    yield from evaluate("inception_v3", (299, 299), odd)
    yield from evaluate("xception", (299, 299), odd)
    yield from evaluate("xception_keras", (299, 299), (98, 131))
    yield from evaluate("googlenet", odd, transform_input=True)
    yield from evaluate("inception_v3", odd, transform_input=True)
    yield from evaluate("fcn_resnet50", (65, 97), (160, 128), (520, 520))
    for model in ["fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce"]:
        yield from evaluate(model, (65, 97))
    yield from evaluate("fcn8s", (128, 160), (500, 500))
    yield from evaluate("lenet5", (28, 28))
    yield from evaluate("resnet20_cifar", (32, 32), (31, 45))
    yield from evaluate("alexnet_paper", (227, 227), scale=RAW_PIXELS)
    yield from evaluate("alexnet_paper", odd, scale=RAW_PIXELS, features="pool5")
    yield from evaluate("googlenet_paper", square, odd, scale=RAW_PIXELS)

    # Where f32 decides a ReLU or a max pool otherwise than f64, a gradient jumps by far more than the rounding error.
    # The inputs are chosen so that PyTorch's own f32 stays within 2e-5, and where batch statistics make that hopeless
    # (the deep networks on a batch of 2), one on running statistics stands beside the one in training mode.
    yield gradients("resnet18", 64, 64, input="input.2")
    yield gradients("seresnet18", 64, 64, input="input.1")
    yield gradients("legacy_seresnet18", 64, 64, input="input.1")
    yield gradients("resnet20_cifar", 32, 32)
    yield gradients("lenet5", 28, 28)
    yield gradients("alexnet", 95, 79, batches=4)
    yield gradients("alexnet_paper", 227, 227, scale=RAW_PIXELS, batches=4)
    yield gradients("vgg11", 64, 64, batches=4)
    yield gradients("vgg11_bn", 64, 64, batches=4)
    yield gradients("googlenet_paper", 224, 224, scale=RAW_PIXELS)
    yield gradients("googlenet_paper", 64, 64, train=False, input="input.2", scale=RAW_PIXELS)
    for model in ["fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce"]:
        yield gradients(model, 17, 24, batches=4)
    yield gradients("googlenet", 64, 64, batches=16)
    yield gradients("googlenet", 64, 64, train=False)
    yield gradients("inception_v3", 299, 299, batches=3)
    yield gradients("inception_v3", 99, 83, train=False, batches=16)
    yield gradients("xception", 75, 71, input="input.1")
    yield gradients("xception", 75, 71, train=False)
    yield gradients("xception_keras", 76, 72)
    yield gradients("xception_keras", 76, 72, train=False, input="input.6")
    yield gradients("mobilenet_v2", 64, 64)
    yield gradients("mobilenet_v2", 64, 64, train=False, input="input.1")
    yield gradients("mobilenet_v2_keras", 64, 64)
    yield gradients("mobilenet_v2_keras", 64, 64, train=False)
    yield gradients("fcn_resnet50", 65, 49)
    yield gradients("fcn_resnet50", 65, 49, train=False, input="input.1")


# ---- running ---------------------------------------------------------------------------------------------------------

def named_outputs(model, answer):
    """The network's answer by output name."""
    if model.startswith("fcn_resnet"):
        return {"logits": answer["out"], "aux": answer["aux"]}
    if model.startswith("fcn"):
        return {"logits": answer}
    if isinstance(answer, torch.Tensor):
        return {"logits": answer}
    if model == "inception_v3":
        return {"logits": answer.logits, "aux": answer.aux_logits}
    return {"logits": answer.logits, "aux1": answer.aux_logits1, "aux2": answer.aux_logits2}


def loss_weights(model, outputs):
    return {name: LOSS_WEIGHTS.get(name) or AUX_LOSS_WEIGHT[model] for name in outputs}


def total_loss(outputs, weights):
    total = 0
    for name, output in outputs.items():
        places = torch.arange(output.numel() // output.shape[1]).reshape(output.shape[0], *output.shape[2:])
        total = total + weights[name] * F.cross_entropy(output, (7 * places + 3) % output.shape[1])
    return total


def run(case, net, dtype, input=None, onednn=True, memory_format=torch.contiguous_format):
    """Fills the network and runs the case: (outputs, and for a grads case loss, gradients and running statistics)."""
    with torch.backends.mkldnn.flags(enabled=onednn):
        return run_so(case, net, dtype, input or case.input, memory_format)


def run_so(case, net, dtype, input, memory_format):
    net.to(torch.float32)
    fill(net, case.model)
    net.to(dtype=dtype, memory_format=memory_format).train(case.train)
    x = generated_input(input, case.shape, case.scale).to(dtype=dtype, memory_format=memory_format)
    if not case.grads:
        with torch.no_grad():
            if case.features:
                return {case.features: net.features(x)}, None
            return named_outputs(case.model, net(x)), None
    for module in net.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout2d)):
            module.p = 0.0
    if hasattr(net, "drop_rate"):
        net.drop_rate = 0.0  # timm's legacy SENets drop 0.2 of the features without a module for it
    net.zero_grad(set_to_none=True)
    outputs = named_outputs(case.model, net(x))
    loss = total_loss(outputs, loss_weights(case.model, outputs))
    loss.backward()
    step = {
        "loss": loss.detach(),
        # Clones, for the parameters take the next run's type along with their gradients.
        "gradients": {tensor_name(case.model, k): p.grad.clone() for k, p in net.named_parameters() if p.grad is not None},
        "running": {},
    }
    if case.train:
        for key, buffer in net.named_buffers():
            if not key.endswith("num_batches_tracked"):
                step["running"][tensor_name(case.model, key)] = buffer.clone()
    return {name: output.detach() for name, output in outputs.items()}, step


# How f32 is computed: by oneDNN or PyTorch's own loops, channel by channel or pixel by pixel. Each rounds otherwise.
ARITHMETICS = {
    "oneDNN": {},
    "without oneDNN": {"onednn": False},
    "channels last": {"memory_format": torch.channels_last},
}


def in_f32(case, net, exact):
    """The worst of PyTorch's f32 by parameter: (deviation, cosine). `exact` is the step of the golden's batch."""
    worst = {}
    for batch in range(case.batches):
        input = f"batch.{batch - 1}" if batch else case.input
        gradients = (run(case, net, torch.float64, input)[1] if batch else exact)["gradients"]
        for arithmetic in ARITHMETICS.values():
            rounded = run(case, net, torch.float32, input, **arithmetic)[1]["gradients"]
            for name, gradient in gradients.items():
                a, b = rounded[name].double().flatten(), gradient.flatten()
                if not b.any():
                    continue
                deviation, cosine = float((a - b).norm() / b.norm()), float(a @ b / (a.norm() * b.norm()))
                known = worst.get(name, (0, 1))
                worst[name] = (max(known[0], deviation), min(known[1], cosine))
    return worst


# ---- writing ---------------------------------------------------------------------------------------------------------

def short(number):
    number = float(number)
    if not math.isfinite(number):
        raise ValueError("a golden with an infinity or a NaN")
    return float(f"{number:.9g}")


def shorts(tensor):
    return [short(number) for number in tensor.tolist()]


def output_record(tensor):
    flat = tensor.flatten()
    record = {"shape": list(tensor.shape), "max_abs": short(flat.abs().max())}
    if flat.numel() <= WHOLE_OUTPUT:
        return {**record, "values": shorts(flat)}
    stride = flat.numel() // OUTPUT_SAMPLES
    return {**record, "samples": shorts(flat[torch.arange(OUTPUT_SAMPLES) * stride])}


def tensor_record(tensor):
    flat = tensor.flatten()
    indices = torch.arange(GRADIENT_SAMPLES) * flat.numel() // GRADIENT_SAMPLES
    return {"norm": short(flat.norm()), "max_abs": short(flat.abs().max()), "samples": shorts(flat[indices])}


def gradient_record(gradient, f32):
    deviation, cosine = f32
    return {**tensor_record(gradient), "f32": {"deviation": float(f"{deviation:.3g}"), "cosine": short(cosine)}}


def golden(case, outputs, step, f32):
    record = {
        "model": case.model,
        "mode": "train" if case.train else "eval",
        "transform_input": case.transform_input,
        "versions": VERSIONS,
        "input": {"name": case.input, "shape": list(case.shape), "scale": case.scale},
        "outputs": {name: output_record(output) for name, output in outputs.items()},
    }
    if step:
        norms = {name: float(gradient.norm()) for name, gradient in step["gradients"].items()}
        record |= {
            "loss_weights": loss_weights(case.model, outputs),
            "loss": short(step["loss"]),
            "vanishing": [name for name, norm in norms.items() if norm < 1e-9 * max(norms.values())],
            "f32": {"batches": case.batches, "arithmetics": list(ARITHMETICS)},
            "gradients": {
                name: gradient_record(gradient, f32[name]) if name in f32 else tensor_record(gradient)
                for name, gradient in step["gradients"].items()
            },
            "running": {name: tensor_record(buffer) for name, buffer in step["running"].items()},
        }
    return record


def to_json(record):
    """JSON with one tensor a line."""
    def entry(key, value):
        if key in ("outputs", "gradients", "running", "tensors") and value:
            rows = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            return f"  {json.dumps(key)}: {{\n{rows}\n  }}"
        return f"  {json.dumps(key)}: {json.dumps(value)}"
    return "{\n" + ",\n".join(entry(k, v) for k, v in record.items()) + "\n}\n"


def generator_record():
    """The first values of one tensor of every kind, to check another generator by."""
    tensors = [("input", (1, 3, 224, 224)), ("conv1.weight", (64, 3, 7, 7)), ("bn1.weight", (64,)), ("bn1.bias", (64,)),
               ("bn1.running_mean", (64,)), ("bn1.running_var", (64,)), ("fc.weight", (1000, 512))]
    rows = {}
    for name, shape in tensors:
        values = generated_input(name, shape) if name == "input" else generated(name, shape)
        first = shorts(values.flatten()[:4])
        rows[name] = {"shape": list(shape), "fnv1a": f"{fnv1a(name):016x}", "first": first, "last": short(values.flatten()[-1])}
    return {"tensors": rows}


def relative_error(a, b):
    scale = float(b.abs().max())
    return float((a.double() - b.double()).abs().max()) / scale if scale else float(a.abs().max())


def report(case, record, exact, rounded):
    """One line an output, then the worst of the gradients and running statistics in f32."""
    outputs, step = exact
    for name, output in outputs.items():
        spread = f"min {float(output.min()):.4g} max {float(output.max()):.4g} std {float(output.std()):.4g}"
        print(f"{case.name}\t{name}\t{spread}\tf32 error {relative_error(rounded[0][name], output):.2e}", flush=True)
    if step:
        for kind in ("gradients", "running"):
            errors = {
                name: relative_error(rounded[1][kind][name], tensor)
                for name, tensor in step[kind].items() if name not in record["vanishing"]
            }
            if errors:
                worst = max(errors, key=errors.get)
                print(f"{case.name}\t{kind}\tf32 error {errors[worst]:.2e} ({worst})", flush=True)
        vanishing = f"\t{len(record['vanishing'])} vanishing" if record["vanishing"] else ""
        print(f"{case.name}\tloss {float(step['loss']):.6g}{vanishing}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Writes the goldens named, or those of a model, or all.")
    parser.add_argument("names", nargs="*", help="a golden (resnet18-224x224) or a model (resnet18)")
    parser.add_argument("--list", action="store_true", help="print the goldens' names and write nothing")
    parser.add_argument("--check", action="store_true", help="compute in f32 as well and print the difference")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    known = list(cases())
    for name in arguments.names:
        if not any(name in (case.name, case.model) for case in known):
            sys.exit(f"no golden and no model is called {name}; --list has them")
    if not arguments.names and not arguments.list:
        (HERE / "generator.json").write_text(to_json(generator_record()))
    for case in known:
        if arguments.names and case.name not in arguments.names and case.model not in arguments.names:
            continue
        if arguments.list:
            print(case.name)
            continue
        with torch.device("meta"):
            net = build(case.model, case.transform_input)
        net.to_empty(device="cpu")
        exact = run(case, net, torch.float64)
        f32 = in_f32(case, net, exact[1]) if case.grads else {}
        record = golden(case, *exact, f32)
        (HERE / f"{case.name}.json").write_text(to_json(record))
        if arguments.check:
            report(case, record, exact, run(case, net, torch.float32))


if __name__ == "__main__":
    main()
