"""No fault, and no pair of faults, is trained on without a word; clean prices raise no alarm."""

import pytest

from benchmarks.honesty.clean_bars import clean_bars
from benchmarks.honesty.data_faults import EXPERIMENT
from benchmarks.honesty.experiment import Outcome, Workers
from benchmarks.honesty.fault_injection import INJECTIONS, TOUCHED, marked
from benchmarks.honesty.fault_trials import Trial, try_faults


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return EXPERIMENT.run("small", Workers(), 0)


def test_every_fault_alone_is_found_under_its_own_name(outcome: Outcome) -> None:
    assert outcome.data["unnamed"] == []
    assert sum(outcome.data["alone"].values()) == 2 * len(INJECTIONS)


def test_no_fault_and_no_pair_is_trained_on_without_a_word(outcome: Outcome) -> None:
    assert outcome.data["silent"] == []


def test_clean_real_prices_lose_no_bar_and_what_is_told_of_them_happened(outcome: Outcome) -> None:
    assert {fault for _, fault, *_ in outcome.data["clean"]} == {"news_jump"}
    assert len(outcome.data["clean"]) == 13
    holds = {finding.what: finding.holds for finding in outcome.findings}
    assert holds["clean real bars taken out, mended or refused"]
    assert holds["jumps in clean real data that are reported, and have a known reason"]


def test_no_spoiled_file_is_read_without_a_word(outcome: Outcome) -> None:
    assert not [file for file, fate in outcome.data["files"] if fate in {"silent", "crashed"}]


@pytest.mark.parametrize("name", sorted(INJECTIONS))
def test_an_injection_really_changes_the_bars(name: str) -> None:
    import numpy as np

    clean = clean_bars("made-1")
    spoiled = INJECTIONS[name].put(marked(clean), np.random.default_rng(1), 0)
    assert not spoiled.drop(columns=TOUCHED).equals(clean)


def test_the_experiment_sees_a_fault_that_nobody_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.honesty.fault_injection import Injection, cell

    unseen = Injection("level_shift", cell("volume", lambda bar: 1.1 * bar["volume"]))
    monkeypatch.setitem(INJECTIONS, "a little more volume", unseen)
    result = try_faults(Trial("made-1", ("a little more volume", "NaN"), 3))
    assert result.fates == ("silent", "named")
