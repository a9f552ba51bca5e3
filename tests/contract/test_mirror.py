"""Every module of the product is tested by a file of its name, or it is written down by which.

A module of the core, the components, the serving or the command says so in its docstring. Adapters
and pipelines are tested with the other side they talk to, real or replayed: the table below says
where. Both are checked: the test is there, and what it imports leads to the module.
"""

import ast
import re
import subprocess
from fnmatch import fnmatch
from functools import cache
from pathlib import PurePosixPath

import pytest

from tests.releases import ROOT

PRODUCT = ("bellwether", "components", "forecasting", "gradio_app", "pipelines", "serving")

GOLDEN = "tests/golden/test_pipelines.py"
TRAINING = "tests/integration/test_training_pipeline.py"
DRIFT = "tests/integration/test_drift_job.py"
REGISTRY = "tests/integration/test_registry.py"
SOURCES = "tests/contract/test_market_source.py"
TIINGO = "tests/contract/test_market_tiingo.py"
WORKFLOWS = "tests/contract/test_workflows.py"
BUNDLE = "tests/unit/forecasting/bundle/test_bundle.py"
LAKE = "tests/unit/forecasting/adapters/lake/test_lake.py"
FALLBACK = "tests/contract/test_market_fallback.py"
MARKET = "forecasting/adapters/market"

TESTED_BY = {
    "bellwether/__main__": "tests/integration/test_demo.py",
    "bellwether/adoption": "tests/integration/test_signed_versions.py",
    "components/*/component": GOLDEN,
    "components/image": GOLDEN,
    "components/register/step": TRAINING,
    "forecasting/adapters/cluster/api": "tests/unit/forecasting/adapters/cluster/test_routes.py",
    "forecasting/adapters/cluster/cluster": (
        "tests/unit/forecasting/adapters/cluster/test_routes.py"
    ),
    "forecasting/adapters/database_roles": "tests/integration/test_database_roles.py",
    "forecasting/adapters/drift/inputs": DRIFT,
    "forecasting/adapters/drift/reference": DRIFT,
    "forecasting/adapters/drift/report": DRIFT,
    "forecasting/adapters/inference": "tests/integration/test_server.py",
    "forecasting/adapters/realised": "tests/integration/test_realised_quality.py",
    "forecasting/adapters/ingest": FALLBACK,
    "forecasting/adapters/lake/bars": LAKE,
    "forecasting/adapters/lake/describe": "tests/contract/test_parity.py",
    "forecasting/adapters/lake/feature_store": LAKE,
    "forecasting/adapters/lake/fetch_record": FALLBACK,
    f"{MARKET}/fallback": FALLBACK,
    f"{MARKET}/http/answers": TIINGO,
    f"{MARKET}/http/retry": SOURCES,
    f"{MARKET}/http/web": TIINGO,
    f"{MARKET}/open": SOURCES,
    f"{MARKET}/providers/crypto": "tests/contract/test_market_ccxt.py",
    f"{MARKET}/providers/files": "tests/contract/test_market_files.py",
    f"{MARKET}/providers/sample": "tests/contract/test_market_sample.py",
    f"{MARKET}/providers/synthetic": SOURCES,
    f"{MARKET}/providers/tiingo": TIINGO,
    f"{MARKET}/providers/tinvest": "tests/contract/test_market_tinvest.py",
    f"{MARKET}/providers/tinvest_answers": "tests/contract/test_market_tinvest.py",
    f"{MARKET}/providers/yahoo": "tests/contract/test_market_yahoo.py",
    f"{MARKET}/providers/yahoo_worker": "tests/contract/test_market_yahoo.py",
    f"{MARKET}/source": SOURCES,
    f"{MARKET}/tables": "tests/contract/test_market_files.py",
    "forecasting/adapters/lake/publish": "tests/integration/test_publish.py",
    "forecasting/adapters/monitoring/queries": "tests/integration/test_prometheus.py",
    "forecasting/adapters/prediction_log/batches": (
        "tests/unit/forecasting/adapters/prediction_log/test_log.py"
    ),
    "forecasting/adapters/prediction_log/rows": (
        "tests/unit/forecasting/adapters/prediction_log/test_log.py"
    ),
    "forecasting/adapters/registry/registry": REGISTRY,
    "forecasting/adapters/registry/server": REGISTRY,
    "forecasting/adapters/workflows/client": WORKFLOWS,
    "forecasting/adapters/workflows/http": "tests/contract/test_workflow_requests.py",
    "forecasting/adapters/workflows/records": WORKFLOWS,
    "forecasting/adapters/workflows/schedules": "tests/contract/test_workflow_schedules.py",
    "forecasting/bundle/onnx_allowlist": BUNDLE,
    "forecasting/bundle/onnx_writer": BUNDLE,
    "gradio_app/__main__": "tests/browser/test_page.py",
    "pipelines/cluster": GOLDEN,
    "pipelines/cluster_names": GOLDEN,
    "pipelines/compile": GOLDEN,
    "pipelines/contents": "tests/contract/test_pipeline_commands.py",
    "pipelines/executor": TRAINING,
    "pipelines/ingestion": GOLDEN,
    "pipelines/refresh": GOLDEN,
    "pipelines/tasks": GOLDEN,
    "pipelines/training": GOLDEN,
    "serving/call_time": "tests/contract/test_v2_grpc.py",
    "serving/grpc_server": "tests/contract/test_v2_grpc.py",
    "serving/server": "tests/integration/test_server.py",
    "serving/v2_grpc": "tests/contract/test_v2_grpc.py",
    "serving/v2_rest": "tests/contract/test_v2_rest.py",
}
"""Module, or a pattern of modules, without its ending -> the test that covers it."""


def _modules():
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", *(f"{folder}/*.py" for folder in PRODUCT)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return [path.removesuffix(".py") for path in listed if not path.endswith("/__init__.py")]


MODULES = _modules()


def _mirror(module):
    path = PurePosixPath(module)
    return f"tests/unit/{path.parent}/test_{path.name}.py"


def _in_table(module):
    return [test for pattern, test in TESTED_BY.items() if fnmatch(module, pattern)]


@cache
def _tree(path):
    return ast.parse((ROOT / path).read_text())


def _in_docstring(module):
    """Tests that a module's docstring names; a bare name is beside its mirrored test."""
    text = ast.get_docstring(_tree(f"{module}.py")) or ""
    beside = PurePosixPath(_mirror(module)).parent
    named = re.findall(r"(?:tests/[\w/]+/)?test_\w+\.py", text)
    return [test if "/" in test else f"{beside}/{test}" for test in named]


@cache
def _imports(path):
    """Paths of the product and of tests/ that a file imports or starts, also in a function."""
    names = set()
    docstrings = {node.value for node in ast.walk(_tree(path)) if isinstance(node, ast.Expr)}
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and node not in docstrings:  # for python -m or -c
            names |= set(re.findall(r"\w+(?:\.\w+)+", str(node.value)))
    paths = {f"{name.replace('.', '/')}.py" for name in names}
    return {path for path in paths if path.split("/")[0] in {*PRODUCT, "tests"}} & _files()


@cache
def _files():
    return {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/*.py")} | {
        f"{module}.py" for module in MODULES
    }


@cache
def _reached(test):
    """Everything that a test's imports lead to."""
    beside = [f"{PurePosixPath(test).parent}/conftest.py", "tests/conftest.py"]
    reached, waiting = set(), [test, *(path for path in beside if path in _files())]
    while waiting:
        path = waiting.pop()
        reached.add(path)
        waiting += _imports(path) - reached
    return reached


WITHOUT_MIRROR = [module for module in MODULES if _mirror(module) not in _files()]


@pytest.mark.parametrize("module", WITHOUT_MIRROR)
def test_a_module_without_a_test_of_its_name_says_where_it_is_tested(module):
    text = ast.get_docstring(_tree(f"{module}.py")) or ""
    tests = [*_in_docstring(module), *_in_table(module)]
    assert tests or "no test of its own" in text, f"add {_mirror(module)}, or say where it is"
    assert [test for test in tests if test not in _files()] == []
    if not module.endswith("/__main__"):  # the tests start it by its package's name
        assert [test for test in tests if f"{module}.py" not in _reached(test)] == []


def test_the_table_names_only_modules_that_have_no_test_of_their_name():
    used = {
        pattern for pattern in TESTED_BY if any(fnmatch(one, pattern) for one in WITHOUT_MIRROR)
    }
    assert set(TESTED_BY) - used == set()
