"""Tables of intervals and variances: what stands in them."""

from dataclasses import replace

import pytest

from forecasting.evaluation.evaluate import evaluate
from forecasting.report.interval_tables import (
    conditional_coverage_table,
    p_text,
    share_text,
    value_at_risk_table,
    variance_table,
)
from forecasting.testing import planted_forecasts, with_wandering_volatility

NAN = float("nan")


@pytest.fixture(scope="module")
def evaluation():
    forecasts = planted_forecasts(signal=0.0, periods=300, symbols=2, candidates=("ridge",), seed=3)
    return evaluate(forecasts, repetitions=100)


def test_coverage_in_calm_and_storm_stands_beside_the_random_walks(evaluation):
    table = conditional_coverage_table(evaluation, "ridge")
    assert "<th>1 bar</th><th>5 bars</th>" in table
    for name in ("ridge", "random walk"):
        assert [f"<td>{name}, {third}</td>" in table for third in ("calm", "storm")] == [True] * 2
    cell = evaluation.candidates["ridge"].conditional_coverage.cells[6]
    assert (cell.third, cell.horizon) == ("middle", 5)
    assert (
        f"<td>{cell.coverage:.1%} of {cell.forecasts:,}, p {p_text(cell.adjusted_p)}</td>" in table
    )
    assert "<td>ridge, storm less calm</td><td>-, p -</td>" in table
    assert "<td>- of 0, p -</td>" in table  # the planted volatility never moves
    alone = conditional_coverage_table(evaluation, "random_walk")
    assert alone.count("<tr>") == 5


def test_the_variances_scores_stand_beside_the_random_walks():
    planted = planted_forecasts(signal=0, candidates=(), symbols=2, periods=300)["random_walk"]
    null, swinging = (with_wandering_volatility(planted, swing=swing) for swing in (0.1, 0.4))
    forecasts = {"random_walk": null, "har": replace(swinging, kind="har")}
    evaluation = evaluate(forecasts, repetitions=50)
    table = variance_table(evaluation, "har")
    own, walk = (evaluation.candidates[name].variance[1] for name in ("har", "random_walk"))
    cells = [
        "5 bars", "600", f"{own.qlike:.4f}", f"{walk.qlike:.4f}", p_text(own.qlike_p),
        f"{own.slope:.2f} ± {1.96 * own.slope_error:.2f}", p_text(own.slope_p),
        share_text(own.r_squared), f"{walk.slope:.2f} ± {1.96 * walk.slope_error:.2f}",
        p_text(walk.slope_p), share_text(walk.r_squared),
    ]  # fmt: skip
    assert "".join(f"<td>{cell}</td>" for cell in cells) in table
    assert table.count("<tr>") == 6


def test_a_variance_that_never_moves_has_no_slope(evaluation):
    table = variance_table(evaluation, "ridge")
    assert table.count("<td>-</td>" * 6) == 5


def test_value_at_risk_is_listed_per_symbol_most_doubtful_first(evaluation):
    table = value_at_risk_table(evaluation, "ridge")
    tests = evaluation.candidates["ridge"].value_at_risk
    places = []
    for symbol, (test,) in sorted(tests.items(), key=lambda item: item[1][0].coverage_p):
        start = f"<td>{symbol}</td><td>5%</td><td>300</td><td>{share_text(test.share)}</td>"
        assert f"{start}<td>{p_text(test.coverage_p)}</td>" in table
        places.append(table.index(start))
    assert places == sorted(places)
    assert "of 2 series" in table
