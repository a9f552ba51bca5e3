"""Compile the pipelines for a cluster: `python -m pipelines.compile [--out DIR] [--image IMAGE]`."""

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from components.image import IMAGE
from forecasting.adapters.workflows.client import NAMES, TRAINING
from forecasting.errors import InvalidSettings
from pipelines.cluster_names import ClusterNames

OUT: Final = Path(__file__).resolve().parent.parent / "tests" / "golden"


def package(
    name: str,
    *,
    image: str = IMAGE,
    names: ClusterNames = ClusterNames(),  # noqa: B008 - frozen
) -> str:
    """One pipeline as Kubeflow Pipelines takes it: the same arguments always give the same text.

    Args:
        name: one of `NAMES`.
        image: image every step runs in.
        names: what its steps find in their namespace.

    Returns:
        Two YAML documents: the pipeline, and what Kubernetes gives its steps.

    Raises:
        InvalidSettings: there is no such pipeline.
    """
    if name not in NAMES:
        raise InvalidSettings(f"a pipeline is one of {', '.join(NAMES)}", f"{name!r} was given")
    # KFP 2.17 reads the source of the whole call stack at each setting of a task: a new thread's
    # stack is short, and compiling there takes a fraction of the time.
    with ThreadPoolExecutor(max_workers=1) as thread:
        compiled = thread.submit(_compile, name, names).result()
    return compiled.replace(f"image: {IMAGE}", f"image: {image}")


def _compile(name: str, names: ClusterNames) -> str:
    from kfp.compiler import Compiler

    from pipelines.cluster import on_cluster
    from pipelines.refresh import refresh
    from pipelines.training import training

    pipeline = (
        on_cluster(training, names, job="training", last_step="register")
        if name == TRAINING
        else on_cluster(refresh, names, job="refresh", last_step="publish")
    )
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "package.yaml"
        Compiler().compile(pipeline, package_path=str(draft))
        return draft.read_text()


def compile_pipelines(out: Path, image: str = IMAGE) -> list[Path]:
    """Write training.yaml and refresh.yaml, each whole or not at all.

    Args:
        out: folder to write into.
        image: image every step runs in.

    Returns:
        The files written.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in NAMES:
        target = out / f"{name.removeprefix('bellwether-')}.yaml"
        draft = target.with_name(f".{target.name}.part")
        draft.write_text(package(name, image=image))
        written.append(draft.replace(target))
    return written


def main() -> None:
    """Compile from the command line."""
    parser = argparse.ArgumentParser(description="Compile the pipelines for a cluster.")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write into")
    parser.add_argument("--image", default=IMAGE, help="image every step runs in")
    arguments = parser.parse_args()
    for path in compile_pipelines(arguments.out, arguments.image):
        print(path)  # noqa: T201 - the command's answer


if __name__ == "__main__":
    main()
