"""The compiled pipelines are in git, so that a review sees what a change does to them."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from components.image import IMAGE

GOLDEN = Path(__file__).parent
ROOT = GOLDEN.parent.parent


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Both pipelines, compiled by the command in a process of its own."""
    out = tmp_path_factory.mktemp("compiled")
    command = [sys.executable, "-m", "pipelines.compile", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=dict(os.environ))
    return out


@pytest.mark.parametrize("name", ["training", "refresh"])
def test_a_compiled_pipeline_is_the_one_in_git(compiled, name):
    found = (compiled / f"{name}.yaml").read_text()
    assert found == (GOLDEN / f"{name}.yaml").read_text(), "run `make golden` and read the diff"


def test_compiling_leaves_nothing_else_behind(compiled):
    assert sorted(path.name for path in compiled.iterdir()) == ["refresh.yaml", "training.yaml"]


def _spec(name):
    return yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())


def _executors(name):
    spec = _spec(name)
    return spec["deploymentSpec"]["executors"]


@pytest.mark.parametrize("name", ["training", "refresh"])
def test_every_step_runs_in_the_one_image_with_limits(name):
    for executor in _executors(name).values():
        container = executor["container"]
        assert container["image"] == IMAGE
        assert container["resources"]["resourceCpuLimit"]
        assert container["resources"]["resourceMemoryLimit"]
        assert container["resources"]["resourceCpuRequest"]
        assert container["resources"]["resourceMemoryRequest"]


@pytest.mark.parametrize("name", ["training", "refresh"])
def test_no_step_installs_anything(name):
    assert "pip install" not in (GOLDEN / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", ["training", "refresh"])
def test_the_body_of_a_step_is_one_import_and_one_call(name):
    for executor in _executors(name).values():
        (program,) = [text for text in executor["container"]["command"] if "def " in text]
        body = program.split('"""')[-1]
        statements = [line for line in body.splitlines() if re.match(r"    \S", line)]
        assert next(line.split()[0] for line in statements if line.strip() != ")") == "from"
        assert len([line for line in statements if "run(" in line]) == 1
        assert len([line for line in statements if line.strip() != ")"]) == 2


def test_prices_are_fetched_anew_every_time_and_models_are_reused_for_the_same_data():
    tasks = _spec("training")["root"]["dag"]["tasks"]
    for step in ("ingest", "evaluate", "register"):
        assert not tasks[step]["cachingOptions"].get("enableCache", False)
    assert tasks["features"]["cachingOptions"]["enableCache"]
    loop = _spec("training")["components"]["comp-for-loop-1"]["dag"]["tasks"]
    assert loop["train"]["cachingOptions"]["enableCache"]


def test_the_parameters_of_a_training_are_visible_with_their_defaults():
    shown = _spec("training")["root"]["inputDefinitions"]["parameters"]
    defaults = {name: one["defaultValue"] for name, one in shown.items()}
    assert defaults == {
        "symbols": "",
        "source": "sample",
        "source_options": "",
        "interval": "1d",
        "dataset": "default",
        "train_until": "",
        "candidates": ["random_forest", "xgboost", "ridge", "random_walk"],
        "folds": 6,
        "tuning_trials": 0,
        "select_features": False,
        "horizon": 30,
        "alpha": 0.05,
        "seed": 7,
        "who": "pipeline",
    }
    assert all(one["description"] for one in shown.values())


def test_the_laptops_defaults_are_the_pipelines():
    from pipelines.runs import RefreshParams, TrainingParams

    for name, params in (("training", TrainingParams()), ("refresh", RefreshParams())):
        shown = _spec(name)["root"]["inputDefinitions"]["parameters"]
        defaults = {key: one["defaultValue"] for key, one in shown.items()}
        arguments = params.arguments()
        arguments["source_options"] = arguments["source_options"].replace("{}", "")
        assert arguments == defaults


def test_another_image_can_be_asked_for(tmp_path):
    from pipelines.compile import compile_pipelines

    for path in compile_pipelines(tmp_path, image="example.org/own:1"):
        assert "image: example.org/own:1" in path.read_text()
        assert IMAGE not in path.read_text()


def test_the_images_tag_is_the_packages_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert IMAGE.rpartition(":")[2] == project["version"]
