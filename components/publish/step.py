"""The publish step: a snapshot -> the newest feature rows of every specification in use.

Tested bit for bit against what was trained on, in tests/contract/test_parity.py.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from components.features.step import named_in, specification
from components.parameters import listed
from components.report import PROGRESS, reported, tell
from forecasting.adapters.registry.in_use import VersionInUse, versions_in_use
from forecasting.settings import Settings

if TYPE_CHECKING:
    from forecasting.adapters.lake.lake import Lake


@reported("publish")
def run(*, snapshot: str, dataset: str, symbols: str) -> str:
    """Publish the newest rows of every symbol; see the component for the arguments.

    Raises:
        LeakFound: the checks found a leak; the features published before stay.
        ShortHistory: no symbol has a usable row.
        UnknownSymbol: the snapshot holds no symbol of a specification.
        NotReady: the snapshot lacks a symbol that is served now.
    """
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.lake.publish import World, refresh_published

    settings = Settings()
    lake = Lake(settings.lake)
    price_snapshot = lake.snapshot(dataset, snapshot)
    named = named_in(price_snapshot, symbols)
    asked = specification(price_snapshot, named)
    world = World(partial(versions_in_use, settings), partial(_answered_since, settings))
    published = refresh_published(lake, price_snapshot, asked, world, _say)
    _compare(lake, dataset, listed(symbols), published.champion)
    if published.failures:
        raise published.failures[0]
    return next(iter(published.ids.values()))


def _compare(
    lake: "Lake", dataset: str, symbols: Sequence[str], champion: VersionInUse | None
) -> None:
    """Say, and note for the metrics, where other symbols are asked for than the champion knows."""
    from forecasting.rollout.asked import AskedPrices

    if champion is None:
        return
    asked, known = AskedPrices(tuple(symbols)), champion.spec.symbols
    for sentence in asked.differences(f"champion v{champion.version}", dataset, known):
        _say(sentence)
    lake.note_differing_symbols(dataset, sum(map(len, asked.differing(known))))


def _answered_since(settings: Settings, instant: datetime) -> list[str]:
    from forecasting.adapters.prediction_log.log import PredictionLog

    log = PredictionLog(settings.prediction_log)
    try:
        return log.versions_since(instant)
    finally:
        log.close()


def _say(sentence: str) -> None:
    tell("publish", "", PROGRESS, message=sentence)
