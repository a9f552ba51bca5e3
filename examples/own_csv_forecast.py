"""Forecast the prices in your own CSV file: no cluster, no server, no network.

    make .venv/.demo                                      # once: installs the packages
    .venv/bin/python examples/own_csv_forecast.py         # made-up prices: examples/acme.csv
    .venv/bin/python examples/own_csv_forecast.py prices.csv --days 5

The file needs the columns date, open, high, low, close and volume, and may have symbol, dividend
and split. Every bar is checked first. Then a ridge regression, which learns where prices go, and HAR,
which learns how far they move, are compared with the random walk on walk-forward folds. The better
one forecasts only if the promotion gates let it; else the random walk does.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from forecasting.adapters.market.open import open_source
from forecasting.bundle.bundle import load_bundle, write_bundle
from forecasting.evaluation.evaluate import evaluate
from forecasting.evaluation.gates import decide
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.targets import SignalRule, horizon_returns
from forecasting.features.variance import WINDOWS
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.prices.calendar import horizon_times
from forecasting.prices.quality.judge import judge
from forecasting.schema import MAX_HORIZON, QUANTILE_LEVELS
from forecasting.settings import Settings

MADE_UP_PRICES = Path(__file__).with_name("acme.csv")


@dataclass(frozen=True)
class Forecast:
    """Forecasts of every symbol of a file.

    Attributes:
        table: one row per symbol and day: symbol, day, p05 .. p95 (prices), probability_of_rise.
        model: the candidate that forecasts: ridge, har or random_walk.
        skill: 1 - loss of the candidate that was judged / loss of the random walk, out of sample.
        reasons: why that candidate was promoted, or was not.
    """

    table: pd.DataFrame
    model: str
    skill: float
    reasons: tuple[str, ...]


def forecast_csv(path: Path, days: int = 10, seed: int = 7) -> Forecast:
    """Train on a CSV file of daily bars and forecast the next days of each symbol in it.

    Raises:
        InvalidPrices: the file cannot be read, or too many of its bars are faulty.
        ShortHistory: there are too few bars to train on.
    """
    fetched = open_source("files", Settings(), path=path).fetch([], None, None, "1d")
    prices = judge(fetched.bars, now=fetched.fetched_at).clean

    spec = FeatureSpec(symbols=tuple(sorted(prices["symbol"].unique())), variance=WINDOWS)
    features = build_features(prices, spec)
    returns = horizon_returns(prices, range(1, MAX_HORIZON + 1))
    trained = {
        kind: train_on_examples(kind, Examples.of(features, returns), TrainingConfig(seed=seed))
        for kind in ("random_walk", "random_walk_drift", "ridge", "har")
    }
    decision = decide(evaluate({kind: one.out_of_sample for kind, one in trained.items()}))
    model = (decision.candidate if decision.promote else None) or "random_walk"

    with TemporaryDirectory() as folder:
        bundle_folder = Path(folder) / "bundle"
        origin = {"source": "files", "file": path.name}
        write_bundle(bundle_folder, trained[model], spec, training=origin, signal=SignalRule())
        bundle = load_bundle(bundle_folder)
        last = [np.flatnonzero(features.codes == code)[-1] for code in np.unique(features.codes)]
        answer = bundle.forecast(
            features.values[last], features.scale[last], features.close[last], days
        )

    frames = []
    for place, row in enumerate(last):
        symbol = features.symbols[features.codes[row]]
        closed = pd.Timestamp(features.timestamps[row], tz="UTC").to_pydatetime()
        frame = pd.DataFrame(
            answer.quantiles[place], columns=[f"p{level * 100:02.0f}" for level in QUANTILE_LEVELS]
        )
        frame.insert(0, "symbol", symbol)
        frame.insert(1, "day", [t.date() for t in horizon_times(symbol, closed, "1d", days)])
        frame["probability_of_rise"] = answer.probability_of_rise[place]
        frames.append(frame)
    return Forecast(
        table=pd.concat(frames, ignore_index=True),
        model=model,
        skill=decision.skill,
        reasons=decision.reasons,
    )


def main() -> None:
    """Print the forecast of the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=MADE_UP_PRICES)
    parser.add_argument("--days", type=int, default=10, help="bars ahead, 1 to 30")
    arguments = parser.parse_args()
    forecast = forecast_csv(arguments.file, arguments.days)
    print(forecast.table.round(2).to_string(index=False))
    print(f"\nModel: {forecast.model}. Best skill against the random walk: {forecast.skill:+.2%}")
    for reason in forecast.reasons:
        print(f"- {reason}")


if __name__ == "__main__":
    main()
