"""Writes `cams.json`: Grad-CAM and Grad-CAM++ as plain PyTorch restates them, for weights that both sides generate.

    python make_cams.py

A case: `model` with the weights of `make_goldens.py` in evaluation mode, `input` as there, the map `at` (a scope or a
layer by the project's name), the `class` whose logit is explained: of some, the one that lights most pixels, since a
map of zeros would tell nothing. Everything is computed in f64. `gradcam` and
`gradcam++` are the heat maps before any scaling, row by row:

    Grad-CAM    relu(sum_k w_k A_k), w_k the mean over the pixels of dS/dA_k                   (Selvaraju et al. 2017)
    Grad-CAM++  relu(sum_k w_k A_k), w_k = sum_ij a_kij relu(g_kij), g = dS/dA,
                a = g^2 / (2 g^2 + (sum_ij A) g^3), and 0 where the divisor is 0      (Chattopadhay et al. 2018, eq. 19)
"""

import json
from pathlib import Path

import torch

from make_goldens import VERSIONS, fill, generated_input
from networks import build

# The project's name of a map, and the module that gives it.
CASES = [
    ("resnet50", (97, 131), {"layer4": "layer4", "layer3": "layer3", "layer2": "layer2"}),
    ("xception", (97, 131), {"relu_3": "act4", "block12": "block12", "block6": "block6"}),
]


def heats(net, module, picture, index):
    kept = {}

    def keep(_, __, output):
        output.retain_grad()
        kept["map"] = output

    hook = dict(net.named_modules())[module].register_forward_hook(keep)
    net(picture)[0, index].backward()
    hook.remove()
    activation, gradient = kept["map"].detach()[0], kept["map"].grad[0]
    cam = torch.relu((gradient.mean((1, 2), keepdim=True) * activation).sum(0))
    square, cube = gradient**2, gradient**3
    divisor = 2 * square + activation.sum((1, 2), keepdim=True) * cube
    share = torch.where(divisor != 0, square / torch.where(divisor != 0, divisor, torch.ones_like(divisor)), torch.zeros_like(divisor))
    weights = (share * torch.relu(gradient)).sum((1, 2), keepdim=True)
    return cam, torch.relu((weights * activation).sum(0))


def rounded(values):
    return [float(f"{value:.8g}") for value in values.flatten().tolist()]


def main():
    cases = []
    for model, (height, width), maps in CASES:
        net = build(model)
        fill(net, model)
        net.double().eval()
        shape = (1, 3, height, width)
        picture = generated_input("input", shape).double().requires_grad_()
        for at, module in maps.items():
            lit = {index: (heats(net, module, picture, index)[0] > 0).sum() for index in range(3, 1000, 83)}
            index = max(lit, key=lit.get)
            cam, plus = heats(net, module, picture, index)
            cases.append({
                "model": model, "input": {"name": "input", "shape": shape, "scale": 1}, "at": at, "class": index,
                "height": cam.shape[0], "width": cam.shape[1],
                "gradcam": rounded(cam), "gradcam++": rounded(plus),
            })
            print(model, at, tuple(cam.shape), f"{cam.max():.4g} {plus.max():.4g}", f"{(cam > 0).float().mean():.2f}")
    text = json.dumps({"versions": VERSIONS, "cases": cases}, indent=1)
    Path(__file__).with_name("cams.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
