"""Leakage experiment: alarms of the pipeline's own check on planted leaks and on honest data."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Size, Table, Workers
from benchmarks.honesty.markets import MADE_UP, REAL, sample
from benchmarks.honesty.planted_leaks import LEAKS, Pipeline, honest, planted, read_honestly
from benchmarks.honesty.planted_stratum_leaks import STRATUM_LEAKS, stratum_leak
from benchmarks.honesty.planted_width_leaks import WIDTH_LEAKS, width_leak

if TYPE_CHECKING:
    from forecasting.leakage.findings import LeakFinding

Result: TypeAlias = dict[str, Any]
"""What `examine` returns."""

CANDIDATES = ("random_walk", "ridge", "random_forest", "xgboost", "har")
CLEAN = (*REAL, *MADE_UP, "two fetches")
LEAKY = (
    "GARCH with regimes and jumps",
    "real momentum",
    "splits and dividends",
    "missing sessions",
    "New York, Taipei and a coin",
)
STRATUM_RUNS = {"small": 2, "full": 50}
"""How often each leak of one stratum is planted, each time into another market."""

VENUES = "New York, Taipei and a coin"
"""The market in which a date has several closes: only there can one of them know a later one."""


@dataclass(frozen=True)
class Case:
    """One market, with a leak or without.

    Attributes:
        market: key of MADE_UP, or a name in REAL, or "two fetches"; "" for the one that a leak of
            STRATUM_LEAKS names.
        leak: key of LEAKS, WIDTH_LEAKS or STRATUM_LEAKS; "" for none.
        kinds: candidates that are walked forward.
        seed: of the market and the leak.
    """

    market: str
    leak: str
    kinds: tuple[str, ...]
    seed: int


def examine(case: Case) -> Result:
    """Which checks raise an alarm, and how long all of them took."""
    if case.leak in STRATUM_LEAKS:
        pipeline = stratum_leak(case.leak, case.seed)
    elif case.market == "two fetches":
        market = MADE_UP["GARCH with regimes and jumps"](case.seed)
        pipeline = read_honestly(market, case.seed, variance="har" in case.kinds)
    else:
        market = sample(case.market) if case.market in REAL else MADE_UP[case.market](case.seed)
        if case.leak in WIDTH_LEAKS:
            pipeline = width_leak(case.leak, market)
        elif case.leak:
            pipeline = planted(case.leak, market, case.seed)
        else:
            pipeline = honest(market, variance="har" in case.kinds)
    begun = time.perf_counter()
    findings = inspect(pipeline, case.kinds)
    return {
        "market": case.market,
        "leak": case.leak,
        "bars": len(pipeline.market.prices),
        "alarms": {one.check: one.found for one in findings if one.leaks or one.hindsight},
        "checks": len(findings),
        "seconds": time.perf_counter() - begun,
    }


def inspect(pipeline: Pipeline, kinds: tuple[str, ...]) -> "list[LeakFinding]":
    """What the features step and the train step would find."""
    from forecasting.features.point_in_time import describe_as_known
    from forecasting.leakage.checks import check_forecasts, check_table
    from forecasting.models.training_set import Examples

    prices, known = pipeline.market.prices, pipeline.known
    table = pipeline.describe(prices)
    if pipeline.as_known:
        table = describe_as_known(pipeline.describe, prices, known)
    returns = pipeline.label(prices)
    findings = check_table(
        pipeline.describe,
        pipeline.label,
        table,
        returns,
        prices,
        known,
        all_prices=pipeline.fetched,
        declared=pipeline.market.declared,
        hindsight=False if pipeline.market.declared else None,  # what is declared is no alarm
    )
    examples = Examples.of(table, returns)
    for kind in kinds:
        findings.append(check_forecasts(partial(pipeline.train, kind), examples))
    return findings


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Check honest data and planted leaks, and count the alarms."""
    full = size == "full"
    clean = CLEAN if full else ("classic", "real momentum", "splits and dividends", "two fetches")
    kinds = CANDIDATES if full else ("ridge", "har")
    cases = [Case(name, "", kinds, seed + number) for number, name in enumerate(clean)]
    leaky = LEAKY if full else LEAKY[:1]
    cases += [
        Case(name, leak, ("ridge",), seed + 100 + number)
        for leak in LEAKS
        for number, name in enumerate(leaky)
    ]
    cases += [
        Case(name, leak, ("har",), seed + 200 + number)
        for leak in WIDTH_LEAKS
        for number, name in enumerate(_markets_of(leak, leaky))
    ]
    cases += [
        Case("", leak, (), seed + 300 + number)
        for leak in STRATUM_LEAKS
        for number in range(STRATUM_RUNS[size])
    ]
    results = workers.map(examine, cases, "leaks and honest data")
    honest_runs = [result for result in results if not result["leak"]]
    leaky_runs = [result for result in results if result["leak"]]
    by_leak = {leak: [result for result in leaky_runs if result["leak"] == leak] for leak in LEAKS}
    of_widths = {
        leak: [result for result in leaky_runs if result["leak"] == leak] for leak in WIDTH_LEAKS
    }
    of_strata = {
        leak: [result for result in leaky_runs if result["leak"] == leak] for leak in STRATUM_LEAKS
    }
    return Outcome(
        [
            _caught("kinds of planted leaks caught, in every form and on every market", by_leak),
            _caught(
                "kinds of leaks planted into learned widths caught, on every market", of_widths
            ),
            _caught_in_strata(of_strata),
            _false_alarms(honest_runs),
        ],
        story=(
            (
                "Each leak replaces one part of the pipeline (features, labels, training, prices or "
                "universe); the rest, and the check, are the product's. The check does not know "
                "which part was replaced."
            ),
            _leak_table(by_leak | of_widths),
            (
                "Leaks of one stratum: a feature that is honest but for some bars, each planted into "
                "so many made-up markets. Cuts between past and future are drawn so that they meet "
                "every venue, weekday, part of the month and eighth of the history, and bars about "
                "splits and long gaps first; all choices come from one seed, so that the same prices "
                "are checked in the same places. At a cut, later bars are left out for some symbols "
                "and replaced for the others. In one more description coins decide where the bars of "
                "every instant go: no feature may know a coin before it is tossed, in any stratum. "
                "Labels are checked with a step of its own in every bar, and columns that hold a "
                "coming return are looked for in every stratum and symbol."
            ),
            _leak_table(of_strata),
            (
                "The same check on data without a leak: real prices, and made-up markets of many "
                "kinds, real momentum among them, for skill must not be taken for a leak. Every "
                "candidate was walked forward twice."
            ),
            _clean_table(honest_runs),
            (
                "A universe chosen with hindsight, found or declared, bars claims of a direction, not "
                "of a width; one that is declared is no alarm here. What the check cannot see: prices that were restated before they were first "
                "fetched look as if they had always been so; and a symbol that was never fetched is "
                "missed only where so many survivors are too good to be true (exits at 1 % a year "
                "would leave less than a 5 % chance of none). A leak that shows in fewer than some "
                "thirty instants, about no split or long gap, may be missed by chance; so may one "
                "that needs symbols which are not drawn together."
            ),
        ),
        data={"clean": honest_runs, "leaky": leaky_runs},
    )


def _markets_of(leak: str, leaky: Sequence[str]) -> Sequence[str]:
    """Where a leak into widths is planted: where there is something that it can know too early."""
    return (VENUES,) if leak == "market average of a later close" else leaky


def _caught(what: str, by_leak: Mapping[str, Sequence[Result]]) -> Finding:
    """A kind counts as caught if every one of its plantings raised an alarm."""
    kind_of = {leak: leak.split(" (")[0] if leak in LEAKS else leak for leak in by_leak}
    every = set(kind_of.values())
    missed = {
        kind_of[leak]
        for leak, results in by_leak.items()
        if not all(result["alarms"] for result in results)
    }
    plantings = [result for results in by_leak.values() for result in results]
    alarmed = sum(bool(result["alarms"]) for result in plantings)
    return Finding(
        what,
        f"{len(every - missed)} of 6 ({alarmed} of {len(plantings)} plantings)",
        "6 of 6",
        len(every - missed) == 6,
    )


def _caught_in_strata(by_leak: Mapping[str, Sequence[Result]]) -> Finding:
    plantings = [result for results in by_leak.values() for result in results]
    alarmed = sum(bool(result["alarms"]) for result in plantings)
    return Finding(
        "leaks planted into one stratum of the bars caught",
        f"{alarmed} of {len(plantings)}, of {len(by_leak)} kinds",
        "all",
        alarmed == len(plantings),
    )


def _false_alarms(honest_runs: Sequence[Result]) -> Finding:
    alarmed = sum(bool(result["alarms"]) for result in honest_runs)
    checks = sum(result["checks"] for result in honest_runs)
    return Finding(
        "alarms on data without a leak",
        f"{alarmed} of {len(honest_runs)} data sets, in {checks} checks",
        "0",
        not alarmed,
    )


def _leak_table(by_leak: Mapping[str, Sequence[Result]]) -> Table:
    rows = [
        [
            leak,
            STRATUM_LEAKS[leak].what if leak in STRATUM_LEAKS else (LEAKS | WIDTH_LEAKS)[leak],
            f"{sum(bool(result['alarms']) for result in results)} of {len(results)}",
            ", ".join(sorted({check for result in results for check in result["alarms"]}))
            or "none",
        ]
        for leak, results in by_leak.items()
    ]
    return Table(("leak", "what was done", ">caught", "by"), rows)


def _clean_table(honest_runs: Sequence[Result]) -> Table:
    rows = [
        [
            result["market"],
            f"{result['bars']:,}",
            str(result["checks"]),
            ", ".join(result["alarms"]) or "none",
            f"{result['seconds']:.1f}",
        ]
        for result in honest_runs
    ]
    return Table(("data", ">bars", ">checks", "alarms", ">seconds"), rows)


EXPERIMENT = Experiment(
    name="leakage",
    title="Leakage",
    question="Six kinds of leaks are planted into the pipeline. Does its own check (truncate and "
    "recompute, perturb the future) catch them all, and stay silent where there is none?",
    run=run,
)
