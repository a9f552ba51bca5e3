"""Drift experiment: false alarms on stationary panels, and bars until a real shift is flagged."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty import realised_variance
from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Plot, Size, Table, Workers
from benchmarks.honesty.garch import garch_moves, garch_prices, shifted
from benchmarks.honesty.shares import share
from forecasting.report.plots import Painter, Theme

if TYPE_CHECKING:
    from forecasting.drift.config import DriftRules, Look
    from forecasting.drift.thresholds import Limits
    from forecasting.drift.windows import DriftPanel

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

YEARS: Final = 252
WITHIN: Final = 10
"""Bars after a shift by which it has to be flagged."""

_AFTER = 60  # bars after the history: stationary, or shifted
_FACTORS = (1.25, 1.5, 2.0, 3.0)
_DOUBLED = 2.0
_EVIDENTLY_THRESHOLD, _EVIDENTLY_SHARE = 0.1, 0.5  # its defaults above 1,000 rows


@dataclass(frozen=True)
class Setting:
    """What one row of the table is about."""

    label: str
    symbols: int = 6
    years: int = 10
    level_bars: int = 60


@dataclass(frozen=True)
class Task:
    """One panel of prices."""

    seed: np.random.SeedSequence
    setting: Setting
    factors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Run:
    """What came of one panel.

    Attributes:
        flagged: by what, at each of the last 60 bars of the stationary panel: "level", "change".
        evidently: whether Evidently's defaults flagged the newest bars.
        shifted: by factor of volatility, the same for the panel whose last 60 bars are shifted.
        promised: share of runs that the limits say may be flagged without a change.
    """

    flagged: dict[str, Flags]
    evidently: bool
    shifted: dict[float, dict[str, Flags]]
    promised: float

    @property
    def alarms(self) -> Flags:
        """Whether a run at each of the last 60 bars of the stationary panel is flagged."""
        return _either(self.flagged)

    def delay(self, factor: float, look: str = "") -> int:
        """Bars from the shift to the first flag, of any look or of one; 61 for none."""
        by_look = self.shifted[factor]
        flags = by_look.get(look, np.zeros(_AFTER, dtype=bool)) if look else _either(by_look)
        return int(np.argmax(flags)) + 1 if flags.any() else _AFTER + 1


MAIN: Final = Setting("6 symbols, 10 years, level over 60 bars")
OTHERS: Final = (
    Setting("level over 30 bars", level_bars=30),
    Setting("level over 90 bars", level_bars=90),
    Setting("5 years of history", years=5),
    Setting("1 symbol", symbols=1),
)


def measure(task: Task) -> Run:
    """Calibrate on the history of one panel; judge what follows, with and without a shift."""
    from forecasting.drift.config import DriftRules
    from forecasting.drift.thresholds import Limits, calibrate

    rules = DriftRules(level_bars=task.setting.level_bars)
    # The features' own warm-up comes before the history.
    bars = 253 + task.setting.years * YEARS + _AFTER
    moves = garch_moves(task.seed, bars, task.setting.symbols)
    whole = _panel(moves, rules)
    history = whole.before(int(whole.distinct[-_AFTER]))
    looks = (rules.level, rules.change)
    limits = [
        calibrate(history, look, whole.names, false_alarms=rules.false_alarms / len(looks))
        for look in looks
    ]
    usable = [limit for limit in limits if isinstance(limit, Limits)]
    flagged = {limit.look.name: _flags(history, whole, limit) for limit in usable}
    shifted_flags = {}
    for factor in task.factors:
        moved = _panel(shifted(moves, factor, _AFTER), rules)
        shifted_flags[factor] = {limit.look.name: _flags(history, moved, limit) for limit in usable}
    scores = _scores(history, whole, rules.level, whole.names, np.array([len(whole.distinct) - 1]))
    evidently = bool((scores[0] >= _EVIDENTLY_THRESHOLD).mean() >= _EVIDENTLY_SHARE)
    return Run(flagged, evidently, shifted_flags, sum(limit.false_alarms for limit in usable))


def _panel(moves: Floats, rules: "DriftRules") -> "DriftPanel":
    """The watched features of moves, through the platform's own feature function."""
    from forecasting.drift.windows import DriftPanel
    from forecasting.features.build import FeatureSpec, build_features

    spec = FeatureSpec()
    table = build_features(garch_prices(moves), spec)
    watched = [n for n, name in enumerate(table.names) if not name.startswith(rules.ignored)]
    return DriftPanel.of_rows(
        np.array(table.symbols)[table.codes[table.usable]],
        table.timestamps[table.usable],
        table.values[table.usable][:, watched].astype(np.float64),
        [table.names[n] for n in watched],
    )


def _flags(history: "DriftPanel", whole: "DriftPanel", limits: "Limits") -> Flags:
    """Whether a run at each of the last bars would be flagged by a look [60]."""
    last = len(whole.distinct)
    ends = np.arange(last - _AFTER, last)
    names = tuple(limits.thresholds)
    scores = _scores(history, whole, limits.look, names, ends)
    limit = np.array([limits.thresholds[name] for name in names])
    return np.asarray((scores >= limit).any(axis=1), dtype=np.bool_)


def _scores(
    history: "DriftPanel",
    whole: "DriftPanel",
    look: "Look",
    names: tuple[str, ...],
    ends: NDArray[np.int64],
) -> Floats:
    """Distances of the looks that end at some bars, [W, k], by the twin of Evidently's."""
    from forecasting.drift.wasserstein import distances_between, distances_to

    newest, before = whole.windows(ends, look)
    place = {name: number for number, name in enumerate(whole.names)}
    distances = []
    for name in names:
        column = whole.values[:, place[name]]
        if look.before:
            distances.append(distances_between(column, newest, before))
        else:
            distances.append(distances_to(history.values[:, place[name]], column[newest]))
    return np.stack(distances, axis=1)


def _either(flags: dict[str, Flags]) -> Flags:
    """Flagged by any look [60]."""
    none: Flags = np.zeros(_AFTER, dtype=bool)
    return np.asarray(np.logical_or.reduce([none, *flags.values()]), dtype=np.bool_)


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Stationary panels and shifted ones, judged by the drift job's own calibration."""
    runs, others = (200, 60) if size == "full" else (8, 0)
    factors = _FACTORS if size == "full" else (_DOUBLED,)
    seeds = np.random.SeedSequence((seed, 9)).spawn(1 + len(OTHERS))
    tasks = [Task(branch, MAIN, factors) for branch in seeds[0].spawn(runs)]
    results = workers.map(measure, tasks, "GARCH panels")
    rows = [_row(MAIN, results)]
    for setting, branch in zip(OTHERS, seeds[1:], strict=True):
        if others:
            more = [Task(twig, setting, (_DOUBLED,)) for twig in branch.spawn(others)]
            rows.append(_row(setting, workers.map(measure, more, setting.label)))
    counts = Counts.of(results)
    watched = realised_variance.count(size, workers, seed)
    heads = [
        "panels", ">runs", ">flagged, stationary", ">limits say", ">doubled, within 10 bars",
        ">median delay",
    ]  # fmt: skip
    story = (
        _METHOD,
        Table(heads, rows),
        Plot(
            "delay",
            f"Share of {runs} panels flagged so many bars after volatility was multiplied, one run "
            "a bar, against what a stationary panel is flagged by chance.",
            _delays(results, factors),
        ),
        _MEANING,
        realised_variance.STORY,
        realised_variance.table(watched),
    )
    data = {
        "runs": runs,
        "flagged": counts.flagged,
        "flagged_in_ten": counts.flagged_in_ten,
        "evidently_defaults": counts.evidently,
        "ask_for_a_training": counts.trainings,
        "realised_variance": asdict(watched),
        "delays": {str(factor): [run.delay(factor) for run in results] for factor in factors},
    }
    return Outcome([*_findings(results, counts), *realised_variance.findings(watched)], story, data)


@dataclass(frozen=True)
class Counts:
    """How many panels of the main setting were flagged.

    Attributes:
        runs: panels.
        flagged: stationary ones flagged at their last bar.
        flagged_in_ten: stationary ones flagged at any of the last ten bars.
        trainings: stationary ones that ask for a training.
        evidently: stationary ones that Evidently's defaults flag.
        in_time: doubled ones flagged within `WITHIN` bars.
        by_level: doubled ones ever flagged by the level look.
    """

    runs: int
    flagged: int
    flagged_in_ten: int
    trainings: int
    evidently: int
    in_time: int
    by_level: int

    @classmethod
    def of(cls, results: list[Run]) -> "Counts":
        """Count the panels."""
        return cls(
            runs=len(results),
            flagged=sum(bool(run.alarms[-1]) for run in results),
            flagged_in_ten=sum(bool(run.alarms[-WITHIN:].any()) for run in results),
            trainings=sum(_lasted(run.alarms) for run in results),
            evidently=sum(run.evidently for run in results),
            in_time=sum(run.delay(_DOUBLED) <= WITHIN for run in results),
            by_level=sum(run.delay(_DOUBLED, "level") <= _AFTER for run in results),
        )


def _findings(results: list[Run], counts: Counts) -> list[Finding]:
    runs = counts.runs
    bars = float(np.mean([run.alarms.mean() for run in results]))
    median = float(np.median([run.delay(_DOUBLED) for run in results]))
    ratio = "we flagged none"
    if counts.flagged:
        ratio = f"{counts.evidently / counts.flagged:.0f} times as many"
    return [
        Finding(
            "stationary panels flagged by one run, nominal 5 %",
            share(counts.flagged, runs),
            "at most 8 %",
            counts.flagged <= 0.08 * runs,
        ),
        Finding(
            "doubled volatility flagged within 10 bars",
            f"{share(counts.in_time, runs)}; median {median:.0f} bars",
            "at least 90 %",
            counts.in_time >= 0.9 * runs,
        ),
        Finding(
            "the same panels flagged by Evidently's defaults",
            f"{share(counts.evidently, runs)}: {ratio}",
        ),
        Finding(
            "stationary panels flagged in any of ten runs in a row",
            share(counts.flagged_in_ten, runs),
        ),
        Finding(
            "stationary panels that ask for a training within 60 bars",
            share(counts.trainings, runs),
        ),
        Finding("stationary bars flagged, of 60 in every panel", f"{bars:.1%}"),
        Finding(
            "doubled volatility past a limit of the level look by bar 60",
            share(counts.by_level, runs),
        ),
        Finding(
            "what the limits themselves say of false alarms",
            f"{float(np.mean([run.promised for run in results])):.1%} of runs",
        ),
    ]


def _lasted(flags: Flags) -> bool:
    """Whether flags ever last as many bars as the retraining policy waits."""
    from forecasting.drift.retraining import RetrainingPolicy

    windows = np.lib.stride_tricks.sliding_window_view(flags, RetrainingPolicy().persist)
    return bool(windows.all(axis=1).any())


def _row(setting: Setting, results: list[Run]) -> list[str]:
    runs = len(results)
    return [
        setting.label,
        str(runs),
        f"{sum(bool(run.alarms[-1]) for run in results) / runs:.1%}",
        f"{float(np.mean([run.promised for run in results])):.1%}",
        f"{sum(run.delay(_DOUBLED) <= WITHIN for run in results) / runs:.1%}",
        f"{float(np.median([run.delay(_DOUBLED) for run in results])):.0f}",
    ]


def _delays(results: list[Run], factors: tuple[float, ...]) -> Painter:
    """Cumulative share flagged against bars since the shift, by its size."""

    def paint(figure: Any, theme: Theme) -> None:
        axes = figure.add_subplot(facecolor=theme.paper)
        bars = np.arange(1, _AFTER + 1)
        for place, factor in enumerate(factors):
            delays = np.array([run.delay(factor) for run in results])
            axes.step(
                bars,
                [100 * float((delays <= bar).mean()) for bar in bars],
                where="post",
                color=theme.hues[place],
                linewidth=1.7,
                label=f"volatility x {factor:g}",
            )
        chance = np.maximum.accumulate([run.alarms for run in results], axis=1).mean(axis=0)
        axes.step(bars, 100 * chance, where="post", color=theme.ink, linestyle="--", linewidth=1.2,
                  label="nothing changed")  # fmt: skip
        axes.axvline(WITHIN, color=theme.faint, linewidth=1.2)
        axes.set_xlim(1, _AFTER)
        axes.set_ylim(0, 103)
        axes.set_xlabel("bars since the shift", color=theme.ink)
        axes.set_ylabel("flagged so far (%)", color=theme.ink)
        axes.tick_params(colors=theme.ink)
        axes.grid(color=theme.faint, linewidth=0.6)
        for side in axes.spines.values():
            side.set_color(theme.faint)
        axes.legend(facecolor=theme.paper, edgecolor=theme.faint, labelcolor=theme.ink, fontsize=8)

    return paint


_METHOD: Final = """Every panel has ten years of daily bars of six symbols that follow GARCH(1,1) \
processes (daily volatility 1 to 2.5 %, alpha 0.04 to 0.10, persistence 0.95 to 0.99, Student's t \
with 6 degrees of freedom, 40 % of the variance in common), made into open, high, low and close \
and described by the platform's own `build_features`. Limits come from the first ten years, as \
the drift job sets them; the next 60 bars are judged, as they are, and with every price move in \
them multiplied. "Within 10 bars" counts the first flag of a job that runs once a bar.

Two looks share the false alarms: the newest 60 bars against ten years, and the newest 10 against \
the 30 before them. Each has a limit per column from a moving-block bootstrap whose block is the \
window itself ([why](decisions/0011-drift-thresholds.md)). Distances here come from a vectorised \
twin of Evidently's normed Wasserstein distance, which a test holds equal to Evidently's own; \
"Evidently's defaults" are a distance of 0.1 in half of the columns, its rule for a reference of \
more than 1,000 rows."""

_MEANING: Final = """A single run is wrong about as often as it says. Runs on consecutive bars see \
almost the same window, so false alarms come in spells: the dashed line, what a job that runs every \
bar flags by chance, grows with time. That is why drift asks for a training only once it has lasted \
three bars, and within a budget. A shift of a quarter is mostly lost in what GARCH does by itself, \
and one symbol alone hears a doubling later than six: its own volatility doubles by chance."""

EXPERIMENT: Final = Experiment(
    "drift",
    "Drift that does not cry wolf",
    "How often does the drift job flag a market in which nothing has changed, and how soon does it "
    "hear that volatility has doubled, or that prices move further than the forecasts say?",
    run,
)
