"""The page of the experiments: whole, or some of its sections anew."""

import json

import pytest

from benchmarks import results
from benchmarks.honesty import page
from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Plot


def outcome(found, *, plots=()):
    def paint(figure, dress):
        figure.add_subplot().plot([0, 1], color=dress.ink)

    return Outcome(
        [Finding("share of errors", found, "at most 8%"), Finding("seen", found)],
        ["What it means.", *(Plot(name, "A line.", paint) for name in plots)],
        {"found": found},
    )


EVERY = {
    name: Experiment(name, title, "How often?", lambda *_: None)
    for name, title in (("gate", "Promotion gate"), ("drift", "Drift"), ("cost", "What it costs"))
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "honesty.md")
    monkeypatch.setattr(page, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    return tmp_path


def write(**found):
    ran = {
        name: (EVERY[name], outcome(words, plots=[f"line-{words}"]), 1.0)
        for name, words in found.items()
    }
    return page.write(ran, EVERY).read_text()


def test_a_section_written_anew_leaves_the_others_as_they_are(site):
    whole = write(gate="1%", drift="2%", cost="3%")
    assert "in one run" in whole
    pictures = {file.name: file.read_bytes() for file in (site / "images").iterdir()}
    again = write(drift="9%")
    assert "in one run" not in again
    assert again.count("2%") == 0
    first, second = (
        [line for line in text.splitlines() if "Measured" not in line and "sub>" not in line]
        for text in (whole, again)
    )
    assert second == [line.replace("2%", "9%") for line in first]
    assert json.loads((site / "honesty.json").read_text()) == {
        name: {"found": share} for name, share in (("gate", "1%"), ("drift", "9%"), ("cost", "3%"))
    }
    now = {file.name: file.read_bytes() for file in (site / "images").iterdir()}
    assert set(now) == {"gate-line-1%.png", "drift-line-9%.png", "cost-line-3%.png"}
    assert now["gate-line-1%.png"] == pictures["gate-line-1%.png"]
    assert write(gate="1%", drift="9%", cost="3%").count("in one run") == 1


def test_a_section_that_was_never_there_is_left_out_until_it_runs(site):
    page.PAGE.write_text("# Honesty\n")
    (site / "honesty.json").write_text("{}")
    only = write(gate="1%")
    assert only.count("\n## ") == 1
    assert write(cost="3%").index("## Promotion gate") < page.PAGE.read_text().index("## What it")
