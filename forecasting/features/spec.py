"""Specifies a model's features: windows, symbols, and the column names that follow from them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Final

from forecasting.errors import InvalidSettings
from forecasting.features import variance as variances
from forecasting.schema import INTERVALS

MAX_ONE_HOT: Final = 32
"""Most symbols that get a column each; of more, no column says which it is."""

_SETTLED: Final = 6
"""Windows after which a recursive average has forgotten its seed: (1 - 1/n)^(6n) < 0.3 %."""

_LATER: Final[Mapping[str, Any]] = {"variance": (), "decays": (), "anonymous": False}
"""Parameters that older specifications lack, and what they are for them."""


@dataclass(frozen=True)
class FeatureSpec:
    """Which features, with which windows; their names derive from these parameters.

    Attributes:
        interval: the bars' interval, a key of `forecasting.schema.INTERVALS`.
        symbols: symbols whose features are made; any where none is named. Up to `MAX_ONE_HOT` of
            them have a column each, in which a symbol that is not among them has zeros.
        returns: bars of log total returns.
        sma, ema: bars of the averages that the close is compared to.
        extremes: bars of the highest high and lowest low that the close is compared to.
        rsi, bollinger, atr: bars of the indicators of that name.
        macd: fast, slow and signal bars.
        volatility: bars of realised volatility.
        volume: bars of the z-score of log volume.
        ranked: features that are also ranked among the symbols of the same instant.
        variance: bars of the averages of a bar's variance that learned widths rest on, see
            `forecasting.features.variance`; none for a model without.
        decays: per bar, of the averages of squared returns that a GARCH recursion rests on, beside
            `variance`; none for a model without.
        anonymous: whether no column says which symbol it is; by default of more symbols than
            `MAX_ONE_HOT`. Older specifications of so many have one column, `symbol_code`: the
            symbol's place in the alphabet, -1 for one that is not among them, along which a
            linear model learns a slope.
    """

    interval: str = "1d"
    symbols: tuple[str, ...] = ()
    returns: tuple[int, ...] = (1, 2, 3, 5, 10, 21, 63, 126, 252)
    sma: tuple[int, ...] = (5, 21, 50, 200)
    ema: tuple[int, ...] = (12, 26)
    extremes: tuple[int, ...] = (252,)
    rsi: tuple[int, ...] = (5, 14)
    macd: tuple[int, int, int] = (12, 26, 9)
    bollinger: tuple[int, ...] = (20,)
    atr: tuple[int, ...] = (14,)
    volatility: tuple[int, ...] = (5, 21, 63)
    volume: tuple[int, ...] = (21, 63)
    ranked: tuple[str, ...] = ("log_return_21", "realised_volatility_21", "volume_zscore_21")
    variance: tuple[int, ...] = ()
    decays: tuple[float, ...] = ()
    anonymous: bool | None = None

    def __post_init__(self) -> None:
        if self.anonymous is None:
            object.__setattr__(self, "anonymous", len(self.symbols) > MAX_ONE_HOT)
        if self.interval not in INTERVALS:
            raise InvalidSettings(
                f"an interval is one of {', '.join(INTERVALS)}", f"got {self.interval!r}"
            )
        if len(set(self.symbols)) != len(self.symbols):
            raise InvalidSettings("a symbol is named once", f"got {', '.join(self.symbols)}")
        if any(window < 1 for window in (*self.returns, *self.variance)) or any(
            w < 2 for w in self._windows
        ):
            raise InvalidSettings(
                "a window is at least 2 bars, that of a return or a variance 1", f"got {self}"
            )
        if not all(0 < decay < 1 for decay in self.decays) or (self.decays and not self.variance):
            raise InvalidSettings(
                "a decay lies between 0 and 1, and stands beside windows of variance",
                f"decays {self.decays}, variance {self.variance}",
            )
        unknown = [name for name in self.ranked if name not in self._alone]
        if unknown:
            raise InvalidSettings(
                "only features of this specification can be ranked",
                f"not among them: {', '.join(unknown)}",
                f"Choose from {', '.join(self._alone)}",
            )

    @property
    def intraday(self) -> bool:
        """Whether a day has several bars, so that the hour says something."""
        return self.interval != "1d"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the feature columns, in their order."""
        ranks = (f"rank_{name}" for name in self.ranked)
        market = (f"market_{name}" for name in self.averaged)
        return (*self._alone, *ranks, *market, *self.identity)

    @cached_property
    def averaged(self) -> tuple[str, ...]:
        """Features that are also averaged over the symbols of the same instant."""
        windows = (window for window in variances.MARKET if window in self.variance)
        return tuple(f"variance_ratio_{window}" for window in windows)

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """Names of the columns that say which symbol it is; the last ones."""
        if self.anonymous:
            return ()
        if len(self.symbols) > MAX_ONE_HOT:
            return ("symbol_code",)
        return tuple(f"symbol_{symbol}" for symbol in self.symbols)

    @cached_property
    def _alone(self) -> tuple[str, ...]:
        """Names of the features that need one symbol only, as `indicators` yields them."""
        macd = "_".join(str(window) for window in self.macd)
        circles = ("day_of_week", "month", "hour_of_day")[: 3 if self.intraday else 2]
        return (
            *(f"log_return_{window}" for window in self.returns),
            *(f"close_to_sma_{window}" for window in self.sma),
            *(f"close_to_ema_{window}" for window in self.ema),
            *(f"close_to_{end}_{window}" for window in self.extremes for end in ("high", "low")),
            *(f"rsi_{window}" for window in self.rsi),
            *(f"{line}_{macd}" for line in ("macd", "macd_signal", "macd_histogram")),
            *(
                f"bollinger_{w}_{window}"
                for window in self.bollinger
                for w in ("position", "width")
            ),
            *(f"atr_{window}" for window in self.atr),
            *(f"realised_volatility_{window}" for window in self.volatility),
            "ewma_volatility",
            *(f"volume_zscore_{window}" for window in self.volume),
            "intraday_range",
            "overnight_gap",
            "close_location",
            *(f"{circle}_{part}" for circle in circles for part in ("sin", "cos")),
            *(variances.feature_names(self.variance) if self.variance else ()),
            *variances.state_names(self.decays),
        )

    @property
    def _windows(self) -> tuple[int, ...]:
        plain = (*self.sma, *self.extremes, *self.bollinger, *self.volatility, *self.volume)
        return (*plain, *self._recursive)

    @property
    def _recursive(self) -> tuple[int, ...]:
        return (*self.ema, *self.macd, *self.rsi, *self.atr)

    @property
    def warmup_bars(self) -> int:
        """Bars a symbol needs for its first usable row."""
        memory: tuple[int, ...] = (variances.MEMORY,) if self.decays else ()
        windows = max((*self._windows, *self.returns, *self.variance, *memory))
        return max(windows + 1, _SETTLED * max(self._recursive, default=1) + 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse.

        A parameter that is what it is for older specifications is left out, so that the digest
        of one without it stays as it is.
        """
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if name not in _LATER or value != _LATER[name]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FeatureSpec":
        """The specification that `to_dict` wrote.

        Raises:
            InvalidSettings: a key is unknown or missing.
        """
        values = {**_LATER, **values}
        expected = {field.name for field in fields(cls)}
        if set(values) != expected:
            raise InvalidSettings(
                f"a feature specification has the keys {', '.join(sorted(expected))}",
                f"differs in {', '.join(sorted(expected ^ set(values)))}",
                "It was written by another version of Bellwether: train again",
            )
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**plain)

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
