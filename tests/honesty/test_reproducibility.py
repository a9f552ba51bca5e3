"""The small reproducibility experiment keeps its promises."""

from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.reproducibility import EXPERIMENT, OWN


def test_other_processes_threads_hashes_and_places_train_the_same_bundles():
    outcome = EXPERIMENT.run("small", Workers(), 0)
    first, other = (run["digests"] for run in outcome.data["runs"])
    assert set(OWN) < set(first)
    assert len({first[kind] for kind in OWN}) == len(OWN)
    assert first == other
    assert not outcome.broken
