from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.significance import EXPERIMENT


def test_our_tests_keep_their_level_where_the_textbook_and_the_bootstrap_do_not():
    outcome = EXPERIMENT.run("small", Workers(), 1)
    assert not outcome.broken
    counts = outcome.data["rejected at 5 %, of"]
    nothing = [tests for name, tests in counts.items() if name.endswith("gain 0")]
    ours, textbook = (sum(tests[name][0] for tests in nothing) for name in ("dm", "textbook"))
    assert ours < textbook
    strong = counts["overlap 30, gain 4"]
    assert strong["dm"][0] > 0.8 * strong["dm"][1]
    assert strong["both"][0] > 0.6 * strong["both"][1]
