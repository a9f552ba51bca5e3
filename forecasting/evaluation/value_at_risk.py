"""Backtests of value at risk: how often the lowest quantiles are undercut, and whether in swarms."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.arrays import Mask
from forecasting.evaluation.loss_sums import Panel
from forecasting.evaluation.losses import level_index
from forecasting.evaluation.scores import ratio
from forecasting.models.out_of_sample import OutOfSample

RISK_LEVELS: Final = (0.01, 0.05)
"""Levels of the quantiles that are read as value at risk, where they are published."""


@dataclass(frozen=True)
class TailTest:
    """A symbol's value at risk one bar ahead, and what became of it.

    Attributes:
        level: of the quantile: the share of bars promised to end below it.
        forecasts: bars whose outcome is known.
        share: share that ended below the quantile; NaN without forecasts.
        coverage_p: p-value of Kupiec's test that this share is the level.
        independence_p: of Christoffersen's test that a bar below is as likely after another as
            after none; NaN where it cannot be said.
        joint_p: of his test of both; NaN where either cannot be said.
    """

    level: float
    forecasts: int
    share: float
    coverage_p: float
    independence_p: float
    joint_p: float


def tail_tests(candidate: OutOfSample, panel: Panel) -> dict[str, tuple[TailTest, ...]]:
    """Backtest a candidate's value at risk one bar ahead, symbol by symbol and level by level.

    Args:
        candidate: its forecasts.
        panel: the rows all candidates share.
    """
    levels = [level for level in RISK_LEVELS if level in candidate.levels]
    columns = [level_index(level, candidate.levels) for level in levels]
    order = np.lexsort((candidate.timestamps, panel.codes))
    order = order[np.isfinite(panel.realised[order, 0])]
    below = panel.realised[order, :1] < candidate.quantiles[order, 0][:, columns]
    bounds = np.searchsorted(panel.codes[order], np.arange(len(panel.symbols) + 1))
    return {
        symbol: tuple(
            tail_test(below[bounds[code] : bounds[code + 1], place], level)
            for place, level in enumerate(levels)
        )
        for code, symbol in enumerate(panel.symbols)
    }


def tail_test(below: Mask, level: float) -> TailTest:
    """Likelihood ratio tests of a series of hits.

    Coverage: Kupiec (1995), the "proportion of failures" test. Independence and both together:
    Christoffersen (1998, sec. 3), against a first-order Markov chain, given the first bar. Asymptotic laws:
    chi-squared with one degree of freedom, both together two.

    Args:
        below: whether each bar ended below the quantile, time order, shape [n].
        level: of the quantile.
    """
    from scipy.special import chdtrc

    unknown = float("nan")
    hits, bars = int(below.sum()), below.size
    if not bars:
        return TailTest(level, 0, unknown, unknown, unknown, unknown)
    coverage = _likelihood_ratio(hits, bars, level)
    before, after = below[:-1], below[1:]
    after_hit, after_none = int(before.sum()), int((~before).sum())
    independence_p = joint_p = unknown
    if after_hit and after_none:
        again, anew = int(after[before].sum()), int(after[~before].sum())
        pooled = (again + anew) / after.size
        independence = _likelihood_ratio(again, after_hit, pooled) + _likelihood_ratio(
            anew, after_none, pooled
        )
        joint = independence + _likelihood_ratio(again + anew, after.size, level)
        independence_p, joint_p = float(chdtrc(1, independence)), float(chdtrc(2, joint))
    return TailTest(
        level=level,
        forecasts=bars,
        share=ratio(hits, bars),
        coverage_p=float(chdtrc(1, coverage)),
        independence_p=independence_p,
        joint_p=joint_p,
    )


def _likelihood_ratio(hits: int, bars: int, level: float) -> float:
    """Twice the logarithm of the likelihood of so many hits at their own share over `level`."""
    from scipy.special import xlogy

    share = hits / bars
    own = xlogy(hits, share) + xlogy(bars - hits, 1 - share)
    return max(0.0, float(2 * (own - xlogy(hits, level) - xlogy(bars - hits, 1 - level))))
