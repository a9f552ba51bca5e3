"""The forecast step: published features -> one forecast a symbol and version in the prediction log.

Tested on real prices and a real registry, in tests/integration/test_training_pipeline.py.
"""

from components.report import PROGRESS, reported, tell
from forecasting.settings import Settings


@reported("forecast")
def run(*, dataset: str) -> int:
    """Forecast and log; see the component for the arguments.

    Raises:
        BundleRejected: a version's bundle is not what its digest or signature promises.
        NotReady: no features are published for a version.
        RegistryUnavailable, Unavailable: registry, ledger or prediction log cannot be reached.
    """
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.refresh_forecasts import log_forecasts

    settings = Settings()
    logged, failures = log_forecasts(settings, Lake(settings.lake), dataset, tell=_say)
    if failures:
        raise failures[0]
    return logged


def _say(sentence: str) -> None:
    tell("forecast", "", PROGRESS, message=sentence)
