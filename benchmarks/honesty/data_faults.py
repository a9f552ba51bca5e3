"""Data fault experiment: every fault and every pair in clean bars; which go unnamed?"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np

from benchmarks.honesty.clean_bars import NOW
from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Plot, Size, Table, Workers
from benchmarks.honesty.fault_injection import INJECTIONS
from benchmarks.honesty.fault_trials import FATES, Trial, TrialResult, trials, try_all
from benchmarks.honesty.file_faults import SPOILED, try_file
from benchmarks.honesty.shares import share
from forecasting.report.plots import Theme

_PAIRS: Final = (
    "How often both faults of a pair are named. Where one of them refuses the set, the other may "
    "stay unsaid: nothing is trained then. A cross would be a silent training."
)
_FATES_EXPLAINED: Final = (
    "A fault is **named** if the quarantine, the repairs, the notes or the refusal say its name "
    "(or one that is as true: a level that moved by 7.8 is another currency or a missed 8-for-1 "
    "split, and no price can tell). It is **refused** if the set was refused under another name, "
    "**taken out** if every bar it touched is in quarantine under another name, **reported otherwise** if "
    "its bars stay and its symbol is reported under another name, **undone** if the "
    "other fault undid it and the bars are the clean ones again (a copy is added, and the first of "
    "the two goes missing), and **silent** if bars with it would have been trained on without a "
    "word."
)
_CLEAN: Final = (
    "Clean real data as it is: no bar is taken out. What is reported are nights on which a stock "
    "moved by more than about 20 %. The trading tells them from missed splits: more than {heavy:g} times "
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
"""What happened on the nights that are reported as news: every one of them is a real jump."""


Alarm: TypeAlias = tuple[str, str, str, str]
"""Data set, fault, symbol, and the words in which it was reported."""


def _results_of(workers: Workers, planned: Sequence[Trial], what: str) -> list[TrialResult]:
    batches = [planned[i : i + 50] for i in range(0, len(planned), 50)]
    return [result for batch in workers.map(try_all, batches, what) for result in batch]


def clean_alarms(universe: str) -> tuple[int, list[Alarm]]:
    """What is reported of a real data set as it is: its bars, and every alarm."""
    from forecasting.adapters.market.providers.sample import UNIVERSES, SampleSource
    from forecasting.prices.quality.judge import judge

    sample = UNIVERSES[universe]
    bars = SampleSource(universe=universe).fetch(sample.symbols, None, None, sample.interval).bars
    judged = judge(bars, now=NOW, interval=sample.interval)
    alarms = [
        (universe, finding.fault, finding.symbol, finding.found) for finding in judged.findings
    ]
    alarms += [
        (universe, str(row.fault), str(row.symbol), str(row.detail))
        for row in judged.quarantine.itertuples()
    ]
    alarms += [(universe, name, "", f"{count} bars") for name, count in judged.repairs.items()]
    return len(bars), alarms


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count what was named, and what got through."""
    from forecasting.adapters.market.providers.sample import UNIVERSES
    from forecasting.prices.quality.catalogue import HEAVY

    alone, pairs = trials(size, seed)
    singles = _results_of(workers, alone, "faults alone")
    doubles = _results_of(workers, pairs, "pairs of faults")
    files = workers.map(
        try_file, [(kind, seed + i) for kind in SPOILED for i in range(8)], "spoiled files"
    )
    real = workers.map(clean_alarms, list(UNIVERSES), "clean real data")
    bars = sum(count for count, _ in real)
    alarms = [alarm for _, universe_alarms in real for alarm in universe_alarms]
    return Outcome(
        [*_trial_findings(singles, doubles), *_other_findings(files, bars, alarms)],
        [
            _by_fault(singles, doubles),
            Plot("pairs", _PAIRS, partial(_paint_pairs, doubles)),
            _FATES_EXPLAINED,
            _file_table(files),
            _CLEAN.format(heavy=HEAVY),
            Table(
                ("data", "fault", "what was said", "what it was"),
                [
                    [data, fault, sentence, _news(symbol, sentence)]
                    for data, fault, symbol, sentence in alarms
                ],
            ),
            _WEB,
        ],
        {
            "alone": dict(Counter(fate for result in singles for fate in result.fates)),
            "pairs": dict(Counter(fate for result in doubles for fate in result.fates)),
            "files": [list(file) for file in files],
            "silent": [
                _identity(result) for result in [*singles, *doubles] if "silent" in result.fates
            ],
            "unnamed": [
                [*_identity(result), result.fates[0]]
                for result in singles
                if result.fates[0] != "named"
            ],
            "clean": [list(alarm) for alarm in alarms],
        },
    )


def _identity(result: TrialResult) -> list[str | int]:
    return [*result.trial.faults, result.trial.data, result.trial.seed]


def _trial_findings(
    singles: Sequence[TrialResult], doubles: Sequence[TrialResult]
) -> list[Finding]:
    """Whether every fault alone is named, and no pair is trained on in silence."""
    from forecasting.prices.quality.catalogue import FAULTS

    injected = {injection.fault for injection in INJECTIONS.values()}
    fates = Counter(fate for result in singles for fate in result.fates)
    silent = sum("silent" in result.fates for result in doubles)
    return [
        Finding(
            "named faults",
            f"{len(FAULTS)}, of which {len(injected)} are injected into bars",
            "at least 25",
            len(FAULTS) >= 25,
        ),
        Finding(
            "faults alone, found under their own name",
            share(fates["named"], len(singles)),
            "all",
            fates["named"] == len(singles),
        ),
        Finding(
            "silent trainings, faults alone",
            f"{fates['silent']} of {len(singles)}",
            "0",
            not fates["silent"],
        ),
        Finding(
            "silent trainings, pairs of faults", f"{silent} of {len(doubles)}", "0", not silent
        ),
        Finding(
            "pairs with both faults named",
            share(sum(set(result.fates) == {"named"} for result in doubles), len(doubles)),
        ),
    ]


def _other_findings(
    files: Sequence[tuple[str, str]], bars: int, alarms: Sequence[Alarm]
) -> list[Finding]:
    """Whether spoiled files are noticed, and clean real bars left alone."""
    from forecasting.prices.quality.catalogue import FAULTS

    unnoticed = sum(fate in {"silent", "crashed"} for _, fate in files)
    changed = sum(FAULTS[fault].action != "report" for _, fault, *_ in alarms)
    explained = sum(
        fault == "news_jump" and bool(_news(symbol, sentence))
        for _, fault, symbol, sentence in alarms
    )
    return [
        Finding(
            "spoiled files that were neither refused in words nor reported",
            f"{unnoticed} of {len(files)}",
            "0",
            not unnoticed,
        ),
        Finding(
            "clean real bars taken out, mended or refused",
            f"{changed} of {bars:,}",
            "0",
            not changed,
        ),
        Finding(
            "jumps in clean real data that are reported, and have a known reason",
            f"{explained} of {len(alarms)}",
            "all",
            explained == len(alarms),
        ),
    ]


def _news(symbol: str, sentence: str) -> str:
    """What is known to have happened, or nothing."""
    day = re.search(r"\d{4}-\d\d-\d\d", sentence)
    return NEWS.get((symbol, day.group() if day else ""), "")


def _by_fault(singles: Sequence[TrialResult], doubles: Sequence[TrialResult]) -> Table:
    from forecasting.prices.quality.catalogue import FAULTS

    rows = []
    for name, injection in INJECTIONS.items():
        alone = [result.fates[0] for result in singles if result.trial.faults == (name,)]
        paired = Counter(
            fate
            for result in doubles
            for other, fate in zip(result.trial.faults, result.fates, strict=True)
            if other == name
        )
        rows.append(
            [
                name,
                f"`{injection.fault}`",
                FAULTS[injection.fault].action,
                f"{alone.count('named')} of {len(alone)}",
                *(str(paired[fate]) for fate in FATES),
            ]
        )
    heads = ("injected", "fault", "action", ">named, alone", ">named, in pairs", ">set refused")
    return Table((*heads, *(f">{fate}" for fate in FATES[2:])), rows)


def _file_table(files: Sequence[tuple[str, str]]) -> Table:
    counts = Counter(files)
    kinds = dict.fromkeys(kind for kind, _ in files)
    fates = ("named", "refused", "crashed", "silent")
    return Table(
        ("spoiled file", *(f">{fate}" for fate in fates)),
        [[kind, *(str(counts[kind, fate]) for fate in fates)] for kind in kinds],
    )


def _paint_pairs(doubles: Sequence[TrialResult], figure: Any, theme: Theme) -> None:
    """The share of trials of each pair in which both faults were named."""
    names = list(INJECTIONS)
    both, runs = (np.zeros((len(names), len(names))) for _ in range(2))
    silent = []
    for result in doubles:
        i, j = sorted((names.index(name) for name in result.trial.faults), reverse=True)
        runs[i, j] += 1
        both[i, j] += set(result.fates) == {"named"}
        if "silent" in result.fates:
            silent.append((j, i))
    figure.set_size_inches(7.6, 7.0)
    axes = figure.subplots()
    axes.set_facecolor(theme.paper)
    with np.errstate(invalid="ignore"):
        shares = np.where(runs > 0, 100 * both / runs, np.nan)
    picture = axes.imshow(shares, cmap="cividis", vmin=0, vmax=100)
    if silent:
        axes.plot(*zip(*silent, strict=True), "x", color=theme.hues[1], label="silent")
        axes.legend(frameon=False, labelcolor=theme.ink)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6, color=theme.ink)
    axes.set_yticks(range(len(names)), names, fontsize=6, color=theme.ink)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)
    bar = figure.colorbar(picture, ax=axes, shrink=0.6)
    bar.set_label("both faults named (% of trials)", color=theme.ink, fontsize=8)
    bar.ax.tick_params(colors=theme.ink, labelsize=7)


EXPERIMENT: Final = Experiment(
    name="data_faults",
    title="Data faults",
    question="Prices come with faults. Each of them is put into clean bars, made up and real, "
    "alone and beside every other: is one ever trained on without a word? And what is said of "
    "real data that have none? Rules and actions: [data-faults.md](data-faults.md).",
    run=run,
)
