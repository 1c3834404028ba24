"""Writes what training programs leave behind: `python make_pth_training.py FOLDER`. Made with torch 2.15.0."""

import argparse
import collections
import os
import pathlib
import sys

import numpy as np
import torch

folder = sys.argv[1]
path = lambda name: os.path.join(folder, name)

raw = {"conv.weight": torch.arange(4.0).reshape(4, 1), "conv.bias": torch.ones(4)}
averaged = {name: tensor * 0.5 for name, tensor in raw.items()}
parameter = torch.nn.Parameter(torch.zeros(3))
optimizer = torch.optim.Adam([parameter])
parameter.sum().backward()
optimizer.step()


class Meter:
    def __init__(self):
        self.values = [1.0]


beside = {
    "epoch": 3,
    "arch": "resnet18",
    "best_acc1": torch.tensor(76.1),
    "loss": np.float64(0.25),
    "history": np.arange(3),
    "args": argparse.Namespace(lr=0.1, where=pathlib.PurePosixPath("/data"), device=torch.device("cpu")),
    "counts": collections.Counter(cat=3),
    "meter": Meter(),
    "dtype": torch.float16,
    "optimizer": optimizer.state_dict(),
}
torch.save(beside | {"state_dict": raw}, path("training.pth"))
torch.save(beside | {"state_dict": raw, "state_dict_ema": averaged}, path("averaged.pth"))
torch.save(beside | {"state_dict": raw}, path("training_legacy.pth"), _use_new_zipfile_serialization=False)
torch.save({"gen": raw, "disc": averaged}, path("two.pth"))
torch.save({"model": torch.nn.Linear(1, 1), "epoch": 1}, path("inner_module.pth"))
torch.jit.script(torch.nn.Linear(1, 1)).save(path("script.pt"))
torch.save({"model": {"state_dict": raw}, "ema": {"module": averaged}}, path("inner_ema.pth"))
torch.save(raw | {"conv.phase": torch.zeros(2, dtype=torch.complex64), "conv.mask": torch.eye(2).to_sparse()}, path("complex.pth"))
torch.save(raw | {"conv.bias": torch.ones(1).expand(4)}, path("expanded.pth"))
