"""What `zoo advise` promises, measured: runs each command that it gives, and prints a table in Markdown.

    python3 remedies.py ZOO MODEL PICTURES [--batch N] [--memory SIZE]

PICTURES is a folder with a folder for each class. Each run trains for one epoch in a process of its own, whose peak is that of
the whole process, as the system counts it.
"""

import argparse
import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path


def peak(call):
    """Bytes that a call takes at most."""
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{shlex.join(call)}: {said}")
    return 1024 * usage.ru_maxrss


def shown(size):
    """Bytes as the program prints them."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("zoo", help="the program")
    arguments.add_argument("model", help="a network")
    arguments.add_argument("pictures", type=Path, help="a folder for each class")
    arguments.add_argument("--batch", type=int, default=32, help="pictures for each step")
    arguments.add_argument("--memory", default="2GiB", help="what there is")
    chosen = arguments.parse_args()
    data = ["--data", str(chosen.pictures), "--batch", str(chosen.batch), "--memory", chosen.memory, "--format", "json"]
    advice = json.loads(subprocess.check_output([chosen.zoo, "advise", chosen.model, *data]))
    plain = {
        "name": "as it is",
        "predicted_bytes": advice["plain"]["predicted_bytes"],
        "command": f"zoo train {chosen.model} --data {chosen.pictures} --batch {chosen.batch}",
    }
    print("| remedy | predicted | measured | saves, measured |\n|---|---:|---:|---:|")
    whole = None
    for remedy in [plain, *advice["remedies"]]:
        with tempfile.TemporaryDirectory() as folder:
            call = [chosen.zoo, *shlex.split(remedy["command"])[1:], "--epochs", "1", "-o", f"{folder}/run"]
            measured = peak(call)
        whole = whole or measured
        saves = "" if remedy is plain else f"{100 * (1 - measured / whole):.0f} %"
        print(f"| {remedy['name']} | {shown(remedy['predicted_bytes'])} | {shown(measured)} | {saves} |", flush=True)


if __name__ == "__main__":
    main()
