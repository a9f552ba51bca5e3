"""`python -m benchmarks` measures everything in turn: features, ingest, pipeline, serving."""

import subprocess
import sys

for name in sys.argv[1:] or ["features", "ingest", "pipeline", "serving"]:
    print(f"== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
