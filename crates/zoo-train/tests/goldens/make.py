"""Writes steps.json: what PyTorch makes of a small network in a few steps, for `tests/steps.rs`.

A network with an auxiliary head learns from 4 batches of 4 rows under different recipes: rates that shrink from layer to
layer (`layer_decay`) and differ for the head (`head_rate`), auxiliary losses, smoothed labels, weighted classes, clipped
and accumulated gradients. Weights and inputs are sines, so that both sides make them alike:

    value(name, i) = 0.8 * sin(1.7 * i + seed(name)),  seed = the sum of the name's bytes

    x (6) -- low (6->5) -- tanh -- top (5->4) -- tanh -- fc (4->3) -- logits
                             `---- aux (5->3) -- aux

Run: pip install torch; python make.py
"""

import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)

LAYERS = {"low": (6, 5), "aux": (5, 3), "top": (5, 4), "fc": (4, 3)}
# In the order of the network: what is further from the head learns less.
UNITS = ["low", "aux", "top", "fc"]

RECIPES = {
    "rmsprop": dict(optimizer="rmsprop", alpha=0.9, momentum=0.9, epsilon=1e-3, weight_decay=0.02, rate=0.01,
                    layer_decay=0.5, auxiliary=0.3),
    "sgd": dict(optimizer="sgd", momentum=0.9, weight_decay=0.01, rate=0.1, head_rate=3.0, auxiliary=0.5,
                clip=0.25, accumulate=2, smoothing=0.1),
    "adamw": dict(optimizer="adamw", weight_decay=0.05, rate=0.02, layer_decay=0.7, head_rate=2.0,
                  auxiliary=0.0, weights=[1.0, 2.5, 0.5]),
}


def value(name, count):
    seed = sum(name.encode())
    return torch.tensor([0.8 * math.sin(1.7 * i + seed) for i in range(count)], dtype=torch.float32).double()


def steps(recipe):
    params = {}
    for layer, (inputs, outputs) in LAYERS.items():
        weight = value(f"{layer}.weight", inputs * outputs).reshape(outputs, inputs)
        params[f"{layer}.weight"] = nn.Parameter(weight)
        params[f"{layer}.bias"] = nn.Parameter(value(f"{layer}.bias", outputs))
    groups = []
    for name, param in params.items():
        layer = name.split(".")[0]
        rate = recipe["rate"] * recipe.get("layer_decay", 1.0) ** (len(UNITS) - 1 - UNITS.index(layer))
        if layer == "fc":
            rate *= recipe.get("head_rate", 1.0)
        decay = recipe["weight_decay"] if name.endswith("weight") else 0.0
        groups.append(dict(params=[param], lr=rate, weight_decay=decay))
    match recipe["optimizer"]:
        case "rmsprop":
            optimizer = torch.optim.RMSprop(groups, alpha=recipe["alpha"], momentum=recipe["momentum"],
                                            eps=recipe["epsilon"])
        case "sgd":
            optimizer = torch.optim.SGD(groups, momentum=recipe["momentum"], nesterov=True)
        case "adamw":
            optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8)
    weights = torch.tensor(recipe["weights"]) if "weights" in recipe else None
    smoothing = recipe.get("smoothing", 0.0)
    accumulate = recipe.get("accumulate", 1)
    losses = []
    for step in range(4):
        x = value(f"x{step}", 24).reshape(4, 6)
        labels = torch.tensor([(step + row) % 3 for row in range(4)])
        layer = lambda name, x: F.linear(x, params[f"{name}.weight"], params[f"{name}.bias"])
        low = torch.tanh(layer("low", x))
        logits = layer("fc", torch.tanh(layer("top", low)))
        of = lambda out: F.cross_entropy(out, labels, weight=weights, label_smoothing=smoothing)
        loss = of(logits)
        if recipe["auxiliary"] > 0:
            loss = loss + recipe["auxiliary"] * of(layer("aux", low))
        losses.append(loss.item())
        (loss / accumulate).backward()
        if (step + 1) % accumulate == 0:
            if "clip" in recipe:
                nn.utils.clip_grad_norm_(params.values(), recipe["clip"])
            optimizer.step()
            optimizer.zero_grad()
    return {"losses": losses, "params": {name: p.detach().flatten().tolist() for name, p in params.items()}}


made = {"torch": torch.__version__, "recipes": {name: steps(recipe) for name, recipe in RECIPES.items()}}
path = pathlib.Path(__file__).with_name("steps.json")
path.write_text(json.dumps(made, indent=1) + "\n")
