"""PyTorch's training steps with and without torch.utils.checkpoint: memory and time beside `cargo xtask memory`.

Usage: checkpoint.py resnet50|xception BATCH plain|checkpointed [STEPS] [contiguous|channels_last]

Every residual unit of the network is a segment that runs again on the way back, as PyTorch's documentation does it. It
prints one line of JSON: the process's peak less what it had before there was a network, and the step's time. Needs torch,
torchvision for ResNet-50 and timm for Xception.
"""

import json
import sys
import time


def field(name):
    for line in open("/proc/self/status"):
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise SystemExit("this system does not tell a process's peak")


def network(name):
    if name == "resnet50":
        from torchvision.models import resnet50

        net = resnet50()
        return net, [unit for stage in (net.layer1, net.layer2, net.layer3, net.layer4) for unit in stage], 224
    import timm

    net = timm.create_model("legacy_xception")
    return net, [getattr(net, f"block{number}") for number in range(1, 13)], 299


def main():
    name, batch, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    layout = sys.argv[5] if len(sys.argv) > 5 else "contiguous"
    import torch
    from torch.utils.checkpoint import checkpoint

    net, units, side = network(name)
    # The libraries are loaded, and the network goes: what it will take counts from here.
    del net, units
    import gc

    gc.collect()
    before = field("VmRSS:")
    net, units, side = network(name)
    memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    net = net.to(memory_format=memory_format).train()
    if way == "checkpointed":
        for unit in units:
            forward = unit.forward
            unit.forward = lambda x, forward=forward: checkpoint(forward, x, use_reentrant=False)
    pictures = (torch.rand(batch, 3, side, side) * 2 - 1).to(memory_format=memory_format)
    labels = torch.ones(batch, dtype=torch.int64)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    open("/proc/self/clear_refs", "w").write("5")
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(net(pictures), labels).backward()
        optimizer.step()
        times.append((time.perf_counter() - start) * 1e3)
    peak = field("VmHWM:") - before
    later = sorted(times[1:])
    print(json.dumps({"model": name, "batch": batch, "way": way, "layout": layout,
                      "measured_bytes": peak, "step_ms": later[len(later) // 2]}))


main()
