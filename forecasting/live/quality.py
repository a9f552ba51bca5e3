"""Whether a version's realised forecasts have become worse than another's: sequential, at a stated error rate.

As outcomes come due, bets are made against two hypotheses about the version that users get:

    loss      given the past, its expected pinball loss exceeds the reference's by no more than a
              slack (Henzi & Ziegel 2022; Choe & Ramdas 2023)
    coverage  given the past its 50 % and 90 % intervals hold as often as they say, or the
              reference's are not clearly nearer to it; too narrow and too wide are bet on apart

All symbols of a bar are averaged into one payoff, whose bounds are known before the bar, so symbols may
move together as they like. Forecasts of overlapping horizons are bet on by `e_process.wealth`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants, Rows
from forecasting.errors import InvalidInput, InvalidSettings
from forecasting.evaluation.losses import inside, level_index, mean_pinball
from forecasting.live.e_process import wealth
from forecasting.live.outcomes import Texts

LOSS: Final = "a larger loss"
NARROW: Final = "intervals too narrow"
WIDE: Final = "intervals too wide"

_NORMAL_LOSS: Final = 0.0754
"""Expected mean pinball loss of a right normal forecast, in widths of its own 90 % interval."""

_SHARES: Final[Mapping[str, float]] = MappingProxyType({LOSS: 0.3, NARROW: 0.2, WIDE: 0.5})
"""Parts of the fortune that are bet on each; intervals that are too wide are the hardest to see."""

_WIDER_BAND: Final[Mapping[str, float]] = MappingProxyType({NARROW: 0.75, WIDE: 0.25})
"""Weight of the 90 % interval beside the 50 % one: misses tell narrow ones, hits near the middle wide ones."""


@dataclass(frozen=True)
class QualityRules:
    """What counts as degraded.

    Attributes:
        error_rate: chance with which a version that has not degraded is ever found to have, above 0
            and below 1.
        loss_slack: share of the reference's expected loss by which a version may lose more.
        clearly: by how much nearer the reference's intervals must be, a share of the outcomes.
        horizons: part of the fortune by horizon in bars; they sum to 1.
    """

    error_rate: float = 0.05
    loss_slack: float = 0.01
    clearly: float = 0.05
    horizons: Mapping[int, float] = field(
        default_factory=lambda: {1: 0.9, 5: 0.025, 10: 0.025, 20: 0.025, 30: 0.025}
    )

    def __post_init__(self) -> None:
        if not 0 < self.error_rate < 1:
            raise InvalidSettings(
                "an error rate is a chance between 0 and 1",
                f"{self.error_rate:g}",
                "Give e.g. 0.05",
            )


@dataclass(frozen=True)
class Compared:
    """A version's forecasts whose horizon has elapsed, beside the reference's of the same bars.

    Attributes:
        symbols, horizons, as_of, targets: [n] as `ForecastRows` has them; each forecast once.
        returns: [n, Q] the version's quantiles of the log return, rising.
        reference: [n, Q] the reference's.
        realised: [n] log return.
        units: [n] what a loss is divided by (`evaluation.losses.loss_units`), above 0.
    """

    symbols: Texts
    horizons: Instants
    as_of: Instants
    targets: Instants
    returns: Floats
    reference: Floats
    realised: Floats
    units: Floats

    def __post_init__(self) -> None:
        for name in ("returns", "reference", "realised", "units"):
            if not np.isfinite(getattr(self, name)).all():
                raise InvalidInput(
                    "realised quality is judged on finite numbers",
                    f"{name} has others",
                    "Leave out forecasts whose outcome or reference is not known",
                )

    def __len__(self) -> int:
        return len(self.realised)

    def at(self, horizon: int) -> "Compared":
        """The rows of one horizon."""
        rows = np.flatnonzero(self.horizons == horizon)
        return Compared(
            self.symbols[rows],
            self.horizons[rows],
            self.as_of[rows],
            self.targets[rows],
            self.returns[rows],
            self.reference[rows],
            self.realised[rows],
            self.units[rows],
        )


@dataclass(frozen=True)
class Quality:
    """What the outcomes say so far.

    Attributes:
        instants: [k] unix nanoseconds at which outcomes came due, rising.
        evidence: [k] against the hypothesis that nothing has degraded, after each of them.
        parts: [k] of it by kind of degradation, before its part of the fortune is taken.
        limit: 1 / error rate; what reaches it has degraded.
        bars: instants that were forecast one bar ahead and have an outcome.
        coverage, reference_coverage: share inside the 90 % interval one bar ahead; NaN without any.
        loss_ratio: the version's mean scaled pinball loss one bar ahead over the reference's; NaN
            likewise.
    """

    instants: Instants
    evidence: Floats
    parts: Mapping[str, Floats]
    limit: float
    bars: int
    coverage: float
    reference_coverage: float
    loss_ratio: float

    @property
    def degraded_at(self) -> int | None:
        """Unix nanoseconds of the first outcome at which the limit was reached; None if it never was."""
        reached = np.flatnonzero(self.evidence >= self.limit)
        return int(self.instants[reached[0]]) if len(reached) else None

    @property
    def highest(self) -> float:
        """The most evidence there has been; 1 before any outcome."""
        return float(self.evidence.max(initial=1.0))

    @property
    def kind(self) -> str:
        """The kind of degradation that the evidence is mostly about, when there was most of it."""
        if not len(self.evidence):
            return ""
        most = int(self.evidence.argmax())
        return max(self.parts, key=lambda name: _SHARES[name] * self.parts[name][most])


def judge_quality(compared: Compared, rules: QualityRules | None = None) -> Quality:
    """Bet on all outcomes in the order in which they came due.

    The order of the rows does not matter, and running it again on more outcomes only adds to the end.

    Args:
        compared: forecasts of the version that users get, which neither it nor its calibration
            learned from.
        rules: what counts as degraded.

    Raises:
        InvalidSettings: the rules make no sense.
    """
    rules = rules or QualityRules()
    instants = np.unique(compared.targets)
    parts = {name: np.zeros(len(instants)) for name in _SHARES}
    for horizon, part in rules.horizons.items():
        paid, fortunes = _fortunes(compared.at(horizon), horizon, rules)
        newest = np.searchsorted(paid, instants, side="right")
        for name, path in fortunes.items():
            parts[name] += part * np.concatenate([[1.0], path])[newest]
    nearest = compared.at(min(rules.horizons))
    lost, reference_lost = (
        mean_pinball(nearest.realised, quantiles) / nearest.units
        for quantiles in (nearest.returns, nearest.reference)
    )
    return Quality(
        instants=instants,
        evidence=sum((_SHARES[name] * parts[name] for name in parts), np.zeros(len(instants))),
        parts=parts,
        limit=1 / rules.error_rate,
        bars=len(np.unique(nearest.as_of)),
        coverage=_mean(inside(nearest.realised, nearest.returns, 0.9)),
        reference_coverage=_mean(inside(nearest.realised, nearest.reference, 0.9)),
        loss_ratio=_mean(lost) / _mean(reference_lost) if len(nearest) else float("nan"),
    )


def _fortunes(
    rows: Compared, horizon: int, rules: QualityRules
) -> tuple[Instants, dict[str, Floats]]:
    """When each bar's outcomes were all known [b], and the fortunes after it, by kind of degradation."""
    as_of, bar = np.unique(rows.as_of, return_inverse=True)
    paid = np.zeros(len(as_of), dtype=np.int64)
    np.maximum.at(paid, bar, rows.targets)
    paid = np.maximum.accumulate(paid)
    lag = max(horizon, _open_at_most(as_of, paid))
    fortunes = {LOSS: wealth(_loss_payoffs(rows, bar, rules), lag)}
    for name, sign in ((NARROW, 1), (WIDE, -1)):
        own, against = _coverage_payoffs(rows, bar, rules, name, sign)
        # Both must be refuted, for a version is not withdrawn in favour of one that is as far off.
        fortunes[name] = np.minimum(wealth(own, lag), wealth(against, lag))
    return paid, fortunes


def _open_at_most(as_of: Instants, paid: Instants) -> int:
    """Most bets that are open at once: more than the horizon where symbols have different sessions."""
    settled = np.searchsorted(paid, as_of, side="right")
    return int((np.arange(1, len(as_of) + 1) - settled).max(initial=1))


def _loss_payoffs(rows: Compared, bar: Rows, rules: QualityRules) -> Floats:
    """Excess loss over the reference and the slack, by what could be lost at most; [b].

    As a function of the outcome the difference of two pinball losses is piecewise linear and constant
    beyond the outermost quantiles, so its least value is taken at one of the quantiles.
    """
    width = rows.reference[:, -1] - rows.reference[:, 0]
    unit = _NORMAL_LOSS * np.maximum(width, np.finfo(np.float64).tiny)
    knots = np.concatenate([rows.returns, rows.reference], axis=1)
    least = np.min([_difference(knots[:, k], rows) for k in range(knots.shape[1])], axis=0)
    least = np.minimum(least, 0.0)
    excess = _by_bar(_difference(rows.realised, rows) / unit, bar) - rules.loss_slack
    return excess / (rules.loss_slack - _by_bar(least / unit, bar))


def _difference(outcomes: Floats, rows: Compared) -> Floats:
    lost, reference = (mean_pinball(outcomes, q) for q in (rows.returns, rows.reference))
    return np.asarray(lost - reference, dtype=np.float64)


def _coverage_payoffs(
    rows: Compared, bar: Rows, rules: QualityRules, name: str, sign: int
) -> tuple[Floats, Floats]:
    """Payoffs [b] of intervals that miss (sign 1) or hit (-1) more than they say, and than the reference's."""
    weight, clearly = _WIDER_BAND[name], rules.clearly
    surplus, ahead, least = (np.zeros(len(rows)) for _ in range(3))
    most = 0.0
    for nominal, part in ((0.9, weight), (0.5, 1 - weight)):
        held, reference = (
            inside(rows.realised, quantiles, nominal).astype(np.float64)
            for quantiles in (rows.returns, rows.reference)
        )
        surplus += part * sign * (nominal - held)
        ahead += part * sign * (reference - held)
        least += part * _may_lose(rows, nominal, sign)
        most += part * (1 - nominal if sign > 0 else nominal)
    own = _by_bar(surplus, bar) / most
    against = (_by_bar(ahead, bar) - clearly) / (clearly + _by_bar(least, bar))
    return own, against


def _may_lose(rows: Compared, nominal: float, sign: int) -> Floats:
    """1 where an outcome could speak for the version and against the reference, else 0; [n].

    None can where the version's interval lies within the reference's (sign 1) or around it (-1).
    """
    inner, outer = (rows.returns, rows.reference)[::sign]
    low, high = (level_index((1 + side * nominal) / 2) for side in (-1, 1))
    within = (inner[:, low] >= outer[:, low]) & (inner[:, high] <= outer[:, high])
    return np.asarray(~within, dtype=np.float64)


def _by_bar(values: Floats, bar: Rows) -> Floats:
    """Mean over the symbols of each bar."""
    return np.asarray(np.bincount(bar, values) / np.bincount(bar), dtype=np.float64)


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")
