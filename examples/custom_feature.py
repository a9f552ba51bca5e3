"""Try a feature of your own: check it for leakage, then see what it adds out of sample.

    .venv/bin/python examples/custom_feature.py             # made-up prices: examples/acme.csv
    .venv/bin/python examples/custom_feature.py prices.csv

The feature says whether the next weekday is one of the first three of a month: the turn of the
month (Lakonishok and Smidt, 1988). The made-up prices rise more on those days, on purpose. A second
version takes a month's last bar for the last one in the data. That is leakage, for whether more bars
of the month follow is not known yet, and the leakage checks must find it. A ridge regression is then
trained walk-forward with and without the feature.

To serve a feature it must be part of the product: CONTRIBUTING.md, "Add a feature", names the files.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.adapters.market.open import open_source
from forecasting.evaluation.evaluate import evaluate
from forecasting.features.build import FeatureSpec, FeatureTable, build_features
from forecasting.features.targets import horizon_returns
from forecasting.leakage.feature_checks import check_features
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.prices.quality.judge import judge
from forecasting.schema import MAX_HORIZON
from forecasting.settings import Settings

MADE_UP_PRICES = Path(__file__).with_name("acme.csv")
NAME = "turn_of_month"

BuildFeatures = Callable[[pd.DataFrame], FeatureTable]


@dataclass(frozen=True)
class Trial:
    """What became of the feature.

    Attributes:
        leaks: of the feature: what each leakage check found wrong, in words; empty if nothing.
        leaks_when_peeking: of the version that looks ahead.
        skill: 1 - loss / loss of the random walk, out of sample, without and with the feature.
    """

    leaks: tuple[str, ...]
    leaks_when_peeking: tuple[str, ...]
    skill: dict[str, float]


def turn_of_month(prices: pd.DataFrame, *, peeking: bool = False) -> np.ndarray:
    """1 where the next day is one of the first three weekdays of a month, else 0, float32 [n].

    Args:
        prices: a validated price frame of n bars.
        peeking: find the last bar of a month by the bars that follow: wrong, they are not known yet.
    """
    day = prices["session"].to_numpy().astype("datetime64[D]")
    if peeking:
        months = prices.groupby(["symbol", prices["session"].dt.to_period("M")], sort=False)
        turn = (months.cumcount() < 2) | (months.cumcount(ascending=False) == 0)
        return turn.to_numpy(dtype=np.float32)
    following = np.busday_offset(day, 1, roll="backward")
    first_of_month = following.astype("datetime64[M]").astype("datetime64[D]")
    return (np.busday_count(first_of_month, following) < 3).astype(np.float32)


def build(prices: pd.DataFrame, *, spec: FeatureSpec, peeking: bool = False) -> FeatureTable:
    """The product's features and, as one more column, our own."""
    table = build_features(prices, spec)
    column = turn_of_month(prices, peeking=peeking)
    return replace(
        table,
        values=np.column_stack([table.values, column]),
        names=(*table.names, NAME),
    )


def try_feature(path: Path, seed: int = 7) -> Trial:
    """Check the feature for leakage and measure what it adds, on a CSV file of daily bars.

    Raises:
        InvalidPrices: the file cannot be read, or too many of its bars are faulty.
        ShortHistory: there are too few bars to train on.
    """
    fetched = open_source("files", Settings(), path=path).fetch([], None, None, "1d")
    prices = judge(fetched.bars, now=fetched.fetched_at).clean
    spec = FeatureSpec()
    ours = partial(build, spec=spec)

    table, returns = ours(prices), horizon_returns(prices, range(1, MAX_HORIZON + 1))
    without = replace(table, values=table.values[:, :-1], names=table.names[:-1])
    runs = {
        "random_walk": ("random_walk", table),
        "ridge": ("ridge", without),
        f"ridge with {NAME}": ("ridge", table),
    }
    config = TrainingConfig(seed=seed)
    forecasts = {
        name: train_on_examples(kind, Examples.of(features, returns), config).out_of_sample
        for name, (kind, features) in runs.items()
    }
    evaluated = evaluate(forecasts)
    return Trial(
        leaks=_leaks(ours, prices),
        leaks_when_peeking=_leaks(partial(ours, peeking=True), prices),
        skill={
            name: candidate.overall.skill
            for name, candidate in evaluated.candidates.items()
            if name != "random_walk"
        },
    )


def _leaks(features: BuildFeatures, prices: pd.DataFrame) -> tuple[str, ...]:
    findings = check_features(features, prices)
    return tuple(f"{finding.rule}: {finding.found}" for finding in findings if finding.leaks)


def main() -> None:
    """Print what became of the feature."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=MADE_UP_PRICES)
    trial = try_feature(parser.parse_args().file)
    print(f"Leaks of {NAME}: {'; '.join(trial.leaks) or 'none'}")
    print("Leaks of the version that looks ahead:")
    for leak in trial.leaks_when_peeking:
        print(f"- {leak}")
    for name, skill in trial.skill.items():
        print(f"Skill of {name} against the random walk: {skill:+.3%}")


if __name__ == "__main__":
    main()
