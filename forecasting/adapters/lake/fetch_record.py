"""How the newest fetch into a data set went: by whom, why not by its source, and who disagreed."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from forecasting.adapters.monitoring.pushed import Sample
from forecasting.errors import SnapshotCorrupted
from forecasting.prometheus_metrics import FETCH_FALLBACK, PROVIDER_ACTIONS, PROVIDER_DISAGREEMENT

FALLBACKS = ("second_provider", "last_good")


@dataclass(frozen=True)
class Compared:
    """What came of holding the source's bars against another provider's.

    Attributes:
        provider: the other.
        bars: bars that both have.
        differing_share: share of them whose close differs.
        actions: how many dividends and splits differ.
    """

    provider: str
    bars: int
    differing_share: float
    actions: int


@dataclass(frozen=True)
class FetchRecord:
    """How a fetch went.

    Attributes:
        at: when, aware UTC.
        source: the data set's source.
        fallback: what stood in for the source when it failed; "" when it did not.
        provider: who gave the bars when it was not the source.
        prices_of: when the prices were fetched, aware UTC: earlier than `at` if they are the last
            good ones.
        reason: why the source failed.
        compared: how another provider's bars agree, if they were looked at.
    """

    at: datetime
    source: str
    fallback: Literal["", "second_provider", "last_good"]
    prices_of: datetime
    provider: str = ""
    reason: str = ""
    compared: Compared | None = None

    @property
    def sentence(self) -> str:
        """What has to be said beside an answer's as-of; empty when the source did its work."""
        if not self.fallback:
            return ""
        failed = f"{self.source} failed on {self.at:%Y-%m-%d %H:%M} UTC"
        if self.fallback == "second_provider":
            return f"{failed}: the newest bars are {self.provider}'s, which had agreed with it."
        return f"{failed}: these are the prices fetched on {self.prices_of:%Y-%m-%d %H:%M} UTC."

    def samples(self, dataset: str) -> Iterator[Sample]:
        """The record as metrics of the job that fetched."""
        for kind in FALLBACKS:
            yield Sample(FETCH_FALLBACK, (dataset, kind), float(self.fallback == kind))
        if self.compared and self.compared.bars:
            labels = (dataset, self.compared.provider)
            yield Sample(PROVIDER_DISAGREEMENT, labels, self.compared.differing_share)
            yield Sample(PROVIDER_ACTIONS, labels, float(self.compared.actions))

    def to_bytes(self) -> bytes:
        """As JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_bytes(cls, data: bytes) -> "FetchRecord":
        """Read what `to_bytes` wrote.

        Raises:
            SnapshotCorrupted: it is no record.
        """
        try:
            read: dict[str, Any] = orjson.loads(data)
            for instant in ("at", "prices_of"):
                read[instant] = datetime.fromisoformat(read[instant])
            if read["compared"]:
                read["compared"] = Compared(**read["compared"])
            return cls(**read)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise SnapshotCorrupted(
                "the record of a fetch must be readable",
                f"{type(error).__name__}: {error}",
                "Fetch again: bellwether ingest",
            ) from error
