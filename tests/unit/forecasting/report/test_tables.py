"""Figures of the report in words: unknown ones are dashes, and text is escaped."""

import pytest

from forecasting.evaluation.evaluate import evaluate
from forecasting.report.tables import (
    candidates_table,
    confusion_table,
    in_words,
    interval_text,
    number_text,
    p_text,
    share_text,
    skill_split_table,
    skill_text,
)
from forecasting.testing import planted_forecasts

NAN = float("nan")


@pytest.fixture(scope="module")
def evaluation():
    forecasts = planted_forecasts(signal=0.0, periods=300, symbols=2, candidates=("ridge",), seed=3)
    return evaluate(forecasts, repetitions=100)


def test_numbers_are_written_with_their_precision():
    assert number_text(1.23456, 3) == "1.235"
    assert [skill_text(value) for value in (0.01234, -0.5, 0.0)] == ["+1.23%", "-50.00%", "0"]
    assert share_text(0.876) == "87.6%"
    assert interval_text(0.512, 0.484, 0.541) == "51.2% [48, 54]"
    assert [p_text(value) for value in (0.0004, 0.001, 0.25)] == ["< 0.001", "0.001", "0.250"]
    assert in_words("no_horizon_worse") == "no horizon worse"


def test_unknown_numbers_are_dashes():
    assert {number_text(NAN, 2), skill_text(NAN), share_text(NAN), p_text(NAN)} == {"-"}
    assert interval_text(NAN, 0.1, 0.2) == "-"


def test_the_judged_candidate_is_marked_in_its_row(evaluation):
    table = candidates_table(evaluation, "ridge")
    assert table.count("<tr") == 3  # heads, ridge, the random walk
    assert "<tr class=judged><td>ridge</td>" in table
    assert f"<td>{skill_text(evaluation.candidates['ridge'].overall.skill)}</td>" in table


def test_skill_of_width_and_direction_is_told_apart_for_all_and_by_horizon_for_the_judged():
    forecasts = planted_forecasts(
        signal=0.1, periods=300, symbols=2, candidates=("ridge", "random_walk_drift"), seed=3
    )
    evaluation = evaluate(forecasts, repetitions=100)
    table = skill_split_table(evaluation, "ridge")
    split = evaluation.candidates["ridge"].split
    for label, parts in (("ridge", split.overall), ("ridge, 5 bars", split.by_horizon[5])):
        assert (
            f"<td>{label}</td><td>{skill_text(parts.width)}</td><td>{p_text(parts.width_p)}</td>"
            f"<td>{skill_text(parts.direction)}</td><td>{p_text(parts.direction_p)}</td>"
            f"<td>{p_text(parts.drift_p)}</td>"
        ) in table
    assert "<tr class=judged><td>ridge</td>" in table
    assert "<td>random walk</td><td>0</td><td>-</td><td>0</td><td>-</td><td>-</td>" in table
    assert "<td>random walk with drift" not in table
    assert table.count("<td>random walk drift</td>") == 1


def test_the_confusion_table_counts_every_signal_once(evaluation):
    table = confusion_table(evaluation, "ridge")
    counts = evaluation.candidates["ridge"].confusion
    for signal in ("buy", "sell", "hold"):
        assert f"<th>said {signal}</th>" in table
    for count in counts.ravel().tolist():
        assert f"{count:,}" in table
