"""Findings of leak checks as data, and what refuses a table."""

from dataclasses import replace

import pytest

from forecasting.errors import Corrupted, LeakFound
from forecasting.leakage.findings import (
    OF_FORECASTS,
    RULES,
    LeakFinding,
    check_name,
    finding,
    gaps,
    refuse_leaks,
)


def test_findings_survive_json_and_gaps_are_told():
    found = LeakFinding("labels_lie_ahead", True, "shifted")
    assert LeakFinding.from_dict(found.to_dict()) == found
    assert {one.check for one in gaps([found])} == set(RULES) - {"labels_lie_ahead"}
    assert all(one.leaks for one in gaps([]))


def test_hindsight_is_kept_and_not_taken_for_absent_where_it_was_not_told_apart():
    found = LeakFinding("survivorship_free", False, "winners", hindsight=True)
    assert LeakFinding.from_dict(found.to_dict()) == found
    stored = {"check": "survivorship_free", "leaks": False, "found": "6 symbols"}
    assert LeakFinding.from_dict(stored).hindsight
    assert not LeakFinding.from_dict({**stored, "hindsight": False}).hindsight
    assert not LeakFinding.from_dict({**stored, "check": "labels_lie_ahead"}).hindsight


def test_a_former_name_of_a_check_is_still_read_everywhere_it_was_stored():
    stored = {"check": "universe_keeps_its_dead", "leaks": False, "found": "none do"}
    read = LeakFinding.from_dict(stored)
    assert read.check == "survivorship_free"
    assert read.rule == RULES["survivorship_free"]
    assert "survivorship_free" not in {gap.check for gap in gaps([read])}
    assert [check_name(name) for name in ("universe_keeps_its_dead", "enough_evidence")] == [
        "survivorship_free",
        "enough_evidence",
    ]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"check": "nothing", "leaks": False, "found": ""},
        {"check": "labels_lie_ahead", "leaks": False},
        {"check": "labels_lie_ahead", "leaks": False, "found": "", "more": 1},
    ],
)
def test_what_is_no_finding_is_corrupted(values):
    with pytest.raises(Corrupted, match="Run the pipeline again"):
        LeakFinding.from_dict(values)


def test_a_finding_names_the_first_leak_and_counts_the_others():
    assert not finding("labels_lie_ahead", ["", ""], "3 cuts").leaks
    found = finding("labels_lie_ahead", ["", "first", "second", "third"], "3 cuts")
    assert (found.leaks, found.found) == (True, "first; and 2 more like it")


def test_a_table_passes_only_with_every_check_made_and_clean():
    clean = [LeakFinding(name, False, "none do") for name in RULES if name != OF_FORECASTS]
    refuse_leaks(clean)
    refuse_leaks([replace(one, hindsight=one.check == "survivorship_free") for one in clean])
    with pytest.raises(LeakFound, match="labels_lie_ahead: the check was not made"):
        refuse_leaks([one for one in clean if one.check != "labels_lie_ahead"])
    with pytest.raises(LeakFound, match="labels_lie_ahead: shifted"):
        refuse_leaks([*clean, LeakFinding("labels_lie_ahead", True, "shifted")])
