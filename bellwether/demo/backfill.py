"""Backfills the prediction log: asks the server for forecasts as of past days with known outcomes.

Only for historical data, of which the demo keeps the last bars out of training: the answers are
true out-of-sample forecasts, and the bars that follow are their outcomes.
"""

from collections.abc import Callable
from contextlib import closing
from datetime import datetime

from forecasting.adapters.inference import InferenceClient
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.settings import Settings

HELD_OUT_BARS = 60


def held_out_from(settings: Settings, dataset: str) -> datetime:
    """Close of the last bar the demo trains on: HELD_OUT_BARS before the newest.

    Raises:
        NotReady: the data set has no snapshot.
        ShortHistory: it has too few bars to hold any out.
    """
    from forecasting.prices.quality.judge import require_history

    lake = Lake(settings.lake)
    prices = lake.read(lake.latest(dataset))
    require_history(prices, 10 * HELD_OUT_BARS)
    instants = sorted(prices["timestamp"].unique())
    cut: datetime = instants[-HELD_OUT_BARS - 1].to_pydatetime()
    return cut


def unaware_of(since: datetime, registry: RegistryReader) -> list[str]:
    """The champion and the challenger, those of them that learned from no bar after `since`.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    served = sorted(set(registry.aliases().values()), key=int)
    trained = {version: registry.version(version).tags.get("trained_until") for version in served}
    return [v for v, until in trained.items() if until and datetime.fromisoformat(until) <= since]


def replay_forecasts(
    settings: Settings,
    dataset: str,
    versions: list[str],
    since: datetime,
    say: Callable[[str], None],
) -> int:
    """Ask every version for a forecast as of every held out bar; return how many were asked.

    Forecasts that the log has already are not asked for again.

    Raises:
        ServerUnavailable: the model server does not answer.
    """
    lake = Lake(settings.lake)
    snapshot = lake.latest(dataset)
    prices = lake.read(snapshot)
    instants = [stamp for stamp in sorted(prices["timestamp"].unique()) if stamp > since]
    with closing(PredictionLog(settings.prediction_log)) as log:
        known = {(row.model_version, row.as_of) for row in log.each_once()}
    count = 0
    with InferenceClient.of(settings) as client:
        for version in versions:
            for stamp in instants[:-1]:
                if (version, stamp.to_pydatetime()) in known:
                    continue
                say(f"version {version}, as of {stamp:%Y-%m-%d}")
                client.forecast(snapshot.symbols, version=version, as_of=stamp.isoformat())
                count += 1
    return count
