"""What a snapshot of the lake is: a manifest of immutable parts, and how its content is hashed."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, get_args

import orjson

from forecasting.adapters.market.source import UNDECLARED, Choice, Survivorship
from forecasting.clock import DataClock
from forecasting.errors import SnapshotCorrupted
from forecasting.instants import nanoseconds
from forecasting.path_names import is_digest, is_plain_name

if TYPE_CHECKING:
    import pandas as pd

FORMAT: Final = "bellwether-snapshot/1"


@dataclass(frozen=True)
class Part:
    """One immutable Parquet file.

    Attributes:
        digest: SHA-256 of its content (not of its bytes: compression may change), its name too.
        rows: how many rows it holds.
        provider: who gave its bars, when that was not the snapshot's source but one that stood in
            for it; else "".
    """

    digest: str
    rows: int
    provider: str = ""


@dataclass(frozen=True)
class Origin:
    """Where prices are from; a data set has one.

    Attributes:
        source: name of the price source.
        replay: whether the prices are history, served as if its last bar were new.
        synthetic: whether the prices are made up.
        interval: interval of the bars.
    """

    source: str
    replay: bool
    synthetic: bool
    interval: str


@dataclass(frozen=True)
class Snapshot:
    """Prices as they were held at one time; nothing rewrites it.

    Attributes:
        id: first 16 hex digits of the content's SHA-256: the same bars of the same source have
            the same id, however many fetches they came in.
        dataset: name of the data set in the lake.
        source: name of the price source.
        replay: whether the prices are history, served as if its last bar were new.
        synthetic: whether the prices are made up.
        interval: interval of the bars.
        symbols: tickers held, sorted.
        first: close of the oldest bar, aware UTC.
        last: close of the newest bar, aware UTC.
        rows: number of bars.
        fetched_at: when the newest fetch ended, aware UTC.
        notes: what a reader should know about the prices, the choice of the symbols included.
        parts: files that hold the bars.
        quarantined: files that hold the bars in quarantine.
        survivorship: how the source of the newest fetch chose its symbols.
    """

    id: str
    dataset: str
    source: str
    replay: bool
    synthetic: bool
    interval: str
    symbols: tuple[str, ...]
    first: datetime
    last: datetime
    rows: int
    fetched_at: datetime
    notes: tuple[str, ...]
    parts: tuple[Part, ...]
    quarantined: tuple[Part, ...]
    survivorship: Survivorship = UNDECLARED

    @property
    def clock(self) -> DataClock:
        """What time it is for these prices."""
        return DataClock(fetched_at=self.fetched_at, last_bar=self.last, replay=self.replay)

    @property
    def origin(self) -> Origin:
        """Where the prices are from."""
        return Origin(self.source, self.replay, self.synthetic, self.interval)

    @property
    def providers(self) -> tuple[str, ...]:
        """Who stood in for the source and whose bars are still held, sorted; mostly nobody."""
        return tuple(sorted({part.provider for part in self.parts if part.provider}))

    def facts(self) -> dict[str, object]:
        """What the snapshot is, in words that two fetches of the same bars share."""
        return {
            "snapshot": self.id,
            "dataset": self.dataset,
            "source": self.source,
            "replay": self.replay,
            "synthetic": self.synthetic,
            "interval": self.interval,
        }

    def to_bytes(self) -> bytes:
        """The manifest, as canonical JSON; parts of the source itself do not name a provider."""
        written = {"format": FORMAT, **asdict(self)}
        for part in (*written["parts"], *written["quarantined"]):
            if not part["provider"]:
                del part["provider"]
        return orjson.dumps(written, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Snapshot":
        """Read a manifest.

        Raises:
            SnapshotCorrupted: it is no manifest, or one of another format.
        """
        try:
            read: dict[str, Any] = orjson.loads(data)
            if read.pop("format") != FORMAT:
                raise SnapshotCorrupted(f"a manifest must have the format {FORMAT}")
            for instant in ("first", "last", "fetched_at"):
                read[instant] = datetime.fromisoformat(read[instant])
            for parts in ("parts", "quarantined"):
                read[parts] = tuple(Part(**part) for part in read[parts])
            for names in ("symbols", "notes"):
                read[names] = tuple(read[names])
            written = read.pop("survivorship", None)
            survivorship = Survivorship(**written) if written else _noted(read["notes"])
            snapshot = cls(**read, survivorship=survivorship)
            _check_names(snapshot)
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise SnapshotCorrupted(
                "a snapshot's manifest must be readable",
                f"{type(error).__name__}: {error}",
                "Fetch the prices again into another data set, or restore the lake from its backup",
            ) from error
        return snapshot


def _check_names(snapshot: Snapshot) -> None:
    """Refuse names that are no parts of a path: files are read by them."""
    digests = [part.digest for part in (*snapshot.parts, *snapshot.quarantined)]
    wrong = [name for name in (snapshot.dataset, snapshot.id) if not is_plain_name(name)]
    wrong += [digest for digest in digests if not is_digest(digest)]
    if wrong:
        raise ValueError(f"{str(wrong[0])[:80]!r} names no data set, snapshot or part")


def _noted(notes: Sequence[str]) -> Survivorship:
    """How symbols were chosen, from the notes of a manifest that has no field for it.

    Manifests were written so before the field was added; lakes that hold them are still read.
    """
    for choice in get_args(Choice):
        sentence = Survivorship(choice).sentence
        reasons = [note.removeprefix(sentence) for note in notes if note.startswith(sentence)]
        if reasons:
            return Survivorship(choice, "".join(reasons).strip())
    return UNDECLARED


def stand_in_notes(source: str, parts: Sequence[Part]) -> tuple[str, ...]:
    """What a reader has to know of bars that are not the source's own."""
    rows: dict[str, int] = {}
    for part in parts:
        if part.provider:
            rows[part.provider] = rows.get(part.provider, 0) + part.rows
    return tuple(
        f"{count} bars are of {provider}, which stood in for {source}; each gives way to {source}'s "
        "own."
        for provider, count in sorted(rows.items())
    )


def content_digest(frame: "pd.DataFrame") -> str:
    """SHA-256 (hex) over a frame's rows in their order, the same wherever it was written.

    Numbers count as little-endian float64 with one zero, times as nanoseconds, text as UTF-8.
    """
    import pandas as pd

    digest = hashlib.sha256(f"{FORMAT};{len(frame)}".encode())
    for name in frame.columns:
        column = frame[name]
        digest.update(f";{name};".encode())
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            values = nanoseconds(column)
            digest.update(values.astype("<i8").tobytes())
        elif pd.api.types.is_numeric_dtype(column.dtype):
            digest.update((column.to_numpy(dtype="<f8") + 0.0).tobytes())
        else:
            codes, names = pd.factorize(column.to_numpy())
            digest.update("\0".join(map(str, names)).encode())
            digest.update(codes.astype("<i8").tobytes())
    return digest.hexdigest()
