"""Joins logged forecasts whose horizon has elapsed with the returns that were realised."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice, pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants
from forecasting.evaluation.losses import loss_units, scale_floor
from forecasting.instants import DAY, nanoseconds
from forecasting.prices.quality.catalogue import ENDED_DAYS
from forecasting.schema import QUANTILE_LEVELS, SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

SCORED_HORIZONS: Final = (1, 5, 10, 20, 30)
"""Horizons, in bars, that are scored once they have elapsed."""

_BATCH: Final = 2_000
"""Forecasts that are laid out at a time."""

Texts = NDArray[np.str_]


@dataclass(frozen=True)
class ForecastRows:
    """Logged forecasts, one row per forecast and horizon.

    Attributes:
        symbols, model_versions: [n].
        horizons: [n], in bars.
        as_of, targets: [n], unix nanoseconds: close of the last bar known, and of the bar meant.
        returns: [n, Q] forecast quantiles of the log return from `as_of` to the target.
        made_at: [n] unix nanoseconds: when the forecast was made, on the clock of its prices.
        calibrations: [n] number of the calibration it was made with; 0 for its bundle's own.
    """

    symbols: Texts
    model_versions: Texts
    horizons: Instants
    as_of: Instants
    targets: Instants
    returns: Floats
    made_at: Instants
    calibrations: Instants

    def __len__(self) -> int:
        return len(self.horizons)

    @property
    def late(self) -> NDArray[np.bool_]:
        """[n] whether a forecast was made when its outcome could be known."""
        return self.made_at >= self.targets

    def take(self, rows: NDArray[Any]) -> "ForecastRows":
        """The rows a mask or an index array picks."""
        return ForecastRows(
            self.symbols[rows],
            self.model_versions[rows],
            self.horizons[rows],
            self.as_of[rows],
            self.targets[rows],
            self.returns[rows],
            self.made_at[rows],
            self.calibrations[rows],
        )

    @classmethod
    def joined(cls, parts: "Sequence[ForecastRows]") -> "ForecastRows":
        """The rows of at least one part, in their order."""
        columns = ([getattr(part, name.name) for part in parts] for name in fields(cls))
        return cls(*(np.concatenate(column) for column in columns))

    def once(self) -> "ForecastRows":
        """Each forecast once, the first row of it: a page that asks again must not weigh more."""
        if not len(self):
            return self
        key = np.rec.fromarrays([self.model_versions, self.symbols, self.as_of, self.horizons])
        return self.take(np.sort(np.unique(key, return_index=True)[1]))


@dataclass(frozen=True)
class PricePath:
    """What one symbol did.

    Attributes:
        timestamps: [t] bar closes in unix nanoseconds, rising.
        log_prices: [t] logs of the closes, adjusted for splits and dividends (total return).
        scale: [t] volatility of one bar's log return as the features define it, known at each
            bar; NaN where it is not known.
    """

    timestamps: Instants
    log_prices: Floats
    scale: Floats


@dataclass(frozen=True)
class LeftOut:
    """Forecasts of one version and horizon that no figure counts, and why.

    Attributes:
        horizon: in bars.
        late: made at or after the target's close, when the outcome could be known.
        learned: as of a bar that the version had learned from.
        ended: their symbol stopped trading before the target's close, which has passed: unscored.
    """

    model_version: str
    horizon: int
    late: int
    learned: int
    ended: int = 0

    @property
    def by_reason(self) -> dict[str, int]:
        """How many, by the name of the reason."""
        return {"late": self.late, "learned": self.learned, "ended": self.ended}

    @property
    def in_words(self) -> str:
        """How many of each kind, e.g. "3 late, 20 learned"."""
        return ", ".join(f"{count:,} {why}" for why, count in self.by_reason.items() if count)


@dataclass(frozen=True)
class Matured:
    """Forecasts with what really happened.

    Attributes:
        rows: the forecasts that count, each once.
        realised: [n] log total return from `as_of` to the target.
        scale: [n] volatility known at `as_of`.
        units: [n] what a loss is divided by (`evaluation.losses.loss_units`), above 0.
        waiting: forecasts whose target lies after the symbol's newest bar, unless it has ended.
        unpriced: forecasts without a realised return or a volatility: the symbol or the bar of
            `as_of` is not stored, no bar closed after it up to the target, or no price before it
            ever moved.
        left_out: forecasts that do not count; an entry for every version and horizon with some.
    """

    rows: ForecastRows
    realised: Floats
    scale: Floats
    units: Floats
    waiting: int
    unpriced: int
    left_out: tuple[LeftOut, ...] = ()


def mature(
    rows: ForecastRows,
    paths: Mapping[str, PricePath],
    learned_until: Mapping[str, int] = MappingProxyType({}),
    *,
    now: int | None = None,
) -> Matured:
    """Join forecasts with prices.

    Only forecasts count that were made before their outcome, by a version that had not learned from
    the bar they start at. The others are counted apart.

    The outcome is the total return from the bar of `as_of` to the newest bar that closed at or
    before the target: what a holder had at that instant. One search per symbol. A symbol has ended
    if its last bar is older than `ENDED_DAYS` before `now`: what it was forecast to do after that
    is not waited for, but counted apart, since leaving bankruptcies out flatters the figures.

    Args:
        rows: logged forecasts; repeated ones count once.
        paths: price path by symbol.
        learned_until: by version, unix nanoseconds of the last bar it learned from; a version that
            is not there is taken to have learned from none.
        now: close of the data's newest bar, unix nanoseconds; that of the paths by default.
    """
    rows = rows.once()
    learned = _learned(rows, learned_until)
    late = rows.late & ~learned
    counts = ~(late | learned)
    if now is None:
        now = max(
            (int(path.timestamps[-1]) for path in paths.values() if len(path.timestamps)), default=0
        )
    realised = np.full(len(rows), np.nan)
    scale = np.full(len(rows), np.nan)
    floor = np.zeros(len(rows))
    waiting = np.zeros(len(rows), dtype=np.bool_)
    ended = np.zeros(len(rows), dtype=np.bool_)
    for symbol in np.unique(rows.symbols):
        path = paths.get(str(symbol))
        if path is None or not len(path.timestamps):
            continue
        own = np.flatnonzero(counts & (rows.symbols == symbol))
        start = np.searchsorted(path.timestamps, rows.as_of[own], side="left")
        priced = start < len(path.timestamps)
        start = np.minimum(start, len(path.timestamps) - 1)
        priced &= path.timestamps[start] == rows.as_of[own]
        end = np.searchsorted(path.timestamps, rows.targets[own], side="right") - 1
        beyond = rows.targets[own] > path.timestamps[-1]
        if now - path.timestamps[-1] > ENDED_DAYS * DAY:
            ended[own] = beyond & (rows.targets[own] <= now)
        waiting[own] = beyond & ~ended[own]
        matured = priced & ~beyond & (end > start)
        realised[own[matured]] = path.log_prices[end[matured]] - path.log_prices[start[matured]]
        scale[own[matured]] = path.scale[start[matured]]
        floor[own] = scale_floor(path.scale)
    units = loss_units(np.maximum(scale, floor), rows.horizons)
    known = np.isfinite(realised) & (units > 0)
    return Matured(
        rows.take(known),
        realised[known],
        scale[known],
        units[known],
        int(waiting.sum()),
        int((counts & ~known & ~waiting & ~ended).sum()),
        _left_out(rows, late, learned, ended),
    )


def _learned(rows: ForecastRows, learned_until: Mapping[str, int]) -> NDArray[np.bool_]:
    """Which forecasts are as of bars that their version had learned from."""
    learned = np.zeros(len(rows), dtype=np.bool_)
    for version, until in learned_until.items():
        learned |= (rows.model_versions == version) & (rows.as_of <= until)
    return learned


def _left_out(rows: ForecastRows, *reasons: NDArray[np.bool_]) -> tuple[LeftOut, ...]:
    """How many of each version and horizon are late, learned and ended, where there are any."""
    found = []
    for version, horizon, group in groups(rows):
        counts = [int(reason[group].sum()) for reason in reasons]
        if any(counts):
            found.append(LeftOut(version, horizon, *counts))
    return tuple(found)


def groups(rows: ForecastRows) -> list[tuple[str, int, Instants]]:
    """(model version, horizon, rows) of every group; versions that are numbers by number."""
    found = []
    for version in np.unique(rows.model_versions):
        of_version = rows.model_versions == version
        for horizon in np.unique(rows.horizons[of_version]):
            group = np.flatnonzero(of_version & (rows.horizons == horizon))
            found.append((str(version), int(horizon), group))
    return sorted(found, key=lambda entry: (_rank(entry[0]), entry[1]))


def _rank(version: str) -> tuple[int, int, str]:
    return (0, int(version), "") if version.isdecimal() else (1, 0, version)


def forecast_rows(
    forecasts: Iterable[Mapping[str, Any]], horizons: tuple[int, ...] = SCORED_HORIZONS
) -> tuple[ForecastRows, int]:
    """Lay logged forecasts out as one row per horizon.

    Forecasts are taken some at a time, so that of a stream the arrays are all that is kept.

    Args:
        forecasts: mappings with symbol, model_version, as_of and made_at (unix nanoseconds),
            last_close, quantiles [h, Q] (prices) and target_times [h] (unix nanoseconds); and
            calibration, 0 where it is missing.
        horizons: which horizons, in bars; those a forecast does not reach are left out.

    Returns:
        The rows, and how many more were left out because their quantiles or last close are not
        positive prices at the published levels.
    """
    stream = iter(forecasts)
    parts = [_laid_out([], horizons)]
    while batch := list(islice(stream, _BATCH)):
        parts.append(_laid_out(batch, horizons))
    return ForecastRows.joined([rows for rows, _ in parts]), sum(damaged for _, damaged in parts)


def _laid_out(
    forecasts: Sequence[Mapping[str, Any]], horizons: tuple[int, ...]
) -> tuple[ForecastRows, int]:
    keys: list[tuple[str, str, int, int, int, int, int]] = []
    prices: list[tuple[float, ...]] = []
    damaged = 0
    width = len(QUANTILE_LEVELS)
    for forecast in forecasts:
        quantiles, targets = forecast["quantiles"], forecast["target_times"]
        for horizon in horizons:
            if horizon > min(len(quantiles), len(targets)):
                continue
            try:
                row = (float(forecast["last_close"]), *map(float, quantiles[horizon - 1]))
                target = int(targets[horizon - 1])
            except (TypeError, ValueError):
                row = ()
            if len(row) != width + 1:
                damaged += 1
                continue
            prices.append(row)
            keys.append(
                (
                    forecast["symbol"],
                    forecast["model_version"],
                    horizon,
                    forecast["as_of"],
                    target,
                    forecast["made_at"],
                    forecast.get("calibration", 0),
                )
            )
    table = np.array(prices, dtype=np.float64).reshape(len(keys), width + 1)
    good: NDArray[np.bool_] = np.all(np.isfinite(table) & (table > 0), axis=1)
    symbols, versions, bars, as_of, targets, made_at, calibrations = (
        zip(*keys, strict=True) if keys else ((),) * 7
    )
    with np.errstate(all="ignore"):
        returns = np.log(table[:, 1:] / table[:, :1])
    rows = ForecastRows(
        np.array(symbols, dtype=np.str_),
        np.array(versions, dtype=np.str_),
        np.array(bars, dtype=np.int64),
        np.array(as_of, dtype=np.int64),
        np.array(targets, dtype=np.int64),
        returns,
        np.array(made_at, dtype=np.int64),
        np.array(calibrations, dtype=np.int64),
    )
    return rows.take(good), damaged + int((~good).sum())


def price_paths(prices: "pd.DataFrame") -> dict[str, PricePath]:
    """What every symbol of a validated price frame did, splits and dividends included."""
    from forecasting.features.indicators import ewma_volatility
    from forecasting.prices.adjustment import adjust, symbol_bounds

    instants = nanoseconds(prices[TIMESTAMP])
    logs = np.log(adjust(prices)["close"].to_numpy(dtype=np.float64))
    symbols = prices[SYMBOL].to_numpy(dtype=object)
    bounds = symbol_bounds(prices).tolist()
    paths = {}
    for start, stop in pairwise(bounds):
        moves = np.diff(logs[start:stop], prepend=np.nan)
        scale = ewma_volatility(moves) if stop - start > 1 else np.full(1, np.nan)
        paths[str(symbols[start])] = PricePath(instants[start:stop], logs[start:stop], scale)
    return paths
