"""Read the prediction log: which forecasts were given, and how often their intervals were right.

    make demo                                      # in another terminal; ask for some forecasts
    .venv/bin/python examples/prediction_log.py

It reads the log and the price lake that the settings name: BELLWETHER_PREDICTION_LOG_URL and
BELLWETHER_LAKE_URL, or what `make demo` keeps. Forecasts whose target lies in the future cannot be
scored yet; with `bellwether forecast AAPL --as-of
2022-01-03T21:00:00Z` you get some that can.
"""

import argparse
from collections import Counter
from dataclasses import dataclass

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.prediction_log.log import LoggedForecast, PredictionLog
from forecasting.settings import Settings


@dataclass(frozen=True)
class Coverage:
    """How often prices came to lie within the 90 % interval.

    Attributes:
        scored: horizons whose bar has closed.
        inside: how many of them closed between p05 and p95.
    """

    scored: int
    inside: int

    @property
    def share(self) -> float:
        """Share inside; 0.9 is what was promised."""
        return self.inside / self.scored if self.scored else float("nan")


def read_log(settings: Settings, limit: int = 1_000) -> list[LoggedForecast]:
    """The newest forecasts in the log, newest first.

    Raises:
        Unavailable: the database cannot be read.
    """
    log = PredictionLog(settings.prediction_log)
    try:
        return log.recent(limit)
    finally:
        log.close()


def coverage(forecasts: list[LoggedForecast], settings: Settings, dataset: str) -> Coverage:
    """Compare logged forecasts with the closes that came, where the lake holds them.

    Closes are taken as traded. `bellwether drift` works in splits and dividends as well, counts a
    repeated forecast once, and also scores the losses.

    Raises:
        NotReady: the lake holds no prices of this data set.
    """
    lake = Lake(settings.lake)
    prices = lake.read(lake.latest(dataset))
    close = prices.set_index(["symbol", "timestamp"])["close"].to_dict()
    inside = [
        quantiles[0] <= close[forecast.symbol, target] <= quantiles[-1]
        for forecast in forecasts
        for quantiles, target in zip(forecast.quantiles, forecast.target_times, strict=True)
        if (forecast.symbol, target) in close
    ]
    return Coverage(len(inside), sum(inside))


def main() -> None:
    """Print what the log holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="sample-1d", help="name in the lake")
    dataset = parser.parse_args().dataset
    settings = Settings()
    forecasts = read_log(settings)
    for forecast in forecasts[:10]:
        median = forecast.quantiles[-1][2]
        print(
            f"{forecast.made_at:%Y-%m-%d %H:%M:%S} {forecast.symbol:8} version "
            f"{forecast.model_version} as of {forecast.as_of:%Y-%m-%d}: {forecast.last_close:.2f}, "
            f"median in {forecast.horizon} bars {median:.2f}, {forecast.signal}"
        )
    versions = Counter(forecast.model_version for forecast in forecasts)
    print(f"{len(forecasts)} forecasts; by version: {dict(versions)}")
    found = coverage(forecasts, settings, dataset)
    print(f"{found.scored} horizons have elapsed, {found.inside} inside the 90 % interval")


if __name__ == "__main__":
    main()
