"""Every fault alone and every pair of faults, put into clean bars: does one get through unnamed?"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Literal

from benchmarks.honesty.experiment import (
    Experiment,
    Finding,
    Outcome,
    Plot,
    Size,
    Table,
    Workers,
    share,
)

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.prices.quality.judge import Judgement
    from forecasting.report.plots import Dress, Painter

Fate = Literal["named", "refused", "taken out", "told otherwise", "undone", "silent"]

_FATES: Final[tuple[Fate, ...]] = (
    "named", "refused", "taken out", "told otherwise", "undone", "silent",
)  # fmt: skip
NOW: Final = datetime(2026, 6, 1, tzinfo=UTC)
_SYNTHETIC: Final = ("AAPL", "2330.TW", "VOD.L", "SAP.DE")
_WORDS: Final = re.compile(r"[a-z_]+")

_PAIRS: Final = (
    "How often both faults of a pair are named. Where one of them refuses the set, the other may "
    "stay unsaid: nothing is trained then. A cross would be a silent training."
)
_FATES_TOLD: Final = (
    "A fault is **named** if the quarantine, the repairs, the notes or the refusal say its name "
    "(or one that is as true: a level that moved by 7.8 is another currency or a missed 8-for-1 "
    "split, and no price can tell). It is **refused** if the set was refused under another name, "
    "**taken out** if every bar it touched is in quarantine under another name, **told otherwise** if "
    "its bars stay and its symbol is told of under another name, **undone** if the "
    "other fault undid it and the bars are the clean ones again (a copy is added, and the first of "
    "the two goes missing), and **silent** if bars with it would have been trained on without a "
    "word."
)
_CLEAN: Final = (
    "Clean real data as it is: no bar is taken out. What is told are nights on which a stock moved "
    "by more than about 20 %. The trading tells them from missed splits: more than {heavy:g} times "
    "the usual volume is news, while a split or another unit leaves it as it was, in shares or in "
    "money."
)
_WEB: Final = (
    "Answers of web services (HTML, 429, an empty or cut answer, a renamed field) are put through "
    "the providers' own contract tests, against a local server."
)

NEWS: Final = {
    ("META", "2013-07-25"): "second-quarter results: mobile advertising",
    ("META", "2018-07-26"): "second-quarter results: slower growth announced",
    ("META", "2022-02-03"): "fourth-quarter results: first fall in daily users",
    ("META", "2022-10-27"): "third-quarter results",
    ("NFLX", "2013-01-24"): "fourth-quarter results: subscribers",
    ("NFLX", "2013-04-23"): "first-quarter results",
    ("NFLX", "2014-10-16"): "third-quarter results: subscribers missed",
    ("NFLX", "2022-01-21"): "fourth-quarter results: outlook",
    ("NFLX", "2022-04-20"): "first-quarter results: first loss of subscribers",
    ("NVDA", "2018-11-16"): "third-quarter results: crypto hangover",
    ("NVDA", "2023-05-25"): "first-quarter results: demand for AI",
    (
        "AAPL",
        "2000-09-29",
    ): "profit warning; it opened at 0.53 of its last close, beside a split's 0.5",
    ("FB", "2012-10-24"): "third-quarter results",
}
"""What happened on the nights that are told as news: every one of them is a real jump."""


@dataclass(frozen=True)
class Trial:
    """Some faults put into one data set at places picked by a seed."""

    data: str
    faults: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Verdict:
    """What became of each fault of a trial."""

    trial: Trial
    fates: tuple[Fate, ...]
    refused: bool


@lru_cache(maxsize=8)
def clean_bars(data: str) -> "pd.DataFrame":
    """A clean data set by name: made-N, or a universe of the sample."""
    if data.startswith("made-"):
        from forecasting.adapters.market.providers.synthetic import SyntheticSource

        made = SyntheticSource(seed=int(data.removeprefix("made-")), bars=500)
        bars = made.fetch(_SYNTHETIC, None, date(2026, 5, 29), "1d").bars
    else:
        from forecasting.adapters.market.providers.sample import UNIVERSES, SampleSource

        universe = UNIVERSES[data]
        bars = SampleSource(universe=data).fetch(universe.default, None, None, "1d").bars
        newest = bars.groupby("symbol").cumcount(ascending=False) < 700
        bars = bars[newest & bars["symbol"].isin(sorted(set(bars["symbol"]))[:4])]
    return _judge(bars).clean


@lru_cache(maxsize=8)
def _names_when_clean(data: str) -> dict[str, int]:
    return dict(_found(_judge(clean_bars(data))))


def try_faults(trial: Trial) -> Verdict:
    """Put the faults in, judge as an ingest does, and see what became of each."""
    import numpy as np

    from benchmarks.honesty.fault_injection import INJECTIONS, TOUCHED, marked
    from forecasting.adapters.lake.bars import new_and_restated
    from forecasting.errors import InvalidPrices

    chosen = [INJECTIONS[name] for name in trial.faults]
    clean = clean_bars(trial.data)
    bars = marked(clean)
    for bit in sorted(range(len(chosen)), key=lambda i: chosen[i].stage):
        chance = np.random.default_rng([trial.seed, bit, *map(ord, trial.faults[bit])])
        bars = chosen[bit].put(bars, chance, bit)
    held = clean if any(one.held for one in chosen) else None
    try:
        judged = _judge(bars, held)
        found = _found(judged)
        if held is not None:
            _, restated = new_and_restated(held, judged.clean, "1d")
            found.update(restated["fault"])
    except InvalidPrices as error:
        said = set(_WORDS.findall(str(error)))
        fates: list[Fate] = [
            "named" if said & {one.fault, *one.also} else "refused" for one in chosen
        ]
        return Verdict(trial, tuple(fates), refused=True)
    usual = _names_when_clean(trial.data)
    new = {name for name, count in found.items() if count > usual.get(name, 0)}
    before = {one.said for one in _judge(clean).findings}
    told = {one.symbol for one in judged.findings if one.said not in before}
    told -= {
        one.symbol
        for one in judged.findings
        for other in chosen
        if len(chosen) > 1 and one.fault in {other.fault, *other.also}
    }  # what names one fault of a pair does not tell of the other
    touched = bars[TOUCHED].to_numpy()
    out = np.zeros(len(bars), dtype=bool)
    out[judged.quarantine["row"].to_numpy(dtype=np.int64)] = True
    fates = [
        "named"
        if new & {one.fault, *one.also}
        else "taken out"
        if out[(touched >> bit & 1).astype(bool)].all()
        else "told otherwise"
        if set(bars["symbol"][(touched >> bit & 1).astype(bool)]) & told
        else "undone"
        if judged.clean.equals(clean)
        else "silent"
        for bit, one in enumerate(chosen)
    ]
    return Verdict(trial, tuple(fates), refused=False)


def _judge(bars: "pd.DataFrame", held: "pd.DataFrame | None" = None) -> "Judgement":
    from forecasting.prices.quality.judge import judge

    return judge(bars, now=NOW, held=held)


def _found(judged: "Judgement") -> Counter[str]:
    """Everything that was said of the bars, by name."""
    told = Counter(one.fault for one in judged.findings)
    return Counter(judged.faults) + Counter(judged.repairs) + told


def trials(size: Size, seed: int) -> tuple[list[Trial], list[Trial]]:
    """Every fault alone, and every pair of them (a part of the pairs, if small)."""
    import numpy as np

    from benchmarks.honesty.fault_injection import INJECTIONS

    sets, seeds = (
        (("made-1", "tech"), 1)
        if size == "small"
        else (
            ("made-1", "made-2", "tech", "classic"),
            5,
        )
    )
    draws = np.random.SeedSequence(seed).generate_state(seeds).tolist()
    alone = [Trial(data, (name,), draw) for data in sets for name in INJECTIONS for draw in draws]
    pairs = [
        Trial(data, pair, draw)
        for data in sets
        for pair in combinations(INJECTIONS, 2)
        for draw in draws[: 1 if size == "small" else 2]
    ]
    if size == "small":
        picked = np.random.default_rng(seed).choice(len(pairs), size=150, replace=False)
        pairs = [pairs[i] for i in picked.tolist()]
    return alone, pairs


def _try_all(some: Sequence[Trial]) -> list[Verdict]:
    return [try_faults(trial) for trial in some]


def _tried(workers: Workers, given: Sequence[Trial], what: str) -> list[Verdict]:
    parts = [given[i : i + 50] for i in range(0, len(given), 50)]
    return [verdict for part in workers.map(_try_all, parts, what) for verdict in part]


def clean_alarms(universe: str) -> tuple[str, int, int, list[tuple[str, str, str]]]:
    """What is said of a real data set as it is: (name, symbols, bars, (fault, symbol, words))."""
    from forecasting.adapters.market.providers.sample import UNIVERSES, SampleSource
    from forecasting.prices.quality.judge import judge

    chosen = UNIVERSES[universe]
    bars = SampleSource(universe=universe).fetch(chosen.symbols, None, None, chosen.interval).bars
    judged = judge(bars, now=NOW, interval=chosen.interval)
    said = [(one.fault, one.symbol, one.said) for one in judged.findings]
    said += [
        (str(row.fault), str(row.symbol), str(row.detail)) for row in judged.quarantine.itertuples()
    ]
    said += [(name, "", f"{count} bars") for name, count in judged.repairs.items()]
    return universe, len(chosen.symbols), len(bars), said


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count what was named, and what got through."""
    from benchmarks.honesty.fault_injection import INJECTIONS
    from benchmarks.honesty.file_faults import SPOILED, try_file
    from forecasting.adapters.market.providers.sample import UNIVERSES
    from forecasting.prices.quality.catalogue import FAULTS, HEAVY

    alone, pairs = trials(size, seed)
    singles = _tried(workers, alone, "faults alone")
    doubles = _tried(workers, pairs, "pairs of faults")
    files = workers.map(
        try_file, [(kind, seed + i) for kind in SPOILED for i in range(8)], "spoiled files"
    )
    real = workers.map(clean_alarms, list(UNIVERSES), "clean real data")
    fates = Counter(fate for one in singles for fate in one.fates)
    pair_fates = Counter(fate for one in doubles for fate in one.fates)
    alarms = [(data, *said) for data, _, _, given in real for said in given]
    explained = [one for one in alarms if one[1] == "news_jump" and _news(one[2], one[3])]
    bars = sum(count for _, _, count, _ in real)
    lost_files = [kind for kind, fate in files if fate in {"silent", "crashed"}]
    tested = {INJECTIONS[name].fault for name in INJECTIONS}
    findings = [
        Finding("named faults", f"{len(FAULTS)}, of which {len(tested)} are injected into bars",
                "at least 25", len(FAULTS) >= 25),
        Finding("faults alone, found under their own name", share(fates["named"], len(singles)),
                "all", fates["named"] == len(singles)),
        Finding("silent trainings, faults alone", f"{fates['silent']} of {len(singles)}",
                "0", not fates["silent"]),
        Finding("silent trainings, pairs of faults",
                f"{sum('silent' in one.fates for one in doubles)} of {len(doubles)}",
                "0", not pair_fates["silent"]),
        Finding("pairs with both faults named",
                share(sum(set(one.fates) == {"named"} for one in doubles), len(doubles))),
        Finding("spoiled files that were neither refused in words nor told",
                f"{len(lost_files)} of {len(files)}", "0", not lost_files),
        Finding("clean real bars taken out, mended or refused",
                f"{len(alarms) - _told(alarms)} of {bars:,}", "0", len(alarms) == _told(alarms)),
        Finding("jumps in clean real data that are told, and have a known reason",
                f"{len(explained)} of {len(alarms)}", "all", len(explained) == len(alarms)),
    ]  # fmt: skip
    story = [
        _by_fault(singles, doubles),
        Plot("pairs", _PAIRS, _matrix(doubles)),
        _FATES_TOLD,
        _file_table(files),
        _CLEAN.format(heavy=HEAVY),
        Table(
            ("data", "fault", "what was said", "what it was"),
            [[data, fault, said, _news(symbol, said)] for data, fault, symbol, said in alarms],
        ),
        _WEB,
    ]
    data = {
        "alone": dict(fates),
        "pairs": dict(pair_fates),
        "files": [list(one) for one in files],
        "silent": [[*one.trial.faults, one.trial.data, one.trial.seed]
                   for one in [*singles, *doubles] if "silent" in one.fates],
        "unnamed": [[*one.trial.faults, one.trial.data, one.trial.seed, one.fates[0]]
                    for one in singles if one.fates[0] != "named"],
        "clean": [list(one) for one in alarms],
    }  # fmt: skip
    return Outcome(findings, story, data)


def _told(alarms: Sequence[tuple[str, ...]]) -> int:
    from forecasting.prices.quality.catalogue import FAULTS

    return sum(FAULTS[one[1]].action == "report" for one in alarms)


def _news(symbol: str, said: str) -> str:
    """What is known to have happened, or nothing."""
    day = re.search(r"\d{4}-\d\d-\d\d", said)
    return NEWS.get((symbol, day.group() if day else ""), "")


def _by_fault(singles: Sequence[Verdict], doubles: Sequence[Verdict]) -> Table:
    from benchmarks.honesty.fault_injection import INJECTIONS
    from forecasting.prices.quality.catalogue import FAULTS

    rows = []
    for name, injection in INJECTIONS.items():
        one = [verdict.fates[0] for verdict in singles if verdict.trial.faults == (name,)]
        two = Counter(
            fate
            for verdict in doubles
            for other, fate in zip(verdict.trial.faults, verdict.fates, strict=True)
            if other == name
        )
        rows.append(
            [
                name,
                f"`{injection.fault}`",
                FAULTS[injection.fault].action,
                f"{one.count('named')} of {len(one)}",
                *(str(two[fate]) for fate in _FATES),
            ]
        )
    heads = ("injected", "fault", "action", ">named, alone", ">named, in pairs", ">set refused")
    return Table((*heads, *(f">{fate}" for fate in _FATES[2:])), rows)


def _file_table(files: Sequence[tuple[str, str]]) -> Table:
    counts = Counter(files)
    kinds = dict.fromkeys(kind for kind, _ in files)
    fates = ("named", "refused", "crashed", "silent")
    return Table(
        ("spoiled file", *(f">{fate}" for fate in fates)),
        [[kind, *(str(counts[kind, fate]) for fate in fates)] for kind in kinds],
    )


def _matrix(doubles: Sequence[Verdict]) -> "Painter":
    """Painter of the share of trials of each pair in which both faults were named."""

    def paint(figure: Any, dress: "Dress") -> None:
        import numpy as np

        from benchmarks.honesty.fault_injection import INJECTIONS

        names = list(INJECTIONS)
        both, runs = (np.zeros((len(names), len(names))) for _ in range(2))
        silent = []
        for one in doubles:
            i, j = sorted((names.index(name) for name in one.trial.faults), reverse=True)
            runs[i, j] += 1
            both[i, j] += set(one.fates) == {"named"}
            if "silent" in one.fates:
                silent.append((j, i))
        figure.set_size_inches(7.6, 7.0)
        axes = figure.subplots()
        axes.set_facecolor(dress.paper)
        with np.errstate(invalid="ignore"):
            shares = np.where(runs > 0, 100 * both / runs, np.nan)
        picture = axes.imshow(shares, cmap="cividis", vmin=0, vmax=100)
        if silent:
            axes.plot(*zip(*silent, strict=True), "x", color=dress.hues[1], label="silent")
            axes.legend(frameon=False, labelcolor=dress.ink)
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6, color=dress.ink)
        axes.set_yticks(range(len(names)), names, fontsize=6, color=dress.ink)
        for spine in axes.spines.values():
            spine.set_color(dress.faint)
        bar = figure.colorbar(picture, ax=axes, shrink=0.6)
        bar.set_label("both faults named (% of trials)", color=dress.ink, fontsize=8)
        bar.ax.tick_params(colors=dress.ink, labelsize=7)

    return paint


EXPERIMENT: Final = Experiment(
    name="data_faults",
    title="Data faults",
    question="Prices come with faults. Each of them is put into clean bars, made up and real, "
    "alone and beside every other: is one ever trained on without a word? And what is said of "
    "real data that have none? Rules and actions: [data-faults.md](data-faults.md).",
    run=run,
)
