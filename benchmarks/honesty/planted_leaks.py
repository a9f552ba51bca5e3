"""Plants leaks into the pipeline: six kinds, some in two forms, one part replaced in each."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from benchmarks.honesty.markets import Market, universe

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.build import FeatureTable
    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.models.training_set import Examples

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
    """What the pipeline's steps are made of, honest unless a part is replaced.

    Attributes:
        market: prices that are learned from.
        describe: the features function.
        label: the targets function, [n, 30].
        train: (candidate, examples) -> walk-forward forecasts.
        known: when each bar was first known [n], ns.
        as_known: whether features are made from what was known at the time.
        fetched: all prices of the lake, where they are more than those of the market.
    """

    market: Market
    describe: Callable[["pd.DataFrame"], "FeatureTable"]
    label: Callable[["pd.DataFrame"], "np.ndarray"]
    train: Callable[[str, "Examples"], "OutOfSample"]
    known: "np.ndarray"
    as_known: bool = True
    fetched: "pd.DataFrame | None" = None


def honest(
    market: Market, known: "np.ndarray | None" = None, *, variance: bool = False
) -> Pipeline:
    """The product's own functions on a market, with features of variance or without."""
    from forecasting.features.build import FeatureSpec, build_features
    from forecasting.features.targets import horizon_returns
    from forecasting.features.variance import WINDOWS
    from forecasting.instants import nanoseconds
    from forecasting.models.training import TrainingConfig, train_on_examples

    prices = market.prices
    spec = FeatureSpec(
        interval=market.interval,
        symbols=tuple(prices["symbol"].unique()),
        variance=WINDOWS if variance else (),
    )
    return Pipeline(
        market=market,
        describe=lambda panel: build_features(panel, spec),
        label=lambda panel: horizon_returns(panel, HORIZONS).astype(np.float32),
        train=lambda kind, part: (
            train_on_examples(
                kind, part, TrainingConfig(params=FEW_TREES.get(kind, {}), folds=3), threads=1
            ).before_shrinkage
        ),
        known=nanoseconds(prices["timestamp"]) if known is None else known,
    )


def planted(name: str, market: Market, seed: int) -> Pipeline:
    """The pipeline on a market, with one leak in it."""
    clean = honest(market)
    if name == "centred window":
        return replace(clean, describe=with_column(clean.describe, "close_to_sma_5", _centred))
    if name == "full-sample scaler (features)":
        return replace(clean, describe=lambda panel: _scaled_table(clean.describe(panel)))
    if name == "full-sample scaler (training)":
        return replace(clean, train=lambda kind, part: clean.train(kind, scaled_examples(part)))
    if name == "label shift":
        return replace(clean, label=lambda panel: _label_too_early(panel, clean.label))
    if name == "same-bar close (daily)":
        return replace(clean, describe=with_column(clean.describe, "overnight_gap", _coming_return))
    if name == "same-bar close (weekly)":
        return replace(clean, describe=with_column(clean.describe, "close_to_sma_5", _week_close))
    if name == "late data (restated)":
        return _restated(market, seed)
    if name == "late data (filled in)":
        return replace(read_honestly(market, seed), as_known=False)
    return _survivors(seed, fetched=name == "survivorship (left out)")


def with_column(
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
    return cast("pd.Series", np.log(by_symbol.shift(-1) / panel["close"]))


def _week_close(panel: "pd.DataFrame") -> "pd.Series":
    week = panel["session"].dt.to_period("W")
    last = panel.groupby(["symbol", week], sort=False)["close"].transform("last")
    return panel["close"] / last - 1.0


def _scaled_table(table: "FeatureTable") -> "FeatureTable":
    mean, deviation = np.nanmean(table.values, axis=0), np.nanstd(table.values, axis=0)
    values = (table.values - mean) / np.where(deviation > 0, deviation, 1)
    return replace(table, values=values.astype(np.float32))


def scaled_examples(part: "Examples") -> "Examples":
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
    from forecasting.prices.quality.judge import CleanedBars

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
        judged = CleanedBars(bars.reset_index(drop=True), _nothing(), {})
        snapshot = lake.append("default", judged, fetched_at=fetched, **origin)
    return lake, snapshot


def read_honestly(market: Market, seed: int, *, variance: bool = False) -> Pipeline:
    """A lake fetched twice, whose bars count as known from when each first came."""
    from forecasting.adapters.lake.vintages import known_times

    with tempfile.TemporaryDirectory() as folder:
        lake, snapshot = two_fetches(folder, market, seed)
        prices = lake.read(snapshot)
        known = known_times(lake, snapshot, prices)
    return honest(replace(market, prices=prices), known, variance=variance)


def _nothing() -> "pd.DataFrame":
    import pandas as pd

    from forecasting.prices.quality.catalogue import QUARANTINE_COLUMNS

    return pd.DataFrame(columns=list(QUARANTINE_COLUMNS))


def _survivors(seed: int, *, fetched: bool) -> Pipeline:
    """Only symbols whose bars reach to the end are learned from."""
    every = universe(60, seed)
    last = every.groupby("symbol", sort=False)["timestamp"].transform("max")
    alive = every[last == every["timestamp"].max()].reset_index(drop=True)
    return replace(honest(Market(alive)), fetched=every if fetched else None)
