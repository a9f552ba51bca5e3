"""Provenance of a result: git revision, versions of packages, and what the run was asked for."""

import json
import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from components.report import RUN_DIR, RUN_REQUEST

REVISION: Final = "BELLWETHER_GIT_REVISION"
"""Variable that carries the revision into images, which hold no checkout."""

_OF_ONE_RUN: Final = frozenset({"who", "train_until", "shards"})

PACKAGES: Final = (
    "bellwether",
    "kfp",
    "mlflow",
    "numpy",
    "onnxruntime",
    "pandas",
    "scikit-learn",
    "ta-lib",
    "xgboost-cpu",
)


def git_revision() -> str:
    """Commit of our own checkout, with "+changes" if files differ from it.

    Outside a checkout the variable BELLWETHER_GIT_REVISION counts, and without it "unknown".
    """
    root = Path(__file__).resolve().parent.parent
    if _git(root, "rev-parse", "--show-toplevel") == str(root):
        commit = _git(root, "rev-parse", "HEAD")
        if commit:
            changed = _git(root, "status", "--porcelain", "--untracked-files=no")
            return f"{commit}+changes" if changed else commit
    return os.environ.get(REVISION) or "unknown"


def package_versions() -> dict[str, str]:
    """Versions of the packages a model depends on, by name; those not installed are left out."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def training_request() -> str:
    """What this run on a laptop was asked for, as JSON, so that a retraining can start from it.

    Left out is what belongs to one run alone: who asked, where training ends, how prices are fetched.
    On a cluster the schedule holds the request, and this is "".
    """
    folder = os.environ.get(RUN_DIR)
    if not folder:
        return ""
    arguments = json.loads((Path(folder) / RUN_REQUEST).read_text())["arguments"]
    asked = {name: value for name, value in arguments.items() if name not in _OF_ONE_RUN}
    return json.dumps(asked, sort_keys=True)


def _git(root: Path, *arguments: str) -> str:
    try:
        result = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            ["git", "-C", str(root), *arguments],  # noqa: S607 - git is found on the PATH
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
