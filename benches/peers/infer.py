"""An engine's answers to one input, timed: what the program `infer` is for the zoo's own.

Usage: infer.py convert ENGINE FOLDER                     what the engine reads instead of ONNX, if it does: once
       infer.py run ENGINE FOLDER THREADS RUNS SECONDS    at least so many timed runs, and seconds of them

ENGINE is onnxruntime, openvino, ncnn, mnn, pytorch (its memory laid out channel by channel) or pytorch_channels_last.
FOLDER holds `model.onnx`, with a fixed batch and size, `one.onnx`, the same for one picture if the batch is larger, and
`input.npy`; conversions lie beside them, and the output goes to `ENGINE.f32`, row by row, little-endian. Everything is computed in f32.

It prints one line of JSON: run_ms, peak_mib (the most memory, less what was resident before the network was loaded),
process_mib (the most of the whole process, the interpreter and the engine's own code included), version, simd (the instruction set in use, as the engine tells it, or
null); or a reason.
"""

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path

WARM_UP = 3
PACKAGES = {"mnn": "MNN", "pytorch": "torch", "pytorch_channels_last": "torch"}


def load(package):
    """An engine's package, or the reason why there is none."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        stop(f"{sys.executable} can't import {package} ({error}); pip install {package}")


def stop(reason):
    print(json.dumps({"reason": reason}))
    sys.exit(1)


def tool(name, *arguments, cwd):
    """A converter that came with an engine."""
    path = Path(sys.executable).parent / name
    try:
        done = subprocess.run([path if path.exists() else name, *arguments], cwd=cwd, capture_output=True, text=True)
    except FileNotFoundError:
        stop(f"there is no {name}, which makes its network; `pip install pnnx MNN` brings it")
    if done.returncode != 0:
        last = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        stop(f"{name} can't convert the network: {last[-1] if last else done.returncode}")


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


# ---- the engines: each takes the folder, the input and the number of threads, and gives a function of nothing ----------

def onnxruntime(folder, x, threads):
    runtime = load("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    before_loading()
    session = runtime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"input": x})[0]


def openvino(folder, x, threads):
    vino = load("openvino")
    before_loading()
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = vino.Core().compile_model(folder / "model.onnx", "CPU", settings | {"PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    request.set_input_tensor(vino.Tensor(x, shared_memory=True))

    def run():
        request.infer()
        return request.get_output_tensor(0).data

    def simd():
        nodes = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
        convolutions = [node for node in nodes if node["layerType"].astype(str) == "Convolution"]
        return ", ".join(sorted({node["primitiveType"].astype(str) for node in convolutions}))

    run.simd = simd
    return run


def ncnn(folder, x, threads):
    """One picture at a time: it knows no batch."""
    engine = load("ncnn")
    before_loading()
    net = engine.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    # Half of f32's digits would be another answer.
    for half in ["use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"]:
        setattr(net.opt, half, False)
    net.load_param(str(folder / "ncnn.param"))
    net.load_model(str(folder / "ncnn.bin"))
    pictures = [engine.Mat(picture) for picture in x]
    # One picture's dimensions are those of its answer: the array is made when the first one is known.
    def answer(picture):
        extractor = net.create_extractor()
        extractor.input("in0", picture)
        code, out = extractor.extract("out0")
        if code != 0:
            raise RuntimeError(f"ncnn's extractor gives {code}")
        return out

    def run():
        return np.stack([np.array(answer(picture), copy=False) for picture in pictures])

    return run


def mnn(folder, x, threads):
    engine = load("MNN")
    before_loading()
    settings = {"precision": "high", "backend": "CPU", "numThread": threads}
    manager = engine.nn.create_runtime_manager((settings,))
    net = engine.nn.load_module_from_file(
        str(folder / "model.mnn"), ["input"], [output_name(folder)], runtime_manager=manager
    )
    picture = engine.expr.placeholder(list(x.shape), engine.expr.NCHW)
    picture.write(np.ascontiguousarray(x).tobytes() if not hasattr(picture, "write") else x)

    def run():
        out = net.forward([picture])[0]
        if out.data_format != engine.expr.NCHW:
            out = engine.expr.convert(out, engine.expr.NCHW)
        return out.read()

    return run


def pytorch(folder, x, threads, layout="contiguous_format"):
    """PyTorch's own operations in the order of the file, as its eager mode runs them."""
    torch = load("torch")
    torch.set_num_threads(threads)
    before_loading()
    net = translated(folder, getattr(torch, layout))
    picture = torch.from_numpy(x).to(memory_format=getattr(torch, layout))

    def run():
        with torch.inference_mode():
            return net(picture)

    def answer():
        return run().contiguous().numpy()

    answer.simd = lambda: f"ATen {torch.backends.cpu.get_cpu_capability()}"
    return answer


def pytorch_channels_last(folder, x, threads):
    return pytorch(folder, x, threads, "channels_last")


ENGINES = {
    engine.__name__: engine for engine in [onnxruntime, openvino, ncnn, mnn, pytorch, pytorch_channels_last]
}


# ---- PyTorch -----------------------------------------------------------------------------------------------------------

def translated(folder, layout):
    """The network of the file as a function of PyTorch's."""
    import torch
    import torch.nn.functional as F

    onnx = load("onnx")
    model = onnx.load(folder / "model.onnx")
    graph = model.graph

    def tensor(initializer):
        values = torch.from_numpy(onnx.numpy_helper.to_array(initializer).copy())
        return values.to(memory_format=layout) if values.dim() == 4 else values

    known = {initializer.name: tensor(initializer) for initializer in graph.initializer}
    output = graph.output[0].name
    readers = {}
    for place, node in enumerate(graph.node):
        for name in node.input:
            readers[name] = place

    def attributes(node):
        return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}

    def pooled(x, a, pool, fill):
        top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
        pads = (top, left)
        if (top, left) != (bottom, right):
            x, pads = F.pad(x, (left, right, top, bottom), value=fill), (0, 0)
        return pool(x, a["kernel_shape"], a["strides"], pads)

    def averaged(x, a):
        pads = a.get("pads", [0, 0, 0, 0])
        if pads[:2] == pads[2:] or a.get("count_include_pad"):
            counts = bool(a.get("count_include_pad"))
            return pooled(x, a, lambda x, k, s, p: F.avg_pool2d(x, k, s, p, count_include_pad=counts), 0.0)
        ones = pooled(torch.ones_like(x[:1, :1]), a, F.avg_pool2d, 0.0)
        return pooled(x, a, F.avg_pool2d, 0.0) / ones

    def convolved(x, w, b, a):
        top, left, bottom, right = a["pads"]
        if (top, left) != (bottom, right):
            x, (top, left) = F.pad(x, (left, right, top, bottom)), (0, 0)
        return F.conv2d(x, w, b, a["strides"], (top, left), a["dilations"], a["group"])

    def sliced(x, starts, ends, axes, steps=None):
        for i, axis in enumerate(axes.tolist()):
            index = [slice(None)] * x.dim()
            index[axis] = slice(int(starts[i]), min(int(ends[i]), x.shape[axis]), int(steps[i]) if steps is not None else 1)
            x = x[tuple(index)]
        return x

    def unsqueezed(x, axes):
        for axis in axes.tolist():
            x = x.unsqueeze(axis)
        return x

    def resized(x, sizes, a):
        corners = a["coordinate_transformation_mode"] == b"align_corners"
        return F.interpolate(x, [int(s) for s in sizes[2:]], mode="bilinear", align_corners=corners)

    def padded(x, pads):
        half = len(pads) // 2
        sides = [int(p) for axis in reversed(range(half)) for p in (pads[axis], pads[half + axis])]
        return F.pad(x, sides)

    def last(place, name):
        return readers.get(name) == place and name not in known and name not in ("input", output)

    steps = []
    for place, node in enumerate(graph.node):
        a, kind = attributes(node), node.op_type
        # What nobody else reads may be written over, as people write their networks.
        over = last(place, node.input[0]) and list(node.input).count(node.input[0]) == 1
        step = {
            "Conv": lambda v, a=a: convolved(v[0], v[1], v[2] if len(v) > 2 else None, a),
            "ConvTranspose": lambda v, a=a: F.conv_transpose2d(
                v[0], v[1], v[2] if len(v) > 2 else None, a["strides"], a["pads"][:2],
                a.get("output_padding", [0, 0]), a["group"], a["dilations"]),
            "BatchNormalization": lambda v, a=a: F.batch_norm(v[0], v[3], v[4], v[1], v[2], False, 0.0, a["epsilon"]),
            "Relu": (lambda v: F.relu_(v[0])) if over else (lambda v: F.relu(v[0])),
            "Clip": (lambda v: F.relu6(v[0], inplace=True)) if over else (lambda v: F.relu6(v[0])),
            "Sigmoid": lambda v: torch.sigmoid(v[0]),
            "Tanh": lambda v: torch.tanh(v[0]),
            "MaxPool": lambda v, a=a: pooled(v[0], a, F.max_pool2d, float("-inf")),
            "AveragePool": lambda v, a=a: averaged(v[0], a),
            "GlobalAveragePool": lambda v: F.adaptive_avg_pool2d(v[0], 1),
            "Gemm": lambda v: F.linear(*v),
            "Flatten": lambda v: torch.flatten(v[0], 1),
            "Add": (lambda v: v[0].add_(v[1])) if over else (lambda v: v[0] + v[1]),
            "Sum": lambda v: sum(v[1:], v[0]),
            "Sub": lambda v: v[0] - v[1],
            "Mul": (lambda v: v[0].mul_(v[1])) if over else (lambda v: v[0] * v[1]),
            "Div": lambda v: v[0] / v[1],
            "Pow": lambda v: v[0] ** v[1],
            "Neg": lambda v: -v[0],
            "MatMul": lambda v: torch.matmul(v[0], v[1]),
            "Concat": lambda v, a=a: torch.cat(v, a["axis"]),
            "Gather": lambda v, a=a: v[0].index_select(a["axis"], v[1]),
            "Softmax": lambda v, a=a: torch.softmax(v[0], a["axis"]),
            "LRN": lambda v, a=a: F.local_response_norm(v[0], a["size"], a["alpha"], a["beta"], a["bias"]),
            "ReduceSumSquare": lambda v, a=a: v[0].square().sum(a["axes"]),
            "Unsqueeze": lambda v: unsqueezed(v[0], v[1]),
            "Slice": lambda v: sliced(*v),
            "Resize": lambda v, a=a: resized(v[0], v[-1], a),
            "Pad": lambda v: padded(v[0], v[1]),
            "Identity": lambda v: v[0],
        }.get(kind)
        if step is None:
            stop(f"the translation into PyTorch knows no {kind} (`{node.name}`)")
        done = [name for name in set(node.input) if last(place, name)]
        steps.append((step, [name for name in node.input if name], node.output[0], done))

    def forward(x):
        values = {"input": x}
        for step, inputs, result, done in steps:
            values[result] = step([values[name] if name in values else known[name] for name in inputs])
            for name in done:
                values.pop(name, None)
        return values[output]

    return forward


# ---- one process -------------------------------------------------------------------------------------------------------

def output_name(folder):
    return (folder / "output.txt").read_text().strip()


def is_made(path, source):
    """Whether what is made of a file is there, and younger than it."""
    return path.exists() and path.stat().st_mtime_ns >= source.stat().st_mtime_ns


def convert(engine, folder):
    # A network that is converted already stays as it is.
    model = folder / "model.onnx"
    if engine == "ncnn" and not is_made(folder / "ncnn.bin", model):
        load("ncnn")
        shape = list(np.load(folder / "input.npy", mmap_mode="r").shape)
        # It wants one picture, as it will be given, and weights as they are.
        shape[0] = 1
        file = "one.onnx" if (folder / "one.onnx").exists() else "model.onnx"
        tool("pnnx", file, f"inputshape=[{','.join(map(str, shape))}]f32", "fp16=0", "optlevel=2",
             "ncnnparam=ncnn.param", "ncnnbin=ncnn.part", "ncnnpy=/dev/null", "pnnxpy=/dev/null",
             "pnnxparam=/dev/null", "pnnxbin=/dev/null", "pnnxonnx=/dev/null", cwd=folder)
        os.replace(folder / "ncnn.part", folder / "ncnn.bin")
    if engine == "mnn" and not is_made(folder / "model.mnn", model):
        load("MNN")
        tool("mnnconvert", "-f", "ONNX", "--modelFile", "model.onnx", "--MNNModel", "model.part", "--bizCode", "zoo",
             cwd=folder)
        os.replace(folder / "model.part", folder / "model.mnn")
    return {}


resident = None


def before_loading():
    """Called by every engine once its code is loaded, and before the network is."""
    global resident
    resident = before()


def run(engine, folder, threads, runs, seconds):
    x = np.load(folder / "input.npy")
    answer = ENGINES[engine](folder, x, threads)
    for _ in range(WARM_UP):
        out = answer()
    np.ascontiguousarray(out, dtype="<f4").tofile(folder / f"{engine}.f32")
    times = []
    start = time.perf_counter()
    while len(times) < runs or time.perf_counter() - start < seconds:
        begun = time.perf_counter()
        answer()
        times.append((time.perf_counter() - begun) * 1e3)
    most = None if resident is None else status("VmHWM:")
    return {
        "version": f"{engine} {importlib.metadata.version(PACKAGES.get(engine, engine))}",
        "simd": answer.simd() if hasattr(answer, "simd") else None,
        "run_ms": times,
        "peak_mib": None if most is None else max(most - resident, 0) / 1024,
        "process_mib": None if most is None else most / 1024,
    }


if len(sys.argv) < 3 or sys.argv[2] not in ENGINES:
    sys.exit(__doc__)
try:
    import numpy as np
except ImportError as error:
    stop(f"{sys.executable} can't import numpy ({error}); pip install numpy")

command, engine = sys.argv[1], sys.argv[2]
try:
    if command == "convert":
        result = convert(engine, Path(sys.argv[3]))
    else:
        folder, threads, runs, seconds = Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])
        result = run(engine, folder, threads, runs, seconds)
except Exception as error:
    stop(f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'without a word'}")
print(json.dumps(result))
