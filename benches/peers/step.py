"""PyTorch's training steps of one case, timed: what the program `peers` is for the zoo's own and candle's.

Usage: step.py CASE THREADS STEPS SECONDS [contiguous|channels_last]
       step.py simd    which instruction sets are in use: ATen's as JSON, oneDNN's in the log that ONEDNN_VERBOSE=1 asks for

It prints one line of JSON: params, losses, step_ms, peak_mib; or a reason. The cases, the numbers that weights
and pictures begin as, and the optimizer are those of case.rs; parameters have the zoo's names.
"""

import json
import math
import sys
import time

WARM_UP = 3
MOMENTUM = 0.9


def numbers(name, shape, bound):
    """The same numbers for the same name, evenly spread over -bound..bound."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = (seed ^ byte) * 0x01000193 & 0xFFFFFFFF
    mask = 0xFFFFFFFF
    x = torch.arange(math.prod(shape), dtype=torch.int64).add_(seed).bitwise_and_(mask)
    x.bitwise_xor_(x >> 16).mul_(0x21F0AAAD).bitwise_and_(mask)
    x.bitwise_xor_(x >> 15).mul_(0x735A2D97).bitwise_and_(mask)
    x.bitwise_xor_(x >> 15)
    return ((x >> 8).float() / (1 << 23) - 1.0).mul_(bound).reshape(shape)


def initialise(net):
    with torch.no_grad():
        for name, param in net.named_parameters():
            if param.dim() > 1:
                param.copy_(numbers(name, param.shape, math.sqrt(6.0 / math.prod(param.shape[1:]))))
            else:
                param.fill_(1.0 if name.endswith("weight") else 0.0)


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def classes():
    """The networks; a function, since without torch there is nothing to derive them from."""

    class LeNet5(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
            self.conv2 = nn.Conv2d(6, 16, 5)
            self.pool = nn.AvgPool2d(2)
            self.fc1 = nn.Linear(400, 120)
            self.fc2 = nn.Linear(120, 84)
            self.fc3 = nn.Linear(84, 10)

        def forward(self, x):
            x = self.pool(torch.tanh(self.conv1(x)))
            x = self.pool(torch.tanh(self.conv2(x))).flatten(1)
            return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(x)))))

    class Basic(nn.Module):
        expansion = 1

        def __init__(self, inputs, width, stride):
            super().__init__()
            self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = shortcut(inputs, width, stride)

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            y += self.downsample(x) if self.downsample else x
            return self.relu(y)

    class Bottleneck(nn.Module):
        expansion = 4

        def __init__(self, inputs, width, stride):
            super().__init__()
            self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
            self.conv3, self.bn3 = conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = shortcut(inputs, 4 * width, stride)

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            y += self.downsample(x) if self.downsample else x
            return self.relu(y)

    def shortcut(inputs, outputs, stride):
        if stride == 1 and inputs == outputs:
            return None
        return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    class ResNet(nn.Module):
        def __init__(self, unit, units):
            super().__init__()
            self.conv1, self.bn1 = conv(3, 64, 7, 2), nn.BatchNorm2d(64)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            inputs = 64
            for stage, count in enumerate(units):
                width = 64 << stage
                blocks = []
                for index in range(count):
                    blocks.append(unit(inputs, width, 2 if stage > 0 and index == 0 else 1))
                    inputs = width * unit.expansion
                setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(inputs, 1000)

        def forward(self, x):
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(self.avgpool(x).flatten(1))

    class InvertedResidual(nn.Module):
        def __init__(self, channels, expansion):
            super().__init__()
            wide = channels * expansion
            self.conv = nn.Sequential(
                nn.Sequential(conv(channels, wide, 1), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True)),
                nn.Sequential(conv(wide, wide, 3, groups=wide), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True)),
                conv(wide, channels, 1),
                nn.BatchNorm2d(channels),
            )

        def forward(self, x):
            return x + self.conv(x)

    class Separable(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv1 = conv(channels, channels, 3, groups=channels)
            self.pointwise = conv(channels, channels, 1)

        def forward(self, x):
            return self.pointwise(self.conv1(x))

    class MiddleFlow(nn.Module):
        def __init__(self, channels):
            super().__init__()
            layers = []
            for index in range(3):
                # The first may not write over what the shortcut carries.
                layers += [nn.ReLU(inplace=index > 0), Separable(channels), nn.BatchNorm2d(channels)]
            self.rep = nn.Sequential(*layers)

        def forward(self, x):
            y = self.rep(x)
            y += x
            return y

    return {
        "lenet5_b64": (LeNet5, (64, 1, 28, 28), 10, 0.1),
        "resnet18_b4": (lambda: ResNet(Basic, [2, 2, 2, 2]), (4, 3, 224, 224), 100, 1e-5),
        "resnet50_b4": (lambda: ResNet(Bottleneck, [3, 4, 6, 3]), (4, 3, 224, 224), 100, 1e-5),
        "mobilenet_block": (lambda: InvertedResidual(64, 6), (8, 64, 14, 14), None, 1e-4),
        "xception_block": (lambda: MiddleFlow(728), (4, 728, 19, 19), None, 1e-4),
    }


def status(field):
    """A field of the process's status, in KiB."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field))


def before():
    """What is resident, with the kernel's high-water mark set back to it; nothing where the system doesn't tell."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        return status("VmRSS:")
    except OSError:
        return None


def run(case, steps, seconds, layout):
    make, shape, labels, rate = classes()[case]
    net = make().train()
    initialise(net)
    pictures = numbers("pictures", shape, 1.0)
    if labels is None:
        gradient = numbers("gradient", shape, 1.0)
    else:
        wanted = torch.tensor([i * 7 % labels for i in range(shape[0])])
    if layout == "channels_last":
        net, pictures = (x.to(memory_format=torch.channels_last) for x in (net, pictures))
        if labels is None:
            gradient = gradient.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=MOMENTUM)

    def step(check):
        optimizer.zero_grad()
        output = net(pictures)
        if labels is None:
            loss = output.detach()[0].square().mean().item() if check else None
            output.backward(gradient)
        else:
            loss = nn.functional.cross_entropy(output, wanted)
            loss.backward()
            loss = loss.item()
        optimizer.step()
        return loss

    resident = before()
    losses = [step(True) for _ in range(WARM_UP)]
    times = []
    start = time.perf_counter()
    while len(times) < steps or time.perf_counter() - start < seconds:
        begun = time.perf_counter()
        step(False)
        times.append((time.perf_counter() - begun) * 1e3)
    peak = None if resident is None else max(status("VmHWM:") - resident, 0) / 1024
    params = sum(param.numel() for param in net.parameters())
    return {"params": params, "losses": losses, "step_ms": times, "peak_mib": peak}


try:
    import torch
    from torch import nn
except ImportError as error:
    print(json.dumps({"reason": f"{sys.executable} can't import torch ({error}); pip install torch"}))
    sys.exit(1)

if sys.argv[1] == "simd":
    # As many channels as oneDNN wants to have to do with.
    nn.Conv2d(64, 64, 3)(torch.zeros(2, 64, 32, 32))
    print(json.dumps({"aten": torch.backends.cpu.get_cpu_capability()}))
    sys.exit(0)

case, threads, steps, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
torch.set_num_threads(threads)
print(json.dumps(run(case, steps, seconds, sys.argv[5] if len(sys.argv) > 5 else "contiguous")))
