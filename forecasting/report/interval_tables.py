"""The report's tables about intervals and variances, as HTML."""

import numpy as np

from forecasting.evaluation.conditional_coverage import THIRDS
from forecasting.evaluation.evaluate import Evaluation
from forecasting.models.candidates import NULL_MODEL
from forecasting.report.tables import (
    MOST_SYMBOLS,
    html_table,
    in_words,
    number_text,
    p_text,
    share_text,
)


def conditional_coverage_table(evaluation: Evaluation, judged: str) -> str:
    """Coverage of the 90 % interval in calm, middle and storm, the random walk's beside it."""
    rows = []
    for name in dict.fromkeys((judged, NULL_MODEL)):
        found = evaluation.candidates[name].conditional_coverage
        for third in THIRDS:
            shares = [
                f"{share_text(cell.coverage)} of {cell.forecasts:,}, p {p_text(cell.adjusted_p)}"
                for cell in found.cells
                if cell.third == third
            ]
            rows.append((f"{in_words(name)}, {third}", *shares))
        gaps = [f"{_points(gap.gap)}, p {p_text(gap.adjusted_p)}" for gap in found.gaps]
        rows.append((f"{in_words(name)}, storm less calm", *gaps))
    heads = ("", *(f"{horizon} bar{'s'[: horizon > 1]}" for horizon in evaluation.horizons))
    note = (
        "<p>Outcomes inside the 90 % interval, by the rank of the volatility known at the "
        "forecast among the 365 days of its symbol up to then: lowest, middle and highest third. "
        "Rows in the first quarter of a year here are not ranked. p: chance of so large a "
        "deviation from 90 %, either way, with overlap counted, symbols of a period as one "
        "observation, and Holm's correction over all tests of a candidate. Storm less calm: the "
        "difference of the shares; above 0, the width follows the volatility too far.</p>"
    )
    return html_table(heads, rows) + note


def variance_table(evaluation: Evaluation, judged: str) -> str:
    """Scores of the judged candidate's forecast variance, the random walk's beside them."""
    null = evaluation.benchmark.variance
    rows = [
        (
            f"{own.horizon} bar{'s'[: own.horizon > 1]}",
            f"{own.forecasts:,}",
            number_text(own.qlike, 4),
            number_text(walk.qlike, 4),
            p_text(own.qlike_p),
            *(
                text
                for score in (own, walk)
                for text in (
                    _slope_text(score.slope, score.slope_error),
                    p_text(score.slope_p),
                    share_text(score.r_squared),
                )
            ),
        )
        for own, walk in zip(evaluation.candidates[judged].variance, null, strict=True)
    ]
    heads = (
        "", "forecasts", "QLIKE", "random walk's", "p", "slope", "p of 1", "R²",
        "random walk's slope", "p of 1", "R²",
    )  # fmt: skip
    note = (
        "<p>QLIKE: a loss of the variance against squared returns, which are all that can be seen "
        "of it; less is better, and p is the chance of so much less than the random walk's by luck. "
        "Slope, with its 95 % interval: of squared returns on the forecast variance (Mincer and "
        "Zarnowitz). At 1 a variance twice as high is followed by squared returns twice as high; below, "
        "it moves too much. p of 1: chance of a slope so far from 1 by luck, overlap counted. R² is "
        "small even for the true variance: one squared return says little.</p>"
    )
    return html_table(heads, rows) + note


def _slope_text(slope: float, error: float) -> str:
    if not np.isfinite(slope):
        return "-"
    return f"{slope:.2f} ± {1.96 * error:.2f}" if np.isfinite(error) else f"{slope:.2f}"


def value_at_risk_table(evaluation: Evaluation, judged: str) -> str:
    """Backtests of the judged candidate's lowest quantiles, most doubtful symbols first."""
    null = evaluation.benchmark.value_at_risk
    tests = [
        (symbol, test, walk)
        for symbol, own in evaluation.candidates[judged].value_at_risk.items()
        for test, walk in zip(own, null[symbol], strict=True)
        if test.forecasts
    ]
    tests.sort(key=lambda row: (row[1].level, row[1].coverage_p))
    rows = [
        (
            symbol,
            f"{test.level:.0%}",
            f"{test.forecasts:,}",
            share_text(test.share),
            p_text(test.coverage_p),
            p_text(test.independence_p),
            p_text(test.joint_p),
            share_text(walk.share),
            p_text(walk.joint_p),
        )
        for symbol, test, walk in tests[:MOST_SYMBOLS]
    ]
    low = sum(test.joint_p < evaluation.alpha for _, test, _ in tests)
    note = (
        f"<p>{low} of {len(tests)} series have a joint p below {evaluation.alpha:g}; about "
        f"{evaluation.alpha * len(tests):.1f} would by chance. Below: share of bars that ended "
        "below the quantile of this level, one bar ahead. p of coverage: that share is the level "
        "(Kupiec); of independence: bars below do not come in swarms; joint: both "
        "(Christoffersen).</p>"
    )
    if len(tests) > MOST_SYMBOLS:
        note += f"<p>The first {MOST_SYMBOLS} are listed.</p>"
    heads = (
        "symbol", "level", "bars", "below", "coverage p", "independence p", "joint p",
        "random walk", "its joint p",
    )  # fmt: skip
    return html_table(heads, rows) + note


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points" if np.isfinite(difference) else "-"
