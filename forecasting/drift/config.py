"""Configures drift monitoring: windows, columns, horizons and the rate of false alarms."""

from dataclasses import dataclass
from typing import Final

from forecasting.errors import InvalidSettings

METHOD: Final = "wasserstein"
"""Evidently's name of the statistic: the Wasserstein distance of two samples, in standard
deviations of the first. Unlike a p-value it does not grow with the number of rows."""

CHANGE_OF: Final = "change of "
"""What the name of a column begins with where its newest values are compared with those before."""


@dataclass(frozen=True)
class Look:
    """One comparison of the newest bars with earlier ones.

    Attributes:
        name: "level" or "change".
        newest: bars per symbol that are new.
        before: bars per symbol just before them that they are compared with; 0: all that the
            champion learned from.
    """

    name: str
    newest: int
    before: int = 0

    @property
    def bars(self) -> int:
        """Bars per symbol of one look."""
        return self.newest + self.before

    def column(self, name: str) -> str:
        """What this look calls a column."""
        return f"{CHANGE_OF}{name}" if self.before else name


@dataclass(frozen=True)
class DriftRules:
    """What is watched, and how often a scope may be flagged although nothing changed.

    There are no thresholds here: they come from the data (`forecasting.drift.thresholds`), because a
    recent window of a persistent feature (volatility, trend) never looks like ten years of
    history, and a fixed threshold either cries wolf or sleeps.

    Attributes:
        false_alarms: share of runs in which a scope may be flagged without a change: over all of
            its columns and looks together, not for each.
        level_bars: newest bars per symbol whose level is compared with the champion's training.
        change_bars: newest bars per symbol that are compared with those just before them.
        before_bars: how many those are.
        min_rows: fewest finite rows of a column, on either side, that are compared.
        max_missing: largest share of not finite rows, on either side.
        ignored: columns whose name starts with one of these are not watched: a recent window
            is always another season than the whole history, and over all symbols neither their
            identities nor their ranks ever move.
        watched_horizons: horizons, in bars, whose realised skill, coverage and variance can raise an alarm.
        min_dates: fewest distinct as-of instants behind a realised alarm.
    """

    false_alarms: float = 0.05
    level_bars: int = 60
    change_bars: int = 10
    before_bars: int = 30
    min_rows: int = 10
    max_missing: float = 0.2
    ignored: tuple[str, ...] = ("symbol", "rank_", "day_of_week", "month", "hour_of_day")
    watched_horizons: tuple[int, ...] = (1, 5)
    min_dates: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms <= 0.5:
            raise InvalidSettings("false_alarms must lie in (0, 0.5]", str(self.false_alarms))
        if not 0 <= self.max_missing < 1:
            raise InvalidSettings("max_missing must lie in [0, 1)", str(self.max_missing))
        counts = {
            "level_bars": self.level_bars,
            "change_bars": self.change_bars,
            "before_bars": self.before_bars,
            "min_dates": self.min_dates,
        }
        for name, count in counts.items():
            if count < 1:
                raise InvalidSettings(f"{name} must be at least 1", str(count))
        if self.min_rows < 2:
            raise InvalidSettings("min_rows must be at least 2", str(self.min_rows))

    @property
    def false_alarms_per_horizon(self) -> float:
        """Share of a realised figure's false alarms that each watched horizon may raise (Bonferroni)."""
        return self.false_alarms / len(self.watched_horizons)

    @property
    def level(self) -> Look:
        """The newest bars against the champion's training."""
        return Look("level", self.level_bars)

    @property
    def change(self) -> Look:
        """The newest few bars against those just before them."""
        return Look("change", self.change_bars, self.before_bars)
