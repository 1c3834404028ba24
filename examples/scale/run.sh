#!/usr/bin/env bash
# Classifies a folder with `zoo predict`, Spark and Ray Data, compares the answers, and times one worker beside two:
# run.sh ZOO MODEL PICTURES [PYTHON]
set -euo pipefail
zoo=$(realpath "$1") model=$2 pictures=$3 python=${4:-python3}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$zoo" predict "$model" "$(realpath "$pictures")" --format jsonl > "$work/zoo.jsonl" || test $? = 1
"$zoo" export "$model" "$work/model.onnx" > "$work/told"
for workers in 1 2; do
  for engine in spark ray; do
    answers=$work/$engine-$workers.jsonl start=$(date +%s.%N)
    case $engine in
      spark) "$python" "$here/spark.py" --zoo "$zoo" --model "$model" --workers $workers --out "$answers" "$pictures" ;;
      ray) "$python" "$here/ray_data.py" --onnx "$work/model.onnx" --workers $workers --out "$answers" "$pictures" ;;
    esac 2> "$work/log" || { cat "$work/log" >&2; exit 1; }
    echo "$engine, $workers at once: $(echo "$(date +%s.%N) - $start" | bc) s"
    tolerance=0
    test $engine = spark || tolerance=1e-4
    "$python" "$here/check.py" "$work/zoo.jsonl" "$answers" --tolerance $tolerance
  done
done
