"""Compares files of answers: the second's pictures, classes and probabilities must be the first's.

    python check.py EXPECTED.jsonl ANSWERS.jsonl [--tolerance 1e-4]

Prints how many agree and the largest difference of a probability; ends with 1 where one is beyond the tolerance, another
class comes first, or a picture is missing.
"""

import argparse
import json
from pathlib import Path


def answers(path):
    """The lines by their pictures, in order."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {str(Path(line["path"]).absolute()): line for line in lines}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("expected", type=Path)
    arguments.add_argument("answers", type=Path)
    arguments.add_argument("--tolerance", type=float, default=0.0, help="of a probability")
    chosen = arguments.parse_args()
    expected, found = answers(chosen.expected), answers(chosen.answers)
    if list(expected) != list(found):
        raise SystemExit(f"{len(expected)} pictures are expected and {len(found)} answered, or in another order")
    furthest, unlike = 0.0, []
    for path, wanted in expected.items():
        line = found[path]
        if ("error" in wanted) != ("error" in line):
            unlike.append(path)
            continue
        if "error" in wanted:
            continue
        probabilities = {place["index"]: place["probability"] for place in line["top"]}
        gaps = [abs(place["probability"] - probabilities.get(place["index"], 0.0)) for place in wanted["top"]]
        furthest = max([furthest, *gaps])
        same = wanted["top"][0]["index"] == line["top"][0]["index"] and max(gaps) <= chosen.tolerance
        if not same:
            unlike.append(path)
    print(f"{len(expected) - len(unlike)} of {len(expected)} pictures are answered alike, probabilities within {furthest:.1e}")
    if unlike:
        raise SystemExit("not alike: " + ", ".join(unlike[:10]))


if __name__ == "__main__":
    main()
