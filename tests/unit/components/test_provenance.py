"""Provenance: the checkout's own revision, and versions of installed packages only."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from components import provenance
from components.report import RUN_DIR, RUN_REQUEST
from forecasting.errors import InvalidSettings
from pipelines.runs import TrainingParams


def test_the_revision_is_the_checkouts_commit_and_says_so_if_files_differ(monkeypatch):
    root = str(Path(provenance.__file__).resolve().parent.parent)
    answers = {"--show-toplevel": root, "HEAD": "a" * 40, "status": ""}
    monkeypatch.setattr(
        provenance, "_git", lambda _, *words: answers[words[0] if "status" in words else words[1]]
    )
    assert provenance.git_revision() == "a" * 40
    answers["status"] = " M components/provenance.py"
    assert provenance.git_revision() == "a" * 40 + "+changes"


def test_outside_a_checkout_the_images_variable_counts(monkeypatch):
    monkeypatch.setattr(provenance, "_git", lambda *_: "")
    monkeypatch.setenv(provenance.REVISION, "abc")
    assert provenance.git_revision() == "abc"
    monkeypatch.delenv(provenance.REVISION)
    assert provenance.git_revision() == "unknown"


def test_versions_are_those_installed_and_of_every_package_named():
    versions = provenance.package_versions()
    assert versions["numpy"] == version("numpy")
    assert set(versions) <= set(provenance.PACKAGES)


def test_what_a_run_on_a_laptop_was_asked_for_can_be_asked_for_again(tmp_path, monkeypatch):
    params = TrainingParams(
        ("A", "B"), "files", {"path": "/own.csv"}, "1h", "mine", train_until="2026-01-31", who="ann"
    )
    request = {"pipeline": "training", "arguments": params.arguments(), "cache": "/x"}
    (tmp_path / RUN_REQUEST).write_text(json.dumps(request))
    monkeypatch.setenv(RUN_DIR, str(tmp_path))
    again = TrainingParams.of_request(provenance.training_request())
    assert again == replace(params, train_until="", who="pipeline")


def test_a_request_of_before_says_a_level_that_no_longer_counts():
    asked = {**TrainingParams().arguments(), "alpha": 0.5}
    del asked["shards"]
    assert TrainingParams.of_request(json.dumps(asked)) == TrainingParams()


def test_on_a_cluster_nothing_is_noted_for_the_schedule_has_it(monkeypatch):
    monkeypatch.delenv(RUN_DIR, raising=False)
    assert provenance.training_request() == ""


@pytest.mark.parametrize(
    "text", ["[]", "{}", "no JSON", '{"symbols": "A", "source_options": "{}"}']
)
def test_a_request_that_makes_no_sense_is_refused_with_what_to_do(text):
    with pytest.raises(InvalidSettings, match="Say what to train on"):
        TrainingParams.of_request(text)
