"""Price sources: one protocol, and the adapters that keep it."""

from forecasting.adapters.market.fallback import fetch_or_last_good
from forecasting.adapters.market.source import (
    FetchResult,
    PriceSource,
    open_source,
    source_names,
    within,
)

__all__ = [
    "FetchResult",
    "PriceSource",
    "fetch_or_last_good",
    "open_source",
    "source_names",
    "within",
]
