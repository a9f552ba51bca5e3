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
from forecasting.errors import InvalidSettings
from pipelines.cluster_names import ClusterNames
from pipelines.compile import package

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
    return next(yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text()))


def _on_kubernetes(name):
    """What Kubernetes gives each step, by the step's name."""
    _, platform = yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {key.removeprefix("exec-"): given for key, given in executors.items()}


def _tasks(name):
    """Every task of every graph in the pipeline, by its name."""
    spec = _spec(name)
    graphs = [spec["root"], *(one for one in spec["components"].values() if "dag" in one)]
    return {key: task for graph in graphs for key, task in graph["dag"]["tasks"].items()}


STEPS = {
    "training": {
        "fetch",
        "ingest",
        "features",
        "train",
        "evaluate",
        "register",
        "recalibrate",
        "record",
    },
    "refresh": {"needs", "fetch", "ingest", "publish", "recalibrate", "forecast", "record"},
}


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


@pytest.mark.parametrize("name", ["training", "refresh"])
def test_what_looks_at_the_world_runs_anew_and_the_rest_is_kept_for_the_same_data(name):
    tasks = _tasks(name)
    cached = {step for step in STEPS[name] if tasks[step]["cachingOptions"].get("enableCache")}
    assert cached == {"features", "train"} & STEPS[name]


def test_what_is_kept_is_kept_by_the_hash_of_the_data():
    tasks = _tasks("training")
    given = tasks["features"]["inputs"]["parameters"]
    snapshot = {"taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "ingest"}}
    assert given["snapshot"] == snapshot
    # KFP's key of an artifact is its identity, and only features makes this one.
    learned_from = tasks["train"]["inputs"]["artifacts"]["table"]["componentInputArtifact"]
    assert learned_from == "pipelinechannel--features-table"


@pytest.mark.parametrize("name", ["training", "refresh"])
def test_every_step_runs_as_the_images_own_user_for_a_limited_time_in_bounded_scratch(name):
    given = _on_kubernetes(name)
    assert set(given) == STEPS[name]
    for step in given.values():
        user = {"runAsUser": "10001", "runAsGroup": "10001", "runAsNonRoot": True}
        assert step["securityContext"] == user
        assert 600 <= int(step["activeDeadlineSeconds"]) <= 4 * 3_600
        assert step["emptyDirMounts"] == [
            {"mountPath": "/tmp", "sizeLimit": "2Gi", "volumeName": "scratch"}
        ]


def test_the_user_is_the_one_of_the_image():
    from pipelines.cluster import USER

    assert f"USER {USER}:{USER}" in (ROOT / "images" / "Dockerfile").read_text()


@pytest.mark.parametrize("name", ["training", "refresh"])
def test_every_step_is_tried_again(name):
    tasks = _tasks(name)
    for step in STEPS[name]:
        assert tasks[step]["retryPolicy"]["maxRetryCount"] == 2
        assert tasks[step]["retryPolicy"]["backoffDuration"] == "15s"


@pytest.mark.parametrize("name", ["training", "refresh"])
def test_every_step_takes_its_settings_from_one_config_map_and_knows_its_run(name):
    for step in _on_kubernetes(name).values():
        (settings,) = step["configMapAsEnv"]
        assert settings["configMapName"] == "bellwether-settings"
        assert settings["optional"]
        variables = {one["envVar"] for one in settings["keyToEnv"]}
        assert {"BELLWETHER_LAKE_URL", "BELLWETHER_REGISTRY_URL", "AWS_ENDPOINT_URL"} < variables
        assert not {one for one in variables if "TOKEN" in one or "STATE_DIR" in one}
        assert step["fieldPathAsEnv"] == [
            {"name": "BELLWETHER_PIPELINE_RUN", "fieldPath": "metadata.labels['pipeline/runid']"}
        ]


def _secrets(text):
    """Secret -> step -> variables, of a compiled pipeline."""
    _, platform = yaml.safe_load_all(text)
    found = {}
    for key, step in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        for secret in step.get("secretAsEnv", []):
            variables = {one["envVar"] for one in secret["keyToEnv"]}
            found.setdefault(secret["secretName"], {})[key.removeprefix("exec-")] = variables
    return found


KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
TOKENS = {"BELLWETHER_TIINGO_TOKEN", "BELLWETHER_TINVEST_TOKEN"}


def test_every_secret_is_named_and_goes_only_where_it_is_needed():
    text = package(
        "bellwether-training",
        image="example.org/own:1",
        names=ClusterNames(
            "own-settings", "own-store", "own-database", "own-providers", "own-signing"
        ),
    )
    assert _secrets(text) == {
        "own-store": dict.fromkeys(STEPS["training"], KEYS),
        "own-database": {
            name: {"PGUSER", "PGPASSWORD"} for name in ("evaluate", "register", "recalibrate")
        },
        "own-providers": {"fetch": TOKENS, "ingest": TOKENS},
        "own-signing": {name: {"BELLWETHER_SIGNING_KEY"} for name in ("register", "recalibrate")},
    }
    assert "bellwether-settings" not in text
    assert IMAGE not in text


def test_a_cluster_without_those_secrets_names_none():
    text = package(
        "bellwether-refresh", names=ClusterNames(object_store="", database="", signing="")
    )
    assert _secrets(text) == {}
    assert set(_secrets((GOLDEN / "refresh.yaml").read_text())) == {
        "bellwether-object-store",
        "bellwether-database",
        "bellwether-signing",
    }


def test_the_same_arguments_give_the_same_package():
    first, second = (package("bellwether-refresh", image="example.org/own:1") for _ in "ab")
    assert first == second


def test_a_pipeline_nobody_knows_is_refused():
    with pytest.raises(InvalidSettings, match="bellwether-training, bellwether-refresh"):
        package("training")


@pytest.mark.parametrize(("name", "last"), [("training", "register"), ("refresh", "publish")])
def test_however_a_run_ends_it_is_recorded_and_judged_by_its_last_step(name, last):
    tasks = _spec(name)["root"]["dag"]["tasks"]
    assert set(tasks) == {"exit-handler-1", "record"}
    assert tasks["record"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert tasks["record"]["dependentTasks"] == ["exit-handler-1"]
    given = tasks["record"]["inputs"]["parameters"]
    assert given["last_step"]["runtimeValue"]["constant"] == last
    assert given["job"]["runtimeValue"]["constant"] == name


@pytest.mark.parametrize("name", ["training", "refresh"])
def test_shards_are_fetched_side_by_side_and_put_together_once(name):
    tasks = _tasks(name)
    loops = [task for task in tasks.values() if "parameterIterator" in task]
    items = {task["parameterIterator"]["items"]["inputParameter"] for task in loops}
    assert "pipelinechannel--shards" in items
    collected = tasks["ingest"]["inputs"]["artifacts"]["fetched"]["taskOutputArtifact"]
    assert collected["outputArtifactKey"].endswith("fetch-bars")


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        ("fetch", {}),
        ("ingest", {"quality": "Markdown"}),
        ("train", {"metrics": "Metrics"}),
        (
            "evaluate",
            {
                "report": "HTML",
                "verdict": "Markdown",
                "metrics": "Metrics",
                "confusion": "ClassificationMetrics",
            },
        ),
        ("register", {"registered": "Markdown"}),
        ("record", {"outcome": "Markdown"}),
    ],
)
def test_people_see_what_a_step_found_on_the_pipelines_page(step, shown):
    outputs = _spec("training")["components"][f"comp-{step}"]["outputDefinitions"]["artifacts"]
    drawn = ("HTML", "Markdown", "Metrics", "ClassificationMetrics")
    kinds = {key: one["artifactType"]["schemaTitle"].split(".")[-1] for key, one in outputs.items()}
    assert {key: kind for key, kind in kinds.items() if kind in drawn} == shown


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
        "candidates": ["xgboost", "har_combination", "ridge", "random_walk_drift", "random_walk"],
        "width": "har",
        "folds": 6,
        "tuning_trials": 0,
        "select_features": False,
        "combinatorial": 0,
        "horizon": 30,
        "seed": 7,
        "who": "pipeline",
        "shards": ["1/1"],
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
