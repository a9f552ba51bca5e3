"""`python -m benchmarks` measures in turn: features, ingest, pipeline, serving, callers who hold up, canary, quality, log."""

import argparse
import subprocess
import sys

from benchmarks import results

NAMES = ("features", "ingest", "pipeline", "serving", "held_up", "canary", "quality", "log_reading")

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(NAMES)}")
results.add_option(parser)
arguments = parser.parse_args()
if unknown := set(arguments.names) - set(NAMES):
    parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
for name in arguments.names or NAMES:
    print(f"== {name}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(arguments.out)]
    subprocess.run(command, check=True)
