"""Writes LeNet-5's bundled weights as PyTorch writes a state dict, in both of its formats, in half precision.

    python make_lenet5_pth.py          (needs torch and safetensors)
"""

from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent

state = load_file(HERE / "../../zoo/assets/lenet5.safetensors")
state = {name: tensor.half() for name, tensor in state.items()}
torch.save(state, HERE / "fixtures/lenet5.pth")
torch.save(state, HERE / "fixtures/lenet5-older.pth", _use_new_zipfile_serialization=False)
