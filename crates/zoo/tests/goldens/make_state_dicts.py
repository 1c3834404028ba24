"""Writes `state_dicts/<model>.txt` (one line a tensor: name, then its shape, in state-dict order) and `facts.json`.

    python make_state_dicts.py [MODEL...]

Names are the published ones; `num_batches_tracked` is left out. The legacy SENets have a second file,
`<model>.modern.txt`, with the project's names for the same tensors, line for line.
`facts.json` has parameters, buffer elements and multiply-accumulates (convolutions and matrix products, by PyTorch's
own flop counter, for one picture of the nominal input), each without and of the auxiliary heads.
Networks are built on the meta device: no weights are drawn and nothing is computed.
"""

import json
import logging
import sys
from pathlib import Path

import timm
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from networks import AUXILIARY, RESTATED, TIMM, TORCHVISION, build, nominal_input, tensor_name

HERE = Path(__file__).parent


def macs(net, name, train):
    """For one picture; two are run, since batch norm in training refuses a single value per channel."""
    net.train(train)
    x = torch.empty(2, *nominal_input(name), device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x)
    return counter.get_total_flops() // 2 // 2


def facts(name, net):
    # pytorch-fcn's bilinear deconvolutions are learnable there, so they are parameters here.
    params = {"own": 0, "auxiliary": 0}
    buffers = {"own": 0, "auxiliary": 0}
    for key, tensor in net.named_parameters():
        params["auxiliary" if key.startswith(AUXILIARY) else "own"] += tensor.numel()
    for key, tensor in net.named_buffers():
        if not key.endswith("num_batches_tracked"):
            buffers["auxiliary" if key.startswith(AUXILIARY) else "own"] += tensor.numel()
    with_auxiliary = macs(net, name, train=True)
    if getattr(net, "aux_classifier", None) is not None:
        net.aux_classifier = None  # torchvision's FCN runs this head in evaluation too
    own = macs(net, name, train=False)
    return {
        "input": [1, *nominal_input(name)],
        "params": params["own"],
        "params_auxiliary": params["auxiliary"],
        "buffers": buffers["own"],
        "buffers_auxiliary": buffers["auxiliary"],
        "macs": own,
        "macs_auxiliary": with_auxiliary - own,
    }


def state_dict_lines(net, rename=lambda key: key):
    for key, tensor in net.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            yield f"{rename(key)} {'x'.join(map(str, tensor.shape))}\n"


def main():
    logging.disable(logging.WARNING)
    names = sys.argv[1:] or TORCHVISION + TIMM + RESTATED
    facts_file = HERE / "facts.json"
    known = json.loads(facts_file.read_text())["models"] if facts_file.exists() else {}
    (HERE / "state_dicts").mkdir(exist_ok=True)
    for name in names:
        with torch.device("meta"):
            net = build(name)
        (HERE / f"state_dicts/{name}.txt").write_text("".join(state_dict_lines(net)))
        if name.startswith("legacy_"):
            modern = state_dict_lines(net, lambda key: tensor_name(name, key))
            (HERE / f"state_dicts/{name}.modern.txt").write_text("".join(modern))
        known[name] = facts(name, net)
        print(name, known[name])
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__}
    rows = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(known.items()))
    facts_file.write_text(f'{{\n  "versions": {json.dumps(versions)},\n  "models": {{\n{rows}\n  }}\n}}\n')


if __name__ == "__main__":
    main()
