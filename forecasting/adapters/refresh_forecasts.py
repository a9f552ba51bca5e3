"""Logs one forecast of every symbol by every version in use at each refresh.

The live record then rests on every symbol and every bar, not on what users happened to ask. A forecast
is logged once however often a refresh is repeated: its row's id is made of version, symbol and bar.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.prediction_log.rows import REFRESH, Answered
from forecasting.adapters.registry.calibrations import Calibrations
from forecasting.adapters.registry.in_use import versions_in_use
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import CHAMPION
from forecasting.adapters.served_bundles import calibrated, trained_bundle
from forecasting.adapters.signing_keys import trusted_keys_of
from forecasting.clock import utc_now
from forecasting.errors import BellwetherError
from forecasting.instants import MILLISECOND, SECOND
from forecasting.path_names import is_number

if TYPE_CHECKING:
    from forecasting.adapters.lake.lake import Lake
    from forecasting.bundle.bundle import Bundle
    from forecasting.features.online import ServedFeatures
    from forecasting.settings import Settings


def log_forecasts(
    settings: "Settings", lake: "Lake", dataset: str, *, tell: Callable[[str], None]
) -> tuple[int, list[BellwetherError]]:
    """Forecast the newest bars of a data set by every version in use that reads it.

    A version that fails keeps no other from being logged: it is told, and it is a failure of the run
    if it is the champion.

    Args:
        settings: where registry, ledger, log and keys are.
        lake: where the published features are.
        dataset: the data set.
        tell: called with what a reader should know.

    Returns:
        How many forecasts of the newest bars are in the log now, and what kept the champion's out.

    Raises:
        RegistryUnavailable, Unavailable: registry, ledger or log cannot be reached.
    """
    keys, count = trusted_keys_of(settings), 0
    failures: list[BellwetherError] = []
    in_use = versions_in_use(settings)
    for sentence in in_use.unseen:
        tell(f"not seen: {sentence}")
    with (
        RegistryReader(settings.registry_url, settings.registered_model) as registry,
        closing(Calibrations(settings.prediction_log)) as calibrations,
        closing(PredictionLog(settings.prediction_log)) as log,
        TemporaryDirectory() as work,
    ):
        for one in in_use.of(dataset):
            version = one.version
            if not is_number(version):  # a bundle in a folder that the settings pin
                continue
            try:
                record = registry.version(version)
                trained = trained_bundle(registry, record, Path(work) / version, keys)
                bundle = calibrated(trained, calibrations, registry.model, version, keys)
                served = lake.served_features(dataset, bundle.spec.digest)
                answer = newest_forecasts(
                    bundle, served, version, stale_after=settings.stale_after_seconds
                )
                count += log.keep(answer)
            except BellwetherError as error:
                tell(f"version {version} is not logged: {error}")
                failures += [error] if one.role == CHAMPION else []
    return count, failures


def newest_forecasts(
    bundle: "Bundle", served: "ServedFeatures", version: str, *, stale_after: float
) -> Answered:
    """What a version says of every symbol from its newest row, as a server would answer.

    Args:
        bundle: of the version, with the calibration in force.
        served: features of its specification; symbols without a row are left out.
        version: its number.
        stale_after: age of the last bar in seconds past which a forecast says it is stale.
    """
    wall = utc_now().timestamp()
    places = np.flatnonzero(np.diff(served.offsets) > 0)
    rows = served.offsets[places + 1] - 1
    close = served.close[rows]
    forecast = bundle.forecast(served.values[rows], served.scale[rows], close)
    closed = served.timestamps[rows]
    age_from = served.fetched_at.timestamp() if served.replay else closed / SECOND
    return Answered(
        request_id="",
        symbols=[served.symbols[place] for place in places],
        as_of=closed // MILLISECOND,
        made_at=wall,
        model_version=version,
        model_kind=bundle.kind,
        last_close=close,
        quantiles=forecast.quantiles,
        target_times=served.target_times[places, : bundle.max_horizon] // MILLISECOND,
        probability_of_rise=forecast.probability_of_rise,
        signal=forecast.signals,
        stale=np.broadcast_to(wall - age_from > stale_after, len(rows)),
        source=served.source,
        replay=served.replay,
        processing_seconds=0.0,
        protocol=REFRESH,
        own_bars=False,
        calibration=bundle.calibrated,
    )
