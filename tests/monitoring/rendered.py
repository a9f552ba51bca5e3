"""What the chart's monitoring renders to, by the real helm."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.programs import program

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "bellwether"
RUNBOOKS = "https://runbooks.example"


@cache
def rendered(*settings: str, runbooks: str = RUNBOOKS, namespace: str = "bellwether") -> list[Any]:
    """The objects of templates/monitoring; `settings` are key=value, of JSON or plain text."""
    helm = program("helm")
    command = [helm, "template", "bellwether", str(CHART), "--namespace", namespace]
    given = ("images.registry=registry.example.org", f"monitoring.runbookBase={runbooks}")
    for setting in (*given, *settings):
        key, value = setting.split("=", 1)
        command += ["--set-json", f"{key}={_as_json(value)}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    marker = "# Source: bellwether/templates/monitoring/"
    parts = [part for part in done.stdout.split("\n---\n") if marker in part]
    return [one for part in parts for one in yaml.safe_load_all(part) if one]


def _as_json(text: str) -> str:
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(text)
    return text


def the(kind: str, name: str, objects: list[Any]) -> Any:
    """The object of this kind and name."""
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)
    return found
