"""Classifies pictures with Spark: each task pipes its paths through a `zoo predict` that stays alive.

    python spark.py --model MODEL --out answers.jsonl PICTURES…  [--zoo PATH] [--workers N]

Needs `pip install pyspark` and a Java. On a cluster, the program, the model's file and the pictures lie where every worker
finds them, and `--master` names the cluster.
"""

import argparse
import shlex
import time
from pathlib import Path

from pyspark.sql import SparkSession

from pictures import listed


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("pictures", nargs="+", type=Path, help="pictures, or folders of them")
    arguments.add_argument("--model", required=True, help="an architecture's name, or a file of `zoo convert`")
    arguments.add_argument("--zoo", default="zoo", help="the program")
    arguments.add_argument("--workers", type=int, default=2, help="tasks at once")
    arguments.add_argument("--master", help="the cluster, instead of this machine")
    arguments.add_argument("--out", required=True, type=Path, help="the file of answers to write")
    chosen = arguments.parse_args()

    # The order of the answers is that of the paths.
    paths = [str(path.absolute()) for path in listed(chosen.pictures)]
    spark = SparkSession.builder.master(chosen.master or f"local[{chosen.workers}]").appName("zoo").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    begun = time.monotonic()
    # One thread each: the tasks are what runs side by side.
    call = [chosen.zoo, "predict", chosen.model, "--files-from", "-", "--format", "jsonl", "--threads", "1"]
    # A picture that can't be read has its line, and makes the program end with 1, so the code says nothing here.
    lines = spark.sparkContext.parallelize(paths, chosen.workers).pipe(shlex.join(call)).collect()
    took = time.monotonic() - begun
    spark.stop()
    if len(lines) != len(paths):
        raise SystemExit(f"{len(lines)} answers to {len(paths)} pictures: see what `{shlex.join(call)}` says")
    chosen.out.write_text("".join(line + "\n" for line in lines))
    print(f"{len(lines)} pictures in {took:.1f} s, {len(lines) / took:.1f} a second")


if __name__ == "__main__":
    main()
