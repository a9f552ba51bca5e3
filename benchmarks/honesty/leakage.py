"""Are planted leaks caught by the pipeline's own check, and honest data left alone?"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Size, Table, Workers
from benchmarks.honesty.markets import MADE_UP, REAL, Market, sample, universe

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.build import FeatureTable
    from forecasting.leakage.findings import LeakFinding
    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.models.training_set import Examples

CANDIDATES = ("random_walk", "ridge", "random_forest", "xgboost")
FEW_TREES = {"random_forest": {"n_estimators": 10}, "xgboost": {"n_estimators": 15}}
HORIZONS = range(1, 31)

LEAKS = {
    "centred window": "a moving average looks two bars ahead as well as back",
    "full-sample scaler (features)": "features are standardised by the mean and deviation of all rows",
    "full-sample scaler (training)": "the same, within the training, before the folds are cut",
    "label shift": "a row's label begins one bar early, and so holds a return its features know",
    "same-bar close (daily)": "a feature is the return of the very bar that is forecast",
    "same-bar close (weekly)": "a feature takes the week's close, from Monday on",
    "late data (restated)": "five bars are taken as restated a year later",
    "late data (filled in)": "three bars that came a year late are used from their close on",
    "survivorship (left out)": "symbols that ended are held, but not learned from",
    "survivorship (never fetched)": "symbols that ended were never fetched, and nobody says so",
}
"""The six leaks, some in two forms."""


@dataclass(frozen=True)
class Pipeline:
    """What the pipeline's steps are made of, honest unless a part is replaced."""

    market: Market
    describe: Callable[["pd.DataFrame"], "FeatureTable"]
    label: Callable[["pd.DataFrame"], "np.ndarray"]
    train: Callable[[str, "Examples"], "OutOfSample"]
    known: "np.ndarray"
    as_known: bool = True
    held: "pd.DataFrame | None" = None


def honest(market: Market, known: "np.ndarray | None" = None) -> Pipeline:
    """The product's own functions on a market."""
    from forecasting.features.build import FeatureSpec, build_features
    from forecasting.features.targets import horizon_returns
    from forecasting.instants import nanoseconds
    from forecasting.models.training import TrainingConfig, train_on_examples

    prices = market.prices
    spec = FeatureSpec(interval=market.interval, symbols=tuple(prices["symbol"].unique()))
    return Pipeline(
        market=market,
        describe=lambda panel: build_features(panel, spec),
        label=lambda panel: horizon_returns(panel, HORIZONS).astype(np.float32),
        train=lambda kind, part: (
            train_on_examples(
                kind, part, TrainingConfig(params=FEW_TREES.get(kind), folds=3), threads=1
            ).before_shrinkage
        ),
        known=nanoseconds(prices["timestamp"]) if known is None else known,
    )


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
        held=pipeline.held,
        declared=pipeline.market.declared,
    )
    examples = Examples.of(table, returns)
    for kind in kinds:
        findings.append(check_forecasts(lambda part, k=kind: pipeline.train(k, part), examples))
    return findings


def planted(name: str, market: Market, seed: int) -> Pipeline:
    """The pipeline on a market, with one leak in it."""
    clean = honest(market)
    if name == "centred window":
        return replace(clean, describe=_with(clean.describe, "close_to_sma_5", _centred))
    if name == "full-sample scaler (features)":
        return replace(clean, describe=lambda panel: _scaled_table(clean.describe(panel)))
    if name == "full-sample scaler (training)":
        return replace(clean, train=lambda kind, part: clean.train(kind, _scaled_examples(part)))
    if name == "label shift":
        return replace(clean, label=lambda panel: _label_too_early(panel, clean.label))
    if name == "same-bar close (daily)":
        return replace(clean, describe=_with(clean.describe, "overnight_gap", _coming_return))
    if name == "same-bar close (weekly)":
        return replace(clean, describe=_with(clean.describe, "close_to_sma_5", _week_close))
    if name == "late data (restated)":
        return _restated(market, seed)
    if name == "late data (filled in)":
        return replace(_two_fetches_read_honestly(market, seed), as_known=False)
    return _survivors(seed, fetched=name == "survivorship (left out)")


def _with(
    describe: Callable[["pd.DataFrame"], "FeatureTable"],
    column: str,
    leak: Callable[["pd.DataFrame"], "pd.Series"],
) -> Callable[["pd.DataFrame"], "FeatureTable"]:
    """The features function with one column that is made otherwise."""

    def leaky(panel: "pd.DataFrame") -> "FeatureTable":
        table = describe(panel)
        values = table.values.copy()
        other = leak(panel).to_numpy(dtype=np.float32)
        place = table.names.index(column)
        values[:, place] = np.where(np.isfinite(other), other, values[:, place])
        return replace(table, values=values)

    return leaky


def _centred(panel: "pd.DataFrame") -> "pd.Series":
    by_symbol = panel.groupby("symbol", sort=False)["close"]
    middle = by_symbol.transform(lambda close: close.rolling(5, center=True, min_periods=1).mean())
    return panel["close"] / middle - 1.0


def _coming_return(panel: "pd.DataFrame") -> "pd.Series":
    by_symbol = panel.groupby("symbol", sort=False)["close"]
    return np.log(by_symbol.shift(-1) / panel["close"])


def _week_close(panel: "pd.DataFrame") -> "pd.Series":
    week = panel["session"].dt.to_period("W")
    last = panel.groupby(["symbol", week], sort=False)["close"].transform("last")
    return panel["close"] / last - 1.0


def _scaled_table(table: "FeatureTable") -> "FeatureTable":
    mean, deviation = np.nanmean(table.values, axis=0), np.nanstd(table.values, axis=0)
    values = (table.values - mean) / np.where(deviation > 0, deviation, 1)
    return replace(table, values=values.astype(np.float32))


def _scaled_examples(part: "Examples") -> "Examples":
    deviation = part.x.std(axis=0)
    x = (part.x - part.x.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return replace(part, x=x.astype(np.float32))


def _label_too_early(
    panel: "pd.DataFrame", label: Callable[["pd.DataFrame"], "np.ndarray"]
) -> "np.ndarray":
    shifted = np.roll(label(panel), 1, axis=0)
    shifted[np.flatnonzero(~panel["symbol"].duplicated())] = np.nan
    return shifted


def _restated(market: Market, seed: int) -> Pipeline:
    """A lake that met restated bars and kept the first; a pipeline that prefers the restated ones."""
    from forecasting.adapters.lake.vintages import known_times

    with tempfile.TemporaryDirectory() as folder:
        lake, snapshot = two_fetches(folder, market, seed, late=0)
        prices = lake.read(snapshot)
        newer = lake.quarantine(snapshot)
        newer = newer[newer["fault"] == "restated_bar"].set_index(["symbol", "timestamp"])
        rows = prices.set_index(["symbol", "timestamp"]).index.get_indexer(newer.index)
        for name in ("open", "high", "low", "close"):
            prices.loc[rows, name] = newer[name].to_numpy()
        known = known_times(lake, snapshot, prices)
    return replace(honest(replace(market, prices=prices), known), as_known=False)


def two_fetches(
    folder: str, market: Market, seed: int, *, late: int = 3, restated: int = 5
) -> "tuple[Any, Any]":
    """A lake fetched a year ago and now: some bars came late, and some came again restated."""
    from forecasting.adapters.lake.lake import Lake
    from forecasting.prices.quality.judge import Judgement

    prices = market.prices
    instants = np.sort(prices["timestamp"].unique())
    first = instants[-250]
    random = np.random.default_rng(seed)
    before = np.flatnonzero((prices["timestamp"] <= first).to_numpy())
    middle = before[len(before) // 2 :]
    missing = random.choice(middle[1:-1], late, replace=False)
    then = prices[prices["timestamp"] <= first].drop(index=missing)
    now = prices.copy()
    wrong = random.choice(np.setdiff1d(middle, missing), restated, replace=False)
    for name in ("open", "high", "low", "close"):
        now.loc[wrong, name] *= 1.01
    lake = Lake(folder)
    origin: Mapping[str, Any] = {
        "source": "made-up",
        "replay": False,
        "synthetic": True,
        "interval": market.interval,
    }
    for bars, last in ((then, first), (now, instants[-1])):
        fetched = last.to_pydatetime().astimezone(UTC) + timedelta(hours=1)
        judged = Judgement(bars.reset_index(drop=True), _nothing(), {})
        snapshot = lake.append("default", judged, fetched_at=fetched, **origin)
    return lake, snapshot


def _nothing() -> "pd.DataFrame":
    import pandas as pd

    from forecasting.prices.quality.catalogue import QUARANTINE_COLUMNS

    return pd.DataFrame(columns=list(QUARANTINE_COLUMNS))


def _survivors(seed: int, *, fetched: bool) -> Pipeline:
    """Only symbols whose bars reach to the end are learned from."""
    every = universe(60, seed)
    last = every.groupby("symbol", sort=False)["timestamp"].transform("max")
    alive = every[last == every["timestamp"].max()].reset_index(drop=True)
    return replace(honest(Market(alive)), held=every if fetched else None)


@dataclass(frozen=True)
class Case:
    """One market, with a leak or without.

    Attributes:
        market: key of MADE_UP, or a name in REAL, or "two fetches".
        leak: key of LEAKS; "" for none.
        kinds: candidates that are walked forward.
        seed: of the market and the leak.
    """

    market: str
    leak: str
    kinds: tuple[str, ...]
    seed: int


def examine(case: Case) -> dict[str, Any]:
    """Which checks raise an alarm, and how long all of them took."""
    if case.market == "two fetches":
        made = MADE_UP["GARCH with regimes and jumps"](case.seed)
        pipeline = _two_fetches_read_honestly(made, case.seed)
    else:
        made = sample(case.market) if case.market in REAL else MADE_UP[case.market](case.seed)
        pipeline = planted(case.leak, made, case.seed) if case.leak else honest(made)
    begun = time.perf_counter()
    findings = inspect(pipeline, case.kinds)
    return {
        "market": case.market,
        "leak": case.leak,
        "bars": len(pipeline.market.prices),
        "alarms": {one.check: one.found for one in findings if one.leaks},
        "checks": len(findings),
        "seconds": time.perf_counter() - begun,
    }


def _two_fetches_read_honestly(market: Market, seed: int) -> Pipeline:
    from forecasting.adapters.lake.vintages import known_times

    with tempfile.TemporaryDirectory() as folder:
        lake, snapshot = two_fetches(folder, market, seed)
        prices = lake.read(snapshot)
        known = known_times(lake, snapshot, prices)
    return honest(replace(market, prices=prices), known)


CLEAN = (*REAL, *MADE_UP, "two fetches")
LEAKY = (
    "GARCH with regimes and jumps",
    "real momentum",
    "splits and dividends",
    "missing sessions",
    "New York, Taipei and a coin",
)


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    full = size == "full"
    clean = CLEAN if full else ("classic", "real momentum", "splits and dividends", "two fetches")
    kinds = CANDIDATES if full else ("ridge",)
    cases = [Case(name, "", kinds, seed + number) for number, name in enumerate(clean)]
    leaky = LEAKY if full else LEAKY[:1]
    cases += [
        Case(name, leak, ("ridge",), seed + 100 + number)
        for leak in LEAKS
        for number, name in enumerate(leaky)
    ]
    results = workers.map(examine, cases, "leaks and honest data")
    honest_runs = [one for one in results if not one["leak"]]
    leaky_runs = [one for one in results if one["leak"]]
    false = [one for one in honest_runs if one["alarms"]]
    caught = [one for one in leaky_runs if one["alarms"]]
    by_leak = {leak: [one for one in leaky_runs if one["leak"] == leak] for leak in LEAKS}
    kinds_caught = {leak.split(" (")[0] for leak in LEAKS} - {
        leak.split(" (")[0]
        for leak, runs in by_leak.items()
        if not all(one["alarms"] for one in runs)
    }
    findings = [
        Finding(
            "kinds of planted leaks caught, in every form and on every market",
            f"{len(kinds_caught)} of 6 ({len(caught)} of {len(leaky_runs)} plantings)",
            "6 of 6",
            len(kinds_caught) == 6,
        ),
        Finding(
            "alarms on data without a leak",
            f"{len(false)} of {len(honest_runs)} data sets, in "
            f"{sum(one['checks'] for one in honest_runs)} checks",
            "0",
            not false,
        ),
    ]
    rows = [
        [
            leak,
            LEAKS[leak],
            f"{sum(bool(one['alarms']) for one in runs)} of {len(runs)}",
            ", ".join(sorted({check for one in runs for check in one["alarms"]})) or "none",
        ]
        for leak, runs in by_leak.items()
    ]
    clean_rows = [
        [
            one["market"],
            f"{one['bars']:,}",
            str(one["checks"]),
            ", ".join(one["alarms"]) or "none",
            f"{one['seconds']:.1f}",
        ]
        for one in honest_runs
    ]
    return Outcome(
        findings,
        story=(
            (
                "Each leak replaces one part of the pipeline (features, labels, training, prices or "
                "universe); the rest, and the check, are the product's. The check does not know "
                "which part was replaced."
            ),
            Table(("leak", "what was done", ">caught", "by"), rows),
            (
                "The same check on data without a leak: real prices, and made-up markets of many "
                "kinds, real momentum among them, for skill must not be taken for a leak. Every "
                "candidate was walked forward twice."
            ),
            Table(("data", ">bars", ">checks", "alarms", ">seconds"), clean_rows),
            (
                "What it cannot see: a universe somebody declares as chosen with hindsight passes, with "
                "the declaration beside the verdict; prices that were restated before they were first "
                "fetched look as if they had always been so; and a symbol that was never fetched is "
                "missed only where so many survivors are too good to be true (exits at 1 % a year "
                "would leave less than a 5 % chance of none)."
            ),
        ),
        data={"clean": honest_runs, "leaky": leaky_runs},
    )


EXPERIMENT = Experiment(
    name="leakage",
    title="Leakage",
    question="Six kinds of leaks are planted into the pipeline. Does its own check (truncate and "
    "recompute, perturb the future) catch them all, and stay silent where there is none?",
    run=run,
)
