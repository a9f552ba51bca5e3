"""The small leakage experiment keeps its promises."""

from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.leakage import EXPERIMENT, LEAKS, STRATUM_LEAKS, WIDTH_LEAKS


def test_every_planted_leak_is_caught_and_honest_data_raise_no_alarm():
    outcome = EXPERIMENT.run("small", Workers(), 0)
    caught = {result["leak"] for result in outcome.data["leaky"] if result["alarms"]}
    missed = {result["leak"] for result in outcome.data["leaky"] if not result["alarms"]}
    assert caught == {*LEAKS, *WIDTH_LEAKS, *STRATUM_LEAKS}
    assert not missed
    alarms = {result["market"]: result["alarms"] for result in outcome.data["clean"]}
    assert not any(alarms.values()), alarms
    assert not outcome.broken
