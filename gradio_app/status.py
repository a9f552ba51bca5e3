"""The line at the top of the page: whether the model server serves, and which data it serves."""

from dataclasses import dataclass
from datetime import datetime

from forecasting.errors import BellwetherError, ServerUnavailable, StaleData


@dataclass(frozen=True)
class DataSource:
    """Where the served prices come from.

    Attributes:
        source: name of the price source, e.g. "sample".
        replay: whether the prices are historical and replayed as if current.
        synthetic: whether the prices were generated.
        fallback: who stood in because the price source failed, a sentence; "" when nobody did.
    """

    source: str
    replay: bool
    synthetic: bool
    fallback: str = ""


@dataclass(frozen=True)
class Status:
    """The model server and its data.

    Attributes:
        ready: whether the model server answers and is ready.
        detail: in words, what it serves or what is wrong.
        last_bar: close of the newest bar served, or None.
        age_seconds: age of that bar on the data's own clock, or None.
        data_source: where the data come from, or None.
    """

    ready: bool
    detail: str
    last_bar: datetime | None = None
    age_seconds: float | None = None
    data_source: DataSource | None = None


def why_not_serving(error: BellwetherError) -> str:
    """Why the model server does not serve, in a few words."""
    if isinstance(error, ServerUnavailable):
        return "the model server does not answer"
    if isinstance(error, StaleData):
        return "its prices are too old"
    return "the model server is getting ready"
