"""The parts of KServe that serving uses, imported without what a model server never needs.

`kserve/__init__.py` imports the generated Kubernetes API client and some hundred API models: 46 MB
resident, 0.5 CPU-seconds. A package module that runs nothing stands in for it. Two of KServe's
modules import pandas for one method that is never called: 36 MB, 0.3 CPU-seconds. A stand-in imports the
real one when something of it is first used. What was imported before us is left as it is.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a package until an attribute of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


@contextmanager
def _pandas_later() -> Iterator[None]:
    if "pandas" in sys.modules:
        yield
        return
    later = _Later("pandas")
    later.__dict__["DataFrame"] = object  # named in an annotation, so asked for at import
    sys.modules["pandas"] = later
    try:
        yield
    finally:
        del sys.modules["pandas"]
        del later.__dict__["DataFrame"]


def _skip_package_init() -> None:
    if "kserve" in sys.modules:
        return
    found = find_spec("kserve")
    assert found is not None
    assert found.submodule_search_locations is not None
    spec = ModuleSpec("kserve", None, origin=found.origin, is_package=True)
    spec.submodule_search_locations = list(found.submodule_search_locations)
    package = ModuleType("kserve", "KServe, imported in parts.")
    package.__spec__ = spec
    package.__path__ = spec.submodule_search_locations
    sys.modules["kserve"] = package


_skip_package_init()
with _pandas_later():
    from kserve.model import Model
    from kserve.model_server import ModelServer, app
    from kserve.protocol.grpc import grpc_predict_v2_pb2
    from kserve.protocol.grpc.server import GRPCServer
    from kserve.protocol.rest.server import RESTServer, metrics_handler

__all__ = [
    "GRPCServer",
    "Model",
    "ModelServer",
    "RESTServer",
    "app",
    "grpc_predict_v2_pb2",
    "metrics_handler",
]
