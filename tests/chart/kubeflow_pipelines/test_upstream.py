"""Everything that differs from upstream's own rendering is listed with its reason, and nothing else is."""

import json
from fnmatch import fnmatchcase
from functools import cache

import pytest
import yaml

from tests.chart.kubeflow_pipelines.facts import UPSTREAM, differences, facts
from tests.chart.rendering import DEFINITIONS, PIPELINES

LISTED = yaml.safe_load((PIPELINES.folder / "differences.yaml").read_text())
THEIRS = json.loads(UPSTREAM.read_text())


@cache
def found():
    rendered = [
        made
        for made in [*PIPELINES.render(), *DEFINITIONS.render()]
        if "helm.sh/hook" not in made["metadata"].get("annotations", {})
    ]
    return [(name, fact) for name, fact, *_ in differences(THEIRS, facts(rendered))]


def covers(entry, name, fact):
    return any(fnmatchcase(name, pattern) for pattern in entry["objects"]) and any(
        fnmatchcase(fact, pattern) for pattern in entry.get("facts", ["*"])
    )


def test_every_difference_is_listed():
    unlisted = [pair for pair in found() if not any(covers(entry, *pair) for entry in LISTED)]
    assert unlisted == []


@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: entry["objects"][0])
def test_every_listed_difference_is_there_pattern_by_pattern_and_says_why(entry):
    pairs = found()
    for pattern in entry["objects"]:
        assert any(covers({**entry, "objects": [pattern]}, *pair) for pair in pairs), pattern
    for pattern in entry.get("facts", []):
        assert any(covers({**entry, "facts": [pattern]}, *pair) for pair in pairs), pattern
    assert entry["what"]
    assert entry["why"].endswith(".")


def test_a_changed_port_would_be_found():
    rendered = [json.loads(json.dumps(made)) for made in PIPELINES.render()]
    service = next(o for o in rendered if o["metadata"]["name"] == "metadata-grpc-service")
    service["spec"]["ports"][0]["port"] = 8081
    ours = facts(rendered)
    pairs = [
        (n, f) for n, f, *_ in differences(THEIRS, ours) if n == "Service/metadata-grpc-service"
    ]
    assert ("Service/metadata-grpc-service", "port 8080") in pairs
    assert not any(covers(entry, *pairs[0]) for entry in LISTED)


def test_what_clients_drivers_and_launchers_rely_on_is_as_upstream_has_it():
    ours = facts(PIPELINES.render())
    for name in ("ml-pipeline", "ml-pipeline-ui", "ml-pipeline-visualizationserver",
                 "metadata-grpc-service", "metadata-envoy-service"):  # fmt: skip
        ports = {f: v for f, v in THEIRS[f"Service/{name}"].items() if f.startswith("port ")}
        assert ours[f"Service/{name}"].items() >= ports.items()
    server, upstream = ours["Deployment/ml-pipeline"], THEIRS["Deployment/ml-pipeline"]
    for image in ("V2_DRIVER_IMAGE", "V2_LAUNCHER_IMAGE"):
        variable = f"ml-pipeline-api-server: env {image}"
        assert server[variable] == upstream[variable]
    assert ours["ServiceAccount/pipeline-runner"] == THEIRS["ServiceAccount/pipeline-runner"]
    assert ours["Secret/mlpipeline-minio-artifact"] == THEIRS["Secret/mlpipeline-minio-artifact"]
