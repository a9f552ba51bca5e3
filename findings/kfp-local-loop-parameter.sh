#!/usr/bin/env bash
# kfp 2.17.0, local execution: inside dsl.ParallelFor a task's parameter that comes from a task outside
# of the loop gets the loop's item instead, without a word. The same pipeline without the loop gets the
# other task's output. Here each shop of a loop should be told the region "eu", and is told its own name.
# Remedy: pass such a value as an artifact, or compute it inside the loop.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kfp==2.17.0
cat > "$work/program.py" <<'PYTHON'
import sys

from kfp import dsl, local

BASE = "python:3.11"


@dsl.component(base_image=BASE)
def find_region() -> str:
    return "eu"


@dsl.component(base_image=BASE)
def order(shop: str, region: str) -> str:
    print(f"SEEN shop={shop} region={region}")
    return shop


@dsl.pipeline
def in_a_loop():
    found = find_region()
    with dsl.ParallelFor(["north", "south"]) as shop:
        order(shop=shop, region=found.output)


@dsl.pipeline
def without_a_loop():
    order(shop="north", region=find_region().output)


local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1])
{"loop": in_a_loop, "plain": without_a_loop}[sys.argv[2]]()
PYTHON
"$work/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep '^kfp '
for which in plain loop; do
  "$work/venv/bin/python" "$work/program.py" "$work/root" "$which" > "$work/said" 2>&1
  echo "$which: $(grep -o 'SEEN shop=[a-z]* region=[a-z]*' "$work/said" | sort | tr '\n' ' ')"
  cp "$work/said" "$work/$which"
done
grep -q 'SEEN shop=north region=eu' "$work/plain"
grep -q 'SEEN shop=north region=north' "$work/loop" && grep -q 'SEEN shop=south region=south' "$work/loop"
