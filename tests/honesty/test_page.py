"""The page of the experiments: whole, or some of its sections anew."""

import json

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


def write(out, record=None, **found):
    ran = {
        name: (EVERY[name], outcome(words, plots=[f"line-{words}"]), 1.0)
        for name, words in found.items()
    }
    return page.write(ran, EVERY, out, record or out).read_text()


def files(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_a_section_written_anew_leaves_the_others_as_they_are(tmp_path):
    whole = write(tmp_path, gate="1%", drift="2%", cost="3%")
    assert "in one run" in whole
    pictures = files(tmp_path / page.IMAGES)
    again = write(tmp_path, drift="9%")
    assert "in one run" not in again
    assert again.count("2%") == 0
    first, second = (
        [line for line in text.splitlines() if "Measured" not in line and "sub>" not in line]
        for text in (whole, again)
    )
    assert second == [line.replace("2%", "9%") for line in first]
    assert json.loads((tmp_path / page.COUNTS).read_text()) == {
        name: {"found": share} for name, share in (("gate", "1%"), ("drift", "9%"), ("cost", "3%"))
    }
    now = files(tmp_path / page.IMAGES)
    assert set(now) == {"gate-line-1%.png", "drift-line-9%.png", "cost-line-3%.png"}
    assert now["gate-line-1%.png"] == pictures["gate-line-1%.png"]
    assert write(tmp_path, gate="1%", drift="9%", cost="3%").count("in one run") == 1


def test_sections_written_elsewhere_begin_with_the_record_and_leave_it(tmp_path):
    record, out = tmp_path / "record", tmp_path / "out"
    whole = write(record, gate="1%", drift="2%", cost="3%")
    before = files(record)
    draft = write(out, record, drift="9%")
    assert files(record) == before
    assert "1%" in draft
    assert "9%" in draft
    assert "2%" in whole
    assert "2%" not in draft
    assert {name for name in files(out) if name.endswith(".png")} == {
        f"docs/images/honesty/{name}.png"
        for name in ("gate-line-1%", "drift-line-9%", "cost-line-3%")
    }
    assert "8%" in write(out, record, cost="8%")
    assert "9%" in (out / page.PAGE).read_text()


def test_a_section_that_was_never_there_is_left_out_until_it_runs(tmp_path):
    for file, text in ((page.PAGE, "# Honesty\n"), (page.COUNTS, "{}")):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(text)
    only = write(tmp_path, gate="1%")
    assert only.count("\n## ") == 1
    both = write(tmp_path, cost="3%")
    assert both.index("## Promotion gate") < both.index("## What it")
