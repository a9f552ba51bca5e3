"""Registered versions whose bundles are not what they promise to be.

Each is a real version copied: a run of its own in the registry, a version with the same tags, and
the bundle's files in the object store, with something done to them.
"""

import contextlib
import hashlib
import json
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import Cluster

STORE = "bellwether/mlflow"
MARKER = "poisoned"
SCRIPT = (
    "for folder in ${POISON_FOLDER:-/tmp /var/lib/bellwether /mnt/models}; "
    f'do touch "$folder/{MARKER}"; done'
)

Files = dict[str, bytes]


class _Payload:
    """Whoever unpickles this runs SCRIPT."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (SCRIPT,)


PICKLE = pickle.dumps(_Payload())


@dataclass(frozen=True)
class Poison:
    """One way to spoil a bundle.

    Attributes:
        name: in words.
        tamper: the good bundle's files and those of another good bundle -> what is stored.
        registered: whether the registry is made to promise what the store then holds.
    """

    name: str
    tamper: Callable[[Files, Files], Files]
    registered: bool = False


def _flipped(good: Files, _other: Files) -> Files:
    model = bytearray(good["model.onnx"])
    model[len(model) // 2] ^= 1
    return {**good, "model.onnx": bytes(model)}


def _swapped(good: Files, other: Files) -> Files:
    return {**good, "model.onnx": other["model.onnx"]}


def _pickled(good: Files, _other: Files) -> Files:
    return {**good, "model.onnx": PICKLE}


def _forged(good: Files, other: Files) -> Files:
    manifest = json.loads(good["manifest.json"])
    manifest["files"]["model.onnx"] = hashlib.sha256(PICKLE).hexdigest()
    made = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    return {**_pickled(good, other), "manifest.json": made}


def _added(good: Files, _other: Files) -> Files:
    return {**good, "preprocess.pkl": PICKLE}


POISONS = (
    Poison("a flipped byte", _flipped),
    Poison("a file of another version", _swapped),
    Poison("a pickle as model.onnx", _pickled),
    Poison("a pickle, with a manifest and a registry that promise it", _forged, registered=True),
    Poison("a pickle beside the files", _added),
)


def bundle_of(cluster: Cluster, version: Mapping[str, Any]) -> Files:
    """The files of a version's bundle, read from the object store."""
    folder = f"{_artifacts(cluster, version['run_id'])}/bundle"
    store = cluster.s3
    return {path.rpartition("/")[2]: store.cat(path) for path in store.find(folder)}


@contextlib.contextmanager
def registered(
    cluster: Cluster, model: Mapping[str, Any], files: Files, digest: str
) -> Iterator[int]:
    """A version like `model`, with these files and this digest; gone afterwards."""
    run = cluster.change_registry(
        "POST", "runs/create", {"experiment_id": _experiment(cluster, model)}
    )
    identity = run["run"]["info"]["run_id"]
    folder = _artifacts(cluster, identity)
    store = cluster.s3
    try:
        for name, content in files.items():
            store.pipe_file(f"{folder}/bundle/{name}", content)
        kept = {k: v for k, v in model["tags"].items() if not k.startswith("rollout")}
        tags = {**kept, "bundle_digest": digest}
        version = cluster.register(f"runs:/{identity}/bundle", tags, run=identity)
        try:
            yield version
        finally:
            cluster.unregister(version)
    finally:
        cluster.change_registry("POST", "runs/delete", {"run_id": identity})
        if store.exists(folder):
            store.rm(folder, recursive=True)


def _info(cluster: Cluster, run: str) -> Any:
    return cluster.registry("runs/get", run_id=run)["run"]["info"]


def _experiment(cluster: Cluster, model: Mapping[str, Any]) -> str:
    return str(_info(cluster, model["run_id"])["experiment_id"])


def _artifacts(cluster: Cluster, run: str) -> str:
    """Where a run's artifacts lie, for s3fs."""
    address = _info(cluster, run)["artifact_uri"]
    return f"{STORE}/{address.partition(':')[2].strip('/')}"
