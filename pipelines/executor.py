"""The process that runs one pipeline through KFP's local runner: `python -m pipelines.executor DIR`.

KFP's local runner rewires logging, print and a global configuration, and not thread-safely, so
it gets a process of its own; `pipelines.local` starts it and reads what it leaves in DIR:
outcome.json (the pipeline's outputs), log.txt, and the steps' events (`components.report`).
"""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any, Final

from components.report import RUN_REQUEST

OUTCOME: Final = "outcome.json"


def execute(folder: Path) -> None:
    """Run the pipeline that DIR/request.json names, and write DIR/outcome.json.

    Args:
        folder: the run's folder, absolute.

    Raises:
        RuntimeError: a step failed; the steps' events say which and why.
    """
    request = json.loads((folder / RUN_REQUEST).read_text())
    # Limits, retries and images mean something on a cluster; here they are known to do nothing.
    warnings.filterwarnings("ignore", message="Task '.*': settings", category=UserWarning)
    warnings.filterwarnings("ignore", message="You may be attemping", category=RuntimeWarning)
    from kfp import local

    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "outputs"),
        enable_caching=True,
        cache_root=request["cache"],
    )
    pipeline = _pipeline(request["pipeline"])
    _fail_at_once(pipeline.pipeline_spec)
    task = pipeline(**request["arguments"])
    outputs = {name: getattr(output, "path", output) for name, output in task.outputs.items()}
    draft = folder / f".{OUTCOME}"
    draft.write_text(json.dumps(outputs))
    draft.replace(folder / OUTCOME)


def _pipeline(name: str) -> Any:
    if name == "training":
        from pipelines.training import training

        return training
    from pipelines.refresh import refresh

    return refresh


def _fail_at_once(spec: Any) -> None:
    """Take the retries out of a pipeline: somebody is waiting, and the sources retry themselves."""
    dags = [spec.root.dag, *(component.dag for component in spec.components.values())]
    for dag in dags:
        for task in dag.tasks.values():
            task.ClearField("retry_policy")


if __name__ == "__main__":
    os.environ["PYTHONUNBUFFERED"] = "1"
    execute(Path(sys.argv[1]))
