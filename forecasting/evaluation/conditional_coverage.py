"""Coverage of the 90 % interval apart for calm, middling and stormy stretches of a symbol's year.

Average coverage hides a width that follows the market badly: intervals too narrow in calm and too
wide in storm hold 90 % together. What is conditioned on is known when the forecast is made
(Christoffersen, 1998: an honest interval covers as often whatever was known): the rank of a row's
volatility among those of its own symbol's last year.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants, Rows
from forecasting.evaluation.loss_sums import BLOCK, Panel
from forecasting.evaluation.losses import inside
from forecasting.evaluation.scores import ratio
from forecasting.instants import DAY
from forecasting.models.out_of_sample import OutOfSample
from forecasting.stats.significance import holm, long_run_variance

THIRDS: Final = ("calm", "middle", "storm")
"""Thirds of the volatility within the trailing year, lowest first."""

NOMINAL: Final = 0.9
"""Share of outcomes that the interval from p05 to p95 promises to hold."""

YEAR: Final = 365 * DAY
"""Span whose volatilities a row's own is ranked among, ns."""

LEAST_HISTORY: Final = 91 * DAY
"""Span of earlier rows of its symbol that a row needs to be ranked, ns."""


@dataclass(frozen=True)
class CoverageCell:
    """Coverage of the 90 % interval in one third of the volatility, at one horizon.

    Attributes:
        third: one of `THIRDS`.
        horizon: bars ahead.
        coverage: share of outcomes inside; NaN where there are none.
        forecasts: known outcomes behind it.
        p_value: two-sided, of a deviation from 90 % so large by chance, with the overlap of
            forecasts counted and an instant's symbols taken as one observation; NaN where there
            are too few instants to say.
        adjusted_p: the same after Holm's correction for all cells of the candidate.
        error: standard error of the coverage where it is 90 %; NaN where it cannot be said.
        freedom: degrees of freedom of the error.
    """

    third: str
    horizon: int
    coverage: float
    forecasts: int
    p_value: float
    adjusted_p: float
    error: float
    freedom: float


@dataclass(frozen=True)
class CoverageGap:
    """Coverage of the 90 % interval in storm less that in calm, at one horizon.

    A width that lags behind the market errs in both, in opposite directions: their difference
    finds it where neither is far enough from 90 % to be told from chance alone.

    Attributes:
        horizon: bars ahead.
        gap: difference of the shares; NaN where one is unknown.
        p_value: two-sided, of a difference so large by chance; NaN where it cannot be said.
        adjusted_p: the same after Holm's correction for all cells and gaps of the candidate.
        error: standard error of the gap where coverage is 90 %; NaN where it cannot be said.
        freedom: degrees of freedom of the error.
    """

    horizon: int
    gap: float
    p_value: float
    adjusted_p: float
    error: float
    freedom: float


@dataclass(frozen=True)
class ConditionalCoverage:
    """A candidate's coverage by third and horizon.

    Attributes:
        cells: every third at every horizon, calm first.
        gaps: storm less calm at every horizon.
    """

    cells: tuple[CoverageCell, ...]
    gaps: tuple[CoverageGap, ...]

    @property
    def adjusted(self) -> tuple[float, ...]:
        """Adjusted p-values of all cells, then of all gaps; NaN where there is none."""
        return (*(cell.adjusted_p for cell in self.cells), *(gap.adjusted_p for gap in self.gaps))


@dataclass(frozen=True)
class CoverageSums:
    """Outcomes per period, third and horizon; those of parts of the rows add up. R horizons.

    Attributes:
        horizons: the horizons counted, bars.
        count: known outcomes, shape [T, 3, R].
        inside: of these inside the 90 % interval, shape [T, 3, R].
    """

    horizons: tuple[int, ...]
    count: Floats
    inside: Floats


def scale_thirds(
    scale: Floats, codes: NDArray[np.signedinteger], timestamps: Instants
) -> NDArray[np.int8]:
    """Third of its symbol's trailing year that each row's volatility lies in.

    Of m volatilities known in the 365 days up to a row, its own the r-th smallest (ties sharing
    their mean rank), the row is in the lowest third where (r - 1/2) / m < 1/3, and so on. Later
    rows play no part.

    Args:
        scale: volatility of each row, finite, shape [n].
        codes: symbol of each row, shape [n].
        timestamps: closes of the bars, int64 ns, any order, shape [n].

    Returns:
        Place in `THIRDS`; -1 for rows in the first quarter of a year of their symbol, shape [n].
    """
    import pandas as pd

    thirds = np.full(len(scale), -1, dtype=np.int8)
    order = np.lexsort((timestamps, codes))
    bounds = np.flatnonzero(np.diff(codes[order])) + 1
    for rows in np.split(order, bounds):
        closes = timestamps[rows]
        year = pd.Series(scale[rows], index=pd.DatetimeIndex(closes)).rolling(pd.Timedelta(YEAR))
        twice_rank, known = 2 * year.rank().to_numpy(), year.count().to_numpy()
        third = 3 * (twice_rank - 1) // (2 * known)  # whole numbers: exact on a third's border
        thirds[rows] = np.where(closes - closes[0] >= LEAST_HISTORY, third, -1)
    return thirds


def sum_coverage(
    candidate: OutOfSample, panel: Panel, thirds: NDArray[np.int8], horizons: Sequence[int]
) -> CoverageSums:
    """Count a candidate's outcomes per period, third and horizon.

    Args:
        candidate: its forecasts.
        panel: the rows all candidates share.
        thirds: third of each row, -1 for rows that are not counted, shape [n].
        horizons: R horizons, bars.
    """
    columns = np.array(horizons, dtype=np.intp) - 1
    shape = (panel.instants.size, len(THIRDS), columns.size)
    count, held = np.zeros(shape), np.zeros(shape)
    ranked = np.flatnonzero(thirds >= 0)
    for start in range(0, ranked.size, BLOCK):
        rows = ranked[start : start + BLOCK]
        realised = panel.realised[np.ix_(rows, columns)]
        quantiles = np.asarray(candidate.quantiles[np.ix_(rows, columns)])
        within = inside(realised, quantiles, NOMINAL, candidate.levels)
        group = panel.periods[rows] * len(THIRDS) + thirds[rows]
        cells = group[:, None] * columns.size + np.arange(columns.size)
        count += _tally(cells[np.isfinite(realised)], shape)
        held += _tally(cells[within], shape)
    return CoverageSums(tuple(horizons), count, held)


def _tally(cells: Rows, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """How often each cell of an array of this shape is named by its number."""
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)


def conditional_coverage(sums: CoverageSums, panel: Panel) -> ConditionalCoverage:
    """Coverage per third and horizon, each tested against 90 %, and storm against calm.

    Args:
        sums: the outcomes counted.
        panel: the rows behind them, for how far forecasts overlap.
    """
    places = [(third, at) for third in range(len(THIRDS)) for at in range(len(sums.horizons))]
    shares = [
        share_inside(
            sums.inside[:, third, at],
            sums.count[:, third, at],
            overlap=panel.lags(sums.horizons[at]) + 1,
        )
        for third, at in places
    ]
    calm, storm = shares[: len(sums.horizons)], shares[-len(sums.horizons) :]
    gaps = [high.minus(low) for low, high in zip(calm, storm, strict=True)]
    p_values = [share.p_value(NOMINAL) for share in shares] + [gap.p_value(0.0) for gap in gaps]
    adjusted = holm(p_values)
    return ConditionalCoverage(
        cells=tuple(
            CoverageCell(
                third=THIRDS[third],
                horizon=sums.horizons[at],
                coverage=share.value,
                forecasts=share.outcomes,
                p_value=p_values[place],
                adjusted_p=adjusted[place],
                error=share.error,
                freedom=share.freedom,
            )
            for place, ((third, at), share) in enumerate(zip(places, shares, strict=True))
        ),
        gaps=tuple(
            CoverageGap(
                horizon, gap.value, p_values[place], adjusted[place], gap.error, gap.freedom
            )
            for place, (horizon, gap) in enumerate(
                zip(sums.horizons, gaps, strict=True), len(shares)
            )
        ),
    )


@dataclass(frozen=True)
class Estimate:
    """A share or a difference of two, and how far chance moves it.

    Attributes:
        value: the estimate.
        outcomes: outcomes behind it.
        error: its standard error where coverage is 90 %; NaN where there are too few periods.
        freedom: degrees of freedom of the error.
    """

    value: float
    outcomes: int
    error: float
    freedom: float

    def p_value(self, expected: float) -> float:
        """Two-sided p-value of the distance from what is expected (Student's t)."""
        from scipy.special import stdtr

        if not np.isfinite(self.error):
            return float("nan")
        return float(2 * stdtr(self.freedom, -abs(self.value - expected) / self.error))

    def minus(self, other: "Estimate") -> "Estimate":
        """The difference, with Welch's (1947) degrees of freedom.

        Errors count as independent. Symbols of one period that are missed together make them
        move alike, so the difference errs less than said.
        """
        squares = np.array([self.error, other.error]) ** 2
        return Estimate(
            value=self.value - other.value,
            outcomes=self.outcomes + other.outcomes,
            error=float(np.sqrt(squares.sum())),
            freedom=float(squares.sum() ** 2 / (squares**2 / [self.freedom, other.freedom]).sum())
            if np.isfinite(squares).all()
            else 0.0,
        )


def share_inside(inside: Floats, count: Floats, *, overlap: int) -> Estimate:
    """Share of outcomes inside an interval, with the error it has where it covers 90 %.

    The share is a ratio of sums, so its error is the mean of inside - share * count per period
    over the mean count. That mean's long-run variance over the variance of independent outcomes
    is the design effect (Kish, 1965), at least 1. The error is that of 90 % coverage with this
    design effect, as in Wilson's (1927) score test: with hardly a miss the share's own variance
    would be near 0 whatever the evidence. Of intervals that hold 90 %, 5 % have a p-value below
    0.05.

    Args:
        inside: outcomes inside the interval per period, time order, shape [T].
        count: outcomes per period, shape [T]; periods without any are left out.
        overlap: periods neighbouring forecasts have in common, and 1.
    """
    met = count > 0
    inside, count = inside[met], count[met]
    total = float(count.sum())
    share = ratio(float(inside.sum()), total)
    variance, freedom = long_run_variance(inside - share * count, overlap)
    if not freedom:
        return Estimate(share, int(total), float("nan"), 0)
    mean_count = total / count.size
    if 0 < share < 1:
        design_effect = max(1.0, variance / (share * (1 - share) * mean_count))
    else:
        design_effect = overlap * mean_count  # nothing to see: as dependent as they can be
    error = np.sqrt(NOMINAL * (1 - NOMINAL) * design_effect / total)
    return Estimate(share, int(total), float(error), freedom)
