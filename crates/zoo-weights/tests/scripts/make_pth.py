"""Writes the .pth fixtures: `python make_pth.py FOLDER`. Made with torch 2.15.0, safetensors 0.8."""

import collections
import os
import pickle
import sys
import zipfile

import torch
from safetensors.torch import save_file

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
path = lambda name: os.path.join(folder, name)

base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 8 - 1
tensors = collections.OrderedDict(
    f32=base,
    f16=base.half(),
    bf16=base.bfloat16(),
    f64=base.double() * (1 + 2.0**-40),
    i64=torch.tensor([-(2**40), 0, 7]),
    i32=torch.tensor([-5, 5], dtype=torch.int32),
    i16=torch.tensor([-300], dtype=torch.int16),
    i8=torch.tensor([-3, 3], dtype=torch.int8),
    u8=torch.tensor([200, 1], dtype=torch.uint8),
    boolean=torch.tensor([True, False, True]),
    num_batches_tracked=torch.tensor(41),
    empty=torch.zeros(0, 3),
    transposed=base.permute(2, 0, 1),
    every_other=base[:, ::2, 1:3],
    channels_last=torch.arange(24, dtype=torch.float16).reshape(1, 2, 3, 4).contiguous(
        memory_format=torch.channels_last
    ),
    tail=base.flatten()[20:],
    parameter=torch.nn.Parameter(torch.tensor([0.5, 0.25])),
)

torch.save(tensors, path("zip.pth"))
torch.save(tensors, path("legacy.pth"), _use_new_zipfile_serialization=False)
torch.save({"epoch": 3, "optim": {"lr": 0.1}, "model_state_dict": tensors}, path("nested.pth"))
save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, path("twin.safetensors"))

net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
for p in net.parameters():
    torch.nn.init.constant_(p, 0.125)
torch.save(torch.nn.DataParallel(net).state_dict(), path("wrapped.pth"))
torch.save(net, path("module.pth"))
torch.save(torch.zeros(3), path("tensor.pth"))


class Evil:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


torch.save({"weight": torch.zeros(1), "x": Evil()}, path("evil.pth"))
with open(path("evil_legacy.pth"), "wb") as file:
    magic, protocol = 0x1950A86A20F9469CFC6C, 1001
    for part in (magic, protocol, {"little_endian": True}, {"x": Evil()}, []):
        pickle.dump(part, file, protocol=2)

# The same members, compressed: no program writes this.
with zipfile.ZipFile(path("zip.pth")) as plain, zipfile.ZipFile(
    path("compressed.pth"), "w", zipfile.ZIP_DEFLATED
) as packed:
    for name in plain.namelist():
        packed.writestr(zipfile.ZipInfo(name), plain.read(name), zipfile.ZIP_DEFLATED)
