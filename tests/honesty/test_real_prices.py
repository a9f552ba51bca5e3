"""The page says plainly which models have skill: the words follow the figures."""

from dataclasses import replace

import pytest

from benchmarks.honesty.experiment import Table, Workers
from benchmarks.honesty.real_prices import EXPERIMENT, Row, Weighed, sentences


def weighed(skill, p_value):
    row = Row("ridge", skill, 0.0, skill, p_value, {1: skill}, 0.9, 0.4, 0.3)
    null = replace(row, kind="random_walk", skill=0.0, p_value=float("nan"))
    return Weighed(
        "tech", "AAA; 1d bars", "2020-01-01", "2022-01-01", 1_000, (row, null), 0.5, 0.04,
        "refuse ridge, because it must", (("beats", False, "must", "did not"),), (-0.01, 0.0, 0.02),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("skill", "p_value", "sentence"),
    [
        (0.01, 0.01, "**Ridge has skill** (skill +1.00%, p 0.010)"),
        (0.01, 0.30, "Ridge has no skill that could be told from luck"),
        (-0.01, 0.90, "Ridge has no skill: it lost more than the random walk"),
    ],
)
def test_the_sentence_says_what_the_figures_say(skill, p_value, sentence):
    data_set = weighed(skill, p_value)
    assert sentence in sentences(data_set)
    assert data_set.skilled == (("ridge",) if "**" in sentence else ())


def test_the_gate_and_the_paths_are_told():
    text = sentences(weighed(0.01, 0.01))
    assert "skill -1.00% to +2.00%, median +0.00%" in text
    assert text.endswith("The gate: refuse ridge, because it must.")


def test_hourly_euros_are_weighed_like_the_pipeline_does():
    outcome = EXPERIMENT.run("small", Workers(), 0)
    found = outcome.data["fx-hourly"]
    ridge = found["candidates"]["ridge"]
    assert set(found["candidates"]) == {"ridge", "random_walk", "random_walk_drift"}
    assert 0.87 <= ridge["coverage_90"] <= 0.93
    assert len(found["paths"]) == 5
    skilled = ridge["skill"] > 0 and ridge["p"] < 0.05
    assert (outcome.findings[0].found.startswith("ridge")) == skilled
    assert found["verdict"].partition(",")[0] in {"refuse ridge", "promote ridge"}
    assert len([piece for piece in outcome.story if isinstance(piece, Table)]) == 2
