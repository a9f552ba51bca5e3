"""The small leakage experiment keeps its promises."""

from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.leakage import EXPERIMENT, LEAKS


def test_every_planted_leak_is_caught_and_honest_data_raise_no_alarm():
    outcome = EXPERIMENT.run("small", Workers(), 0)
    caught = {one["leak"] for one in outcome.data["leaky"] if one["alarms"]}
    assert caught == set(LEAKS)
    assert {one["market"]: one["alarms"] for one in outcome.data["clean"] if one["alarms"]} == {}
    assert not outcome.broken
