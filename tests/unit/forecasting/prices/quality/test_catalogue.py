"""Every fault has a name, a rule, an action and words, and the page lists them all."""

import string

from benchmarks.honesty.faults_page import PAGE, page
from forecasting.errors import InvalidPrices
from forecasting.prices.quality.catalogue import (
    FAULTS,
    fault_count,
    refused,
    refused_together,
    sentences,
)


def test_every_fault_has_a_rule_an_action_and_words() -> None:
    assert len(FAULTS) >= 25
    assert len({fault.rule for fault in FAULTS.values()}) == len(FAULTS)
    assert {fault.action for fault in FAULTS.values()} == {
        "quarantine", "repair", "report", "refuse"
    }  # fmt: skip
    for fault in FAULTS.values():
        assert fault.rule[0].islower()
        assert not fault.rule.endswith(".")
        assert fault.message
        list(string.Formatter().parse(fault.message))


def test_the_page_is_the_table_of_faults() -> None:
    assert PAGE.read_text() == page(), "run python -m benchmarks.honesty.faults_page"
    assert all(f"| `{name}` |" in page() for name in FAULTS)


def test_findings_of_one_fault_make_one_sentence_of_five_symbols() -> None:
    found = [fault_count("delisted", f"S{i}", 1, last="a", end="b") for i in range(7)]
    assert sentences(found) == (
        "A symbol should still trade when the others do: not end 14 days before them: "
        + "; ".join(f"S{i} ends on a, the others on b" for i in range(5))
        + "; and 2 more (delisted).",
    )


def test_a_refusal_says_every_rule_that_refuses() -> None:
    error = refused_together(
        [
            fault_count("sparse_history", "A", 3, count=3, sessions=9, first="d"),
            fault_count("unit_jump", "B", 1, session="d", factor=100),
        ],
        "Mend it",
    )
    assert isinstance(error, InvalidPrices)
    assert error.rule == FAULTS["sparse_history"].rule
    assert error.found == (
        f"A lacks 3 of 9 (d) (sparse_history); and {FAULTS['unit_jump'].rule}: "
        "B opens on d at 100 times its last close (unit_jump)"
    )
    assert str(refused("empty")) == "there must be at least one bar: 0 rows (empty)"
