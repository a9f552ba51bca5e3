"""Candidates that learn how far prices will move: the width of the forecast at the knot horizons.

They answer the log of the width relative to scale * sqrt(h), and locate every return at zero, as
the random walk does. What they learn is the log of the realised volatility over the next h bars,
read from ranges and gaps, on features of past variance (`forecasting.features.variance`): the
heterogeneous autoregression of Corsi (2009, "A simple approximate long-memory model of realized
volatility", Journal of Financial Econometrics 7) in its log-linear form, and boosted trees.
The recursion of `forecasting.models.garch` learns from returns alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.features.variance import FEATURE_PREFIXES, STATE_PREFIXES
from forecasting.models.garch import fit_garch
from forecasting.models.quantiles import KNOTS

Grow = Callable[[dict[str, Any], NDArray[np.float32], Floats, int, int], Any]
"""Makes and fits an estimator: (params, x, target, seed, threads) -> estimator."""

_RIDGE: Final[Mapping[str, Any]] = {"alpha": 0.1}
_TREES: Final[Mapping[str, Any]] = {
    "n_estimators": 150,
    "max_depth": 3,
    "learning_rate": 0.05,
    "subsample": 0.5,
    "colsample_bytree": 0.5,
    "min_child_weight": 100.0,
    "reg_lambda": 50.0,
    "max_bin": 64,
}
RECURSION: Final = "garch"
"""The part that is a GARCH recursion: it has features of its own, and learns from returns."""

PARTS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "har": {"ridge": _RIDGE},
    "har_boosted": {"xgboost": _TREES},
    "garch": {RECURSION: {}},
    "har_combination": {"ridge": _RIDGE, "xgboost": _TREES, RECURSION: {}},
}
"""Candidates that learn a width -> the estimators they are the geometric mean of, with defaults."""

WEIGHTS: Final[Mapping[str, float]] = {"ridge": 1.0, "xgboost": 1.0, RECURSION: 0.5}
"""How much each part counts in the geometric mean: a recursion, which reads no range, half."""

_TAKES_STATE: Final = frozenset({"xgboost", RECURSION})
"""Parts that learn from the state of a recursion: a ridge has more columns than a short history
bears."""

MEMBERS: Final = "members"
"""Parameter of a candidate of several parts: those it is made of, e.g. "ridge+garch". Where it is
empty, training chooses them (`forecasting.models.members`); unchosen it is made of all."""

DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    kind: {name: value for part in parts.values() for name, value in part.items()}
    | ({MEMBERS: ""} if len(parts) > 1 else {})
    for kind, parts in PARTS.items()
}

EWMA: Final = "ewma"
"""The width that is not learned: the EWMA volatility that is every candidate's scale."""

CALENDAR: Final = ("day_of_week_", "hour_of_day_")
"""Prefixes of features about time that widths depend on, too: a weekend lies between some bars."""


def learns_width(kind: str) -> bool:
    """Whether a candidate learns widths; the others learn locations."""
    return kind in PARTS


def columns_of(kind: str, names: Sequence[str]) -> NDArray[np.intp]:
    """Columns of the feature table that a candidate learns from, in its order.

    Widths are learned from features of variance and the calendar, by trees from the state of a
    recursion as well, by a recursion from that alone; locations from all that is not about variance.

    Raises:
        InvalidSettings: it learns widths, and the table has no features of variance, or not the
            state of a recursion that it learns from.
    """
    of_variance, state = _starts(names, FEATURE_PREFIXES), _starts(names, STATE_PREFIXES)
    if not learns_width(kind):
        return np.flatnonzero(~of_variance)
    parts = set(PARTS[kind])
    needs_state = bool(parts & _TAKES_STATE)
    if not of_variance.any() or (needs_state and not state.any()):
        raise InvalidSettings(
            f"the candidate {kind} learns a width from features of variance",
            "the feature table has none, or none with decays",
            f"Name {kind} among the candidates when the features are made, "
            "or give FeatureSpec(variance=..., decays=...)",
        )
    taken = state if needs_state else np.zeros_like(state)
    if parts != {RECURSION}:
        taken = taken | (of_variance & ~state) | _starts(names, CALENDAR)
    return np.flatnonzero(taken)


def members_of(kind: str, params: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts that a candidate is made of, in their order.

    Raises:
        InvalidSettings: its parameter names one twice, or one that it does not have.
    """
    parts = tuple(PARTS[kind])
    chosen = str(params.get(MEMBERS, "")) or "+".join(parts)
    named = chosen.split("+")
    if not set(named) <= set(parts) or len(set(named)) < len(named):
        raise InvalidSettings(
            f"{MEMBERS} of {kind} are some of {', '.join(parts)}, joined by +", repr(chosen)
        )
    return tuple(part for part in parts if part in named)


def geometric_mean(parts: Mapping[str, Floats]) -> Floats:
    """Logs of the width that parts have together: their mean, weighted by `WEIGHTS`.

    Args:
        parts: name of each part -> logs of its widths, of one shape.
    """
    mean: Floats = np.average(
        list(parts.values()), axis=0, weights=[WEIGHTS[part] for part in parts]
    )
    return mean


def named(width: str) -> tuple[str, dict[str, str]]:
    """Candidate and parameters of a width by name: "har_combination:ridge+garch" names members."""
    kind, _, members = width.partition(":")
    return kind, {MEMBERS: members} if members else {}


def kept_columns(
    chosen: NDArray[np.intp], kind: str, params: Mapping[str, Any], names: Sequence[str]
) -> NDArray[np.intp]:
    """The chosen columns, and the state of a recursion that is a member: it cannot do with less."""
    if not learns_width(kind) or RECURSION not in members_of(kind, params):
        return chosen
    return np.union1d(chosen, np.flatnonzero(_starts(names, STATE_PREFIXES)))


def _starts(names: Sequence[str], prefixes: tuple[str, ...]) -> NDArray[np.bool_]:
    return np.array([name.startswith(prefixes) for name in names], dtype=bool)


@dataclass
class WidthLearner:
    """The geometric mean of the widths that its estimators learned.

    Attributes:
        kind: a key of PARTS.
        params: every parameter in force.
        growers: name of each part -> what makes and fits its estimator; a recursion needs none.
        threads: how many threads the libraries may use.
        names: of the k features; without them every part takes all.
        estimators: name of each part -> its fitted estimator; empty before `fit`.
        slopes: what logs of widths are multiplied with at each knot, see `forecasting.models.shrinkage`.
    """

    kind: str
    params: dict[str, Any]
    growers: Mapping[str, Grow]
    threads: int
    names: tuple[str, ...] = ()
    estimators: Mapping[str, Any] = field(default_factory=dict)
    slopes: tuple[float, ...] = (1.0,) * len(KNOTS)

    def __post_init__(self) -> None:
        members_of(self.kind, self.params)

    def columns(self, part: str, width: int) -> NDArray[np.intp]:
        """Places of a part's features among the `width` of the candidate."""
        if not self.names:
            return np.arange(width)
        state = _starts(self.names, STATE_PREFIXES)
        if part == RECURSION:
            return np.flatnonzero(state)
        return np.arange(width) if part in _TAKES_STATE else np.flatnonzero(~state)

    def fit(self, x: NDArray[np.float32], target: Floats, *, seed: int) -> Self:
        """Learn from features [n, k].

        Args:
            x: the features.
            target: [n, 2 K] logs of realised volatility over scale * sqrt(h) at the knots, then
                standardised returns; see `Examples.targets`. Rows with NaN are left out.
            seed: of everything random.

        Raises:
            ShortHistory: no row has all its knots.
            InvalidSettings: a recursion lacks its features.
        """
        known = np.flatnonzero(np.isfinite(target).all(axis=1))
        if not len(known):
            raise ShortHistory(
                "a width needs rows whose volatility is known over every knot horizon",
                f"0 of {len(target)} rows",
                "Give a longer history",
            )
        self.estimators = {
            part: self._grow(part, x[known], target[known], seed)
            for part in members_of(self.kind, self.params)
        }
        return self

    def _grow(self, part: str, x: NDArray[np.float32], target: Floats, seed: int) -> Any:
        """A fitted estimator of one part, on rows whose targets are known."""
        columns = self.columns(part, x.shape[1])
        if part == RECURSION:
            names = [self.names[column] for column in columns] if self.names else ()
            return fit_garch(x[:, columns], target[:, len(KNOTS)], names)
        params = {name: self.params[name] for name in PARTS[self.kind][part]}
        realised = target[:, : len(KNOTS)]
        return self.growers[part](params, x[:, columns], realised, seed, self.threads)

    def each(self, x: NDArray[np.float32]) -> dict[str, Floats]:
        """Logs [n, K] of the width by the name of the part that says so, before any slope."""
        return {
            part: np.asarray(
                estimator.predict(x[:, self.columns(part, x.shape[1])]), dtype=np.float64
            ).reshape(len(x), len(KNOTS))
            for part, estimator in self.estimators.items()
        }

    def predict(self, x: NDArray[np.float32]) -> Floats:
        """Logs [n, K] of the width: the same as `log_width`."""
        mean: Floats = geometric_mean(self.each(x)) * np.array(self.slopes)
        return mean

    def locate(self, x: NDArray[np.float32]) -> Floats:
        """Zeros [n, K]: no direction is learned."""
        return np.zeros((len(x), len(KNOTS)))

    def log_width(self, x: NDArray[np.float32]) -> Floats:
        """See `candidates.Forecaster.log_width`."""
        return self.predict(x)
