"""What `zoo train` and `zoo finetune` do, in PyTorch: the same parts of the data, recipe and weights, timed.

    learn.py train RUN [--seed N] [--threads N] [--workers N]
        resnet20 of CIFAR from nothing, as in the folder RUN that `zoo train resnet20_cifar -o RUN` left
    learn.py finetune RUN [--seed N] [--threads N] [--workers N] [--epochs N]
        Keras' Xception by timm: a new head on features computed once, then thawed from the top, as in the folder RUN that
        `zoo finetune xception_keras --weights FILE -o RUN` left

RUN's run.json names the data, the recipes and the weights, its split.json the parts. It prints a line of JSON for each
stage and at the end: {top1, pictures, seconds}; seconds are those of the work, without the start of Python.
`pip install torch torchvision timm safetensors` brings what is needed.
"""

import argparse
import copy
import json
import math
import pathlib
import sys
import time

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

GOLDENS = pathlib.Path(__file__).parents[2] / "crates/zoo/tests/goldens"


class Part(Dataset):
    """Pictures of one part of a split, on white where they are transparent."""

    def __init__(self, run, part, transform):
        root = pathlib.Path(run.plan["data"])
        listing = run.listing
        self.classes = sorted({name.split("/")[0] for name in listing["train"]})
        self.items = [(root / name, self.classes.index(name.split("/")[0])) for name in listing[part]]
        self.transform = transform

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        path, label = self.items[index]
        with Image.open(path) as picture:
            if picture.mode != "RGB":
                picture = picture.convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture).convert("RGB")
            return self.transform(picture), label


class Run:
    """What a run's folder says."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.plan = json.loads((folder / "run.json").read_text())
        self.listing = json.loads((folder / "split.json").read_text())


def augmentation(recipe, size, last):
    steps = []
    for step in recipe["augment"]:
        match step["kind"]:
            case "random_resized_crop":
                steps.append(T.RandomResizedCrop(size, scale=tuple(step["scale"])))
            case "pad_and_crop":
                steps += [T.Resize(size), T.CenterCrop(size), T.RandomCrop(size, padding=step["padding"])]
            case "flip":
                steps.append(T.RandomHorizontalFlip())
            case "trivial_augment":
                steps.append(T.TrivialAugmentWide())
            case other:
                sys.exit(f"the recipe's {other} isn't restated here")
    return T.Compose([*steps, *last])


def rate(recipe, step, steps, epoch):
    """Linear warm-up, then half a cosine."""
    warm = round(recipe["warmup_epochs"] * epoch)
    if step < warm:
        return recipe["learning_rate"] * (step + 1) / warm
    return recipe["learning_rate"] * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def optimizer(net, recipe, shares):
    """`shares` gives what each parameter's rate is multiplied by."""
    (kind, settings), = recipe["optimizer"].items()
    groups = [
        dict(params=[param], share=shares(name), weight_decay=settings["weight_decay"] if param.dim() > 1 else 0.0)
        for name, param in net.named_parameters()
        if param.requires_grad
    ]
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=0.1, momentum=settings["momentum"], nesterov=settings["nesterov"])
    betas = (settings["beta1"], settings["beta2"])
    return torch.optim.AdamW(groups, lr=0.1, betas=betas, eps=settings["epsilon"])


@torch.inference_mode()
def accuracy(net, loader):
    net.eval()
    right = sum((net(x).argmax(1) == y).sum().item() for x, y in loader)
    return right / len(loader.dataset)


def mixed(x, y, mix):
    """Mixup of each batch with itself in another order: pictures, both labels, and the share of the first."""
    if mix["mixup"] == 0:
        return x, y, y, 1.0
    if mix["cutmix"] > 0 or mix["probability"] < 1:
        sys.exit("the recipe's CutMix, or mixing of some batches alone, isn't restated here")
    share = torch.distributions.Beta(mix["mixup"], mix["mixup"]).sample().item()
    other = torch.randperm(len(x))
    return share * x + (1 - share) * x[other], y, y[other], share


def learn(net, recipe, train, validation, shares, mode):
    """Epochs of a recipe; leaves the best network by the validation part. Without one, the last."""
    optim = optimizer(net, recipe, shares)
    average = lambda old, new, _: recipe["ema"] * old + (1 - recipe["ema"]) * new if new.is_floating_point() else new
    judged = torch.optim.swa_utils.AveragedModel(net, avg_fn=average, use_buffers=True) if recipe["ema"] > 0 else net
    epoch, step = len(train), 0
    best = (-1.0, None)
    stale = 0
    for _ in range(recipe["epochs"]):
        mode(net)
        for x, y in train:
            now = rate(recipe, step, epoch * recipe["epochs"], epoch)
            for group in optim.param_groups:
                group["lr"] = now * group["share"]
            x, y, other, share = mixed(x, y, recipe["mix"])
            scores = net(x)
            parts = [F.cross_entropy(scores, y, label_smoothing=recipe["label_smoothing"]) for y in (y, other)]
            loss = share * parts[0] + (1 - share) * parts[1]
            optim.zero_grad()
            loss.backward()
            if recipe["clip"] > 0:
                nn.utils.clip_grad_norm_([p for p in net.parameters() if p.requires_grad], recipe["clip"])
            optim.step()
            if judged is not net:
                judged.update_parameters(net)
            step += 1
        top1 = accuracy(judged, validation) if validation is not None else 0.0
        print(json.dumps({"validation_top1": top1, "loss": loss.item()}), file=sys.stderr, flush=True)
        if top1 > best[0] or validation is None:
            best, stale = (top1, copy.deepcopy(getattr(judged, "module", judged).state_dict())), 0
        else:
            stale += 1
            if 0 < recipe["patience"] <= stale:
                break
    net.load_state_dict(best[1])
    return best[0]


def resnet20():
    sys.path.insert(0, str(GOLDENS))
    import restatements

    return restatements.CifarResNet(20)


def train(run, options):
    recipe = run.plan["stages"][0]["recipe"]
    last = [T.ToTensor(), T.Normalize([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])]
    plain = T.Compose([T.Resize(32), T.CenterCrop(32), *last])
    load = dict(batch_size=recipe["batch_size"], num_workers=options.workers, persistent_workers=options.workers > 0)
    trains = DataLoader(Part(run, "train", augmentation(recipe, 32, last)), shuffle=True, drop_last=True, **load)
    rest = {name: DataLoader(Part(run, name, plain), **load) for name in ["validation", "test"]}
    net = resnet20()
    net.fc = nn.Linear(net.fc.in_features, len(trains.dataset.classes))
    start = time.perf_counter()
    learn(net, recipe, trains, rest["validation"], lambda _: 1.0, nn.Module.train)
    top1 = accuracy(net, rest["test"])
    report("train", top1, rest["test"], start)


def finetune(run, options):
    sys.path.insert(0, str(GOLDENS))
    import restatements
    from safetensors.torch import load_file

    torch.manual_seed(options.seed)
    size = run.plan["options"]["input_size"][0]
    last = [T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)]
    plain = T.Compose([T.Resize(size), T.CenterCrop(size), *last])
    net = restatements.xception_keras()
    found = {name: tensor.float() for name, tensor in load_file(run.plan["weights"]).items()}
    classes = Part(run, "train", plain).classes
    net.fc = nn.Linear(2048, len(classes))
    missing, unexpected = net.load_state_dict(found, strict=False)
    missing = [name for name in missing if not name.startswith("fc.") and "num_batches" not in name]
    assert not missing and not unexpected, (missing, unexpected)
    start = time.perf_counter()

    def loader(part, transform, batch, **more):
        return DataLoader(Part(run, part, transform), batch, num_workers=options.workers, **more)

    tests = loader("test", plain, 32)
    place = {name: index for index, name in enumerate(unit_names(net))}
    for stage in run.plan["stages"]:
        recipe = dict(stage["recipe"])
        if options.epochs and stage["name"] != "head":
            recipe["epochs"] = options.epochs
        if stage["thawed"] == "head":
            head(net, recipe, lambda part: loader(part, plain, 32), classes)
            report("head", accuracy(net, tests), tests, start)
            continue
        frozen = frozen_units(net, stage["thawed"])
        for name, param in net.named_parameters():
            param.requires_grad = unit_of(name) not in frozen

        def shares(name):
            above = len(place) - 1 - place[unit_of(name)]
            return recipe["layer_decay"] ** (0 if name.startswith("fc.") else above)

        def mode(net):
            net.train()
            still = set(unit_names(net)) if recipe["frozen_norms"] else frozen
            freeze_norms(net, still)

        trains = loader("train", augmentation(recipe, size, last), recipe["batch_size"], shuffle=True, drop_last=True)
        validation = loader("validation", plain, 32)
        best = learn(net, recipe, trains, validation, shares, mode)
        report(stage["name"], accuracy(net, tests), tests, start)
        if recipe.get("precise_norms") and stage is run.plan["stages"][-1]:
            precise = copy.deepcopy(net)
            trains = loader("train", plain, recipe["batch_size"], shuffle=True, drop_last=True)
            torch.optim.swa_utils.update_bn(trains, precise)
            kept = precise if accuracy(precise, validation) >= best else net
            report("precise norms", accuracy(kept, tests), tests, start)


def unit_of(name):
    return name.split(".")[0]


def unit_names(net):
    names = []
    for name, _ in net.named_parameters():
        if unit_of(name) not in names:
            names.append(unit_of(name))
    return names


def frozen_units(net, thawed):
    """The units that don't learn: none, or those below the upper half of the parameters."""
    if thawed == "all":
        return set()
    share = thawed["top"]
    size = lambda unit: sum(p.numel() for name, p in net.named_parameters() if unit_of(name) == unit)
    units = unit_names(net)
    total, taken, top = sum(map(size, units)), 0, {"fc"}
    for unit in reversed(units):
        if taken * 100 >= total * share:
            break
        taken += size(unit)
        top.add(unit)
    return set(units) - top


def freeze_norms(net, units):
    """Norms of these units keep their statistics, and normalise by them."""
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d) and unit_of(name) in units:
            module.eval()


def head(net, recipe, loader, classes):
    """The last layer alone, from features that are computed once."""
    fc, net.fc = net.fc, nn.Identity()
    net.eval()
    cached = {}
    with torch.inference_mode():
        for part in ["train", "validation"]:
            pairs = [(net(x), y) for x, y in loader(part)]
            cached[part] = tuple(torch.cat(side).clone() for side in zip(*pairs))
    net.fc = fc
    data = {part: torch.utils.data.TensorDataset(x.clone(), y.clone()) for part, (x, y) in cached.items()}
    train = DataLoader(data["train"], recipe["batch_size"], shuffle=True, drop_last=True)
    learn(fc, recipe, train, DataLoader(data["validation"], 64), lambda _: 1.0, nn.Module.train)


def report(stage, top1, tests, start):
    line = {"stage": stage, "top1": top1, "pictures": len(tests.dataset), "seconds": time.perf_counter() - start}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "finetune"])
    parser.add_argument("run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    {"train": train, "finetune": finetune}[options.what](Run(options.run), options)
