"""What GitHub runs for us is pinned, may write only where it must, and builds on what the rest builds on."""

import re

import pytest
import yaml

from bellwether.cluster.images import BASE_IMAGE, RECIPES
from tests.chart.rendering import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BY_COMMIT = re.compile(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+(\.\d+)+")


def jobs(path):
    return yaml.safe_load(path.read_text())["jobs"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_commit_and_says_its_version(path):
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    assert [one for one in used if not BY_COMMIT.fullmatch(one)] == []


def test_an_action_has_one_commit_everywhere():
    used = {one for path in WORKFLOWS for one in re.findall(r"uses: (.*)", path.read_text())}
    assert len({one.partition("@")[0] for one in used}) == len(used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_unless_a_job_says_what_it_writes(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    writing = {name for name, job in jobs(path).items() if "permissions" in job}
    assert writing == ({"images", "chart"} if path.stem == "release" else set())


def test_a_checkout_leaves_no_token_behind():
    steps = [step for path in WORKFLOWS for job in jobs(path).values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) > 5
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_all_images_are_released_from_the_same_base_as_elsewhere():
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    assert release["env"]["BASE_IMAGE"] == BASE_IMAGE
    dockerfile = (ROOT / "images/Dockerfile").read_text()
    assert f"ARG BASE_IMAGE={BASE_IMAGE}\n" in dockerfile
    assert f"BASE_IMAGE ?= {BASE_IMAGE}\n" in (ROOT / "Makefile").read_text()
    matrix = release["jobs"]["images"]["strategy"]["matrix"]["image"]
    assert set(matrix) == {recipe.name for recipe in RECIPES}


def test_every_lock_that_is_installed_somewhere_is_audited():
    (audit,) = (s["run"] for s in jobs(WORKFLOWS[0])["packages"]["steps"] if "run" in s)
    audited = set(re.search(r"for lock in ([\w ]+);", audit)[1].split())
    locks = {path.stem for path in (ROOT / "locks").glob("*.txt")}
    # What only developers install is for tests.
    assert audited == locks - {"dev", "go"}
