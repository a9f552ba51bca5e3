"""How far prices moved against how far the forecasts said: the ratio of realised to forecast variance.

A forecast implies a deviation: half of its 90 % interval over the normal's 95 % point. A move is the
log return less the forecast's median, in those deviations. If the forecasts were right, its square
would be 1 on average; the ratio is that average, of moves that count up to three times what was
said. It is Huber's M-estimator of a squared scale (Huber & Ronchetti, *Robust Statistics*, 2nd ed.,
2009, sec. 5.2): the s for which

    mean of min(move^2 / s, 9)  =  E min(Z^2, 9)  for a normal Z

A plain mean of squares would be ruled by one crash and by fat tails. At a bound of three deviations a
Student's t of any degrees of freedom whose 90 % interval is right has a ratio of 0.998 to 1.003.

The mean is one of bounded numbers per as-of instant, so to first order (the delta method) the ratio has
a known law: Student's t with a long-run variance that counts overlap, as for coverage (`live.limits`).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.arrays import Floats, Instants
from forecasting.evaluation.losses import level_index
from forecasting.live.limits import margin_of_mean
from forecasting.live.outcomes import Matured, groups
from forecasting.live.scores import NEWEST_INSTANTS

RECENT_INSTANTS: Final = 60
"""As-of instants of the short span."""

_MOST: Final = 3.0
"""Deviations up to which a move counts."""

_EXPECTED: Final = (
    math.erf(_MOST / math.sqrt(2))
    - _MOST * math.sqrt(2 / math.pi) * math.exp(-(_MOST**2) / 2)
    + _MOST**2 * math.erfc(_MOST / math.sqrt(2))
)
"""E min(Z^2, 9) of a standard normal Z: 0.995."""

_NORMAL_95: Final = 1.6448536
"""The standard normal's 95 % point: a normal's 90 % interval is twice as many deviations wide."""


@dataclass(frozen=True)
class RealisedVariance:
    """How far prices moved against what one model version forecast at one horizon.

    Attributes:
        horizon: in bars.
        matured: forecasts behind it.
        dates: distinct as-of instants among them.
        ratio: realised over forecast variance of log returns: 1.2 says that prices moved 20 % further, in
            variance, than the version said (their deviation was 9.5 % larger).
        low, high: limits the ratio stays within unless the forecast variance is off; None where
            the instants are too few for limits.
    """

    model_version: str
    horizon: int
    matured: int
    dates: int
    ratio: float
    low: float | None
    high: float | None

    @property
    def off(self) -> bool:
        """Whether the ratio is past a limit; False where there are none."""
        if self.low is None or self.high is None:
            return False
        return not self.low <= self.ratio <= self.high


def realised_variances(
    matured: Matured, *, false_alarms: float, newest: int = NEWEST_INSTANTS
) -> tuple[RealisedVariance, ...]:
    """Compare realised with forecast variance per model version and horizon, in that order.

    Args:
        matured: forecasts with their outcomes. One whose 90 % interval has no width says nothing
            about a variance and is left out.
        false_alarms: probability of straying past either limit by chance, at each horizon.
        newest: most as-of instants per version and horizon; older ones are left out.

    Returns:
        An entry for every version and horizon with such forecasts, but none where more than eight of
        nine ended exactly at the median: what does not move has no variance to speak of.
    """
    low, median, high = (level_index(level) for level in (0.05, 0.5, 0.95))
    quantiles = matured.rows.returns
    deviation = (quantiles[:, high] - quantiles[:, low]) / (2 * _NORMAL_95)
    found = []
    for version, horizon, group in groups(matured.rows):
        wide = group[deviation[group] > 0]
        instants = np.unique(matured.rows.as_of[wide])[-newest:]
        rows = wide[matured.rows.as_of[wide] >= instants[0]] if len(instants) else wide
        moves = (matured.realised[rows] - quantiles[rows, median]) / deviation[rows]
        as_of = matured.rows.as_of[rows]
        ratio = variance_ratio(moves)
        if ratio > 0:
            limits = ratio_limits(moves, as_of, ratio, horizon, false_alarms=false_alarms)
            found.append(
                RealisedVariance(
                    version, horizon, len(rows), len(instants), ratio, *(limits or (None, None))
                )
            )
    return tuple(found)


def over_both_spans(
    matured: Matured, *, false_alarms: float
) -> tuple[tuple[RealisedVariance, ...], tuple[RealisedVariance, ...]]:
    """Realised over forecast variance of the newest year of instants, and of the newest few months.

    The long span tells a small deviation that lasts; the short one hears a large one sooner, since a
    long-run variance takes much of a shift inside its span for chance.

    Args:
        matured: forecasts with their outcomes.
        false_alarms: as in `realised_variances`; half of it for each span (Bonferroni).

    Returns:
        Of the newest `NEWEST_INSTANTS`, and of the newest `RECENT_INSTANTS` where there are more.
    """
    share = false_alarms / 2
    whole = realised_variances(matured, false_alarms=share)
    recent = realised_variances(matured, false_alarms=share, newest=RECENT_INSTANTS)
    dates = {(one.model_version, one.horizon): one.dates for one in whole}
    return whole, tuple(
        one for one in recent if one.dates < dates.get((one.model_version, one.horizon), 0)
    )


def variance_ratio(moves: Floats) -> float:
    """The robust mean of squared moves, 1 where they are as large as they were said to be.

    Multiplying every move by k multiplies it by k^2.

    Args:
        moves: [n] in deviations.

    Returns:
        The ratio; 0 where fewer than one in nine of the moves differ from zero.
    """
    bound = _MOST**2
    squares = np.sort(np.square(moves[moves != 0]))
    sums, places = np.cumsum(squares), np.arange(1, len(squares) + 1)
    # The mean of counted squares falls with s; at s = square / bound that square, and all larger
    # ones, count as the bound. Those whose mean there is still too large are below it at the root.
    counted = bound * ((sums - squares) / squares + len(squares) - places + 1)
    below = int(np.count_nonzero(counted > _EXPECTED * len(moves)))
    if not below:
        return 0.0
    return float(sums[below - 1] / (_EXPECTED * len(moves) - bound * (len(squares) - below)))


def ratio_limits(
    moves: Floats, as_of: Instants, ratio: float, horizon: int, *, false_alarms: float
) -> tuple[float, float] | None:
    """Limits a ratio stays within unless the forecast variance is off.

    They follow from the moves divided by the root of their ratio, as the hypothesis has them: else low
    ratios, whose own spread is small, would be called off more often than high ones.

    Args:
        moves: [n] in deviations, of one version and horizon.
        as_of: [n] unix nanoseconds; the symbols of one instant are one piece of evidence.
        ratio: what `variance_ratio` says of the moves.
        horizon: in bars; outcomes of so many instants in a row overlap.
        false_alarms: probability of straying past either limit by chance.

    Returns:
        Low and high limit around 1; None where there are too few instants.
    """
    counted = np.minimum(np.square(moves) / ratio, _MOST**2)
    _, place = np.unique(as_of, return_inverse=True)
    symbols = np.bincount(place)
    excess = np.bincount(place, counted - _EXPECTED) / symbols.mean()
    margin = margin_of_mean(excess, horizon, false_alarms / 2, smallest=0.0)
    if margin is None:
        return None
    # By how much the mean of counted squares falls when the ratio rises by its own size.
    slope = float(np.mean(np.where(counted < _MOST**2, counted, 0.0)))
    return max(1 - margin / slope, 0.0), 1 + margin / slope


def in_words(ratio: float) -> str:
    """A ratio as a reader's sentence goes on after "Prices moved"."""
    percent = round(100 * (ratio - 1))
    if not percent:
        return "as far as said"
    return f"{abs(percent)} % {'further' if percent > 0 else 'less far'} than said"


def of_version(
    variances: Iterable[RealisedVariance], version: str, horizon: int
) -> RealisedVariance | None:
    """The entry of one version and horizon, or None."""
    return next((v for v in variances if (v.model_version, v.horizon) == (version, horizon)), None)
