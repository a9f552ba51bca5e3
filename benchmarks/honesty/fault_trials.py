"""Trials of faults put into clean bars and judged as an ingest does: what became of each."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from benchmarks.honesty.clean_bars import clean_bars, judge_daily
from benchmarks.honesty.experiment import Size
from benchmarks.honesty.fault_injection import INJECTIONS, TOUCHED, Injection, marked

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.prices.quality.judge import CleanedBars

Fate = Literal["named", "refused", "taken out", "reported otherwise", "undone", "silent"]

FATES: Final[tuple[Fate, ...]] = (
    "named", "refused", "taken out", "reported otherwise", "undone", "silent",
)  # fmt: skip
_WORDS: Final = re.compile(r"[a-z_]+")


@dataclass(frozen=True)
class Trial:
    """Some faults put into one data set at places picked by a seed."""

    data: str
    faults: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class TrialResult:
    """What became of each fault of a trial."""

    trial: Trial
    fates: tuple[Fate, ...]


def trials(size: Size, seed: int) -> tuple[list[Trial], list[Trial]]:
    """Every fault alone, and every pair of them (a part of the pairs, if small)."""
    small = size == "small"
    sets = ("made-1", "tech") if small else ("made-1", "made-2", "tech", "classic")
    draws = np.random.SeedSequence(seed).generate_state(1 if small else 5).tolist()
    alone = [Trial(data, (name,), draw) for data in sets for name in INJECTIONS for draw in draws]
    pairs = [
        Trial(data, pair, draw)
        for data in sets
        for pair in combinations(INJECTIONS, 2)
        for draw in draws[: 1 if small else 2]
    ]
    if small:
        picked = np.random.default_rng(seed).choice(len(pairs), size=150, replace=False)
        pairs = [pairs[i] for i in picked.tolist()]
    return alone, pairs


def try_all(batch: Sequence[Trial]) -> list[TrialResult]:
    """Try one trial after the other."""
    return [try_faults(trial) for trial in batch]


def try_faults(trial: Trial) -> TrialResult:
    """Put the faults in, judge as an ingest does, and see what became of each."""
    from forecasting.adapters.lake.bars import new_and_restated
    from forecasting.errors import InvalidPrices

    injections = [INJECTIONS[name] for name in trial.faults]
    clean = clean_bars(trial.data)
    bars = _spoiled(clean, trial)
    stored = clean if any(injection.restates for injection in injections) else None
    try:
        judged = judge_daily(bars, stored)
        names = _names(judged)
        if stored is not None:
            _, restated = new_and_restated(stored, judged.clean, "1d")
            names.update(restated["fault"])
    except InvalidPrices as error:
        words = set(_WORDS.findall(str(error)))
        fates: list[Fate] = [
            "named" if words & injection.names else "refused" for injection in injections
        ]
        return TrialResult(trial, tuple(fates))
    usual = _names_when_clean(trial.data)
    new_names = {name for name, count in names.items() if count > usual.get(name, 0)}
    symbols = _newly_reported(judged, clean, injections)
    quarantined = np.zeros(len(bars), dtype=bool)
    quarantined[judged.quarantine["row"].to_numpy(dtype=np.int64)] = True
    fates = []
    for bit, injection in enumerate(injections):
        touched = (bars[TOUCHED].to_numpy() >> bit & 1).astype(bool)
        if new_names & injection.names:
            fates.append("named")
        elif quarantined[touched].all():
            fates.append("taken out")
        elif set(bars["symbol"][touched]) & symbols:
            fates.append("reported otherwise")
        else:
            fates.append("undone" if judged.clean.equals(clean) else "silent")
    return TrialResult(trial, tuple(fates))


def _spoiled(clean: "pd.DataFrame", trial: Trial) -> "pd.DataFrame":
    """The clean bars with the trial's faults in them, earlier stages first."""
    injections = [INJECTIONS[name] for name in trial.faults]
    bars = marked(clean)
    for bit in sorted(range(len(injections)), key=lambda i: injections[i].stage):
        chance = np.random.default_rng([trial.seed, bit, *map(ord, trial.faults[bit])])
        bars = injections[bit].put(bars, chance, bit)
    return bars


def _newly_reported(
    judged: "CleanedBars", clean: "pd.DataFrame", injections: Sequence[Injection]
) -> set[str]:
    """Symbols of which something is reported that is not reported of the clean bars.

    What names one fault of a pair does not report the other.
    """
    usual = {finding.found for finding in judge_daily(clean).findings}
    symbols = {finding.symbol for finding in judged.findings if finding.found not in usual}
    if len(injections) > 1:
        names = set().union(*(injection.names for injection in injections))
        symbols -= {finding.symbol for finding in judged.findings if finding.fault in names}
    return symbols


@lru_cache(maxsize=8)
def _names_when_clean(data: str) -> dict[str, int]:
    return dict(_names(judge_daily(clean_bars(data))))


def _names(judged: "CleanedBars") -> Counter[str]:
    """Everything that was said of the bars, by name."""
    reported = Counter(finding.fault for finding in judged.findings)
    return Counter(judged.faults) + Counter(judged.repairs) + reported
