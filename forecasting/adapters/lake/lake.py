"""The lake: immutable price snapshots and the served features, on any fsspec URL.

    prices/<dataset>/parts/<digest>.parquet        bars, only ever added
    prices/<dataset>/quarantine/<digest>.parquet   faulty bars, with the names of their faults
    prices/<dataset>/snapshots/<id>-<fetch time>-<digest>.json   which parts make a snapshot
    prices/<dataset>/latest.json                   pointer to the newest manifest
    prices/<dataset>/fetch.json                    how the newest fetch went
    features/<dataset>/...                         served features, see `feature_store`

Files but the pointers never change, and a pointer is replaced last: a writer that dies leaves
files nobody points to. Of two writers at once the later one adds its bars to what the other wrote;
if they point in the same moment, the later pointer wins, the other's snapshot stays whole beside it,
and its bars come back with its next fetch.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import orjson

from forecasting.adapters.lake.feature_store import RESTORE, FeatureStore, checked_name
from forecasting.adapters.lake.fetch_record import FetchRecord
from forecasting.adapters.lake.snapshot import (
    Origin,
    Part,
    Snapshot,
    content_digest,
    stand_in_notes,
)
from forecasting.adapters.market.source import UNDECLARED, Survivorship
from forecasting.errors import (
    InvalidSettings,
    NotReady,
    SnapshotCorrupted,
    UnknownSymbol,
)

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.prices.quality.judge import CleanedBars


_TRIES: Final = 3
"""How often an append begins again because another writer was faster."""


@dataclass(frozen=True)
class _Fetched:
    """What a fetch says of its bars; as `Lake.append` takes it."""

    origin: Origin
    fetched_at: datetime
    notes: tuple[str, ...]
    provider: str
    survivorship: Survivorship


class Lake(FeatureStore):
    """Price snapshots and served features under one address.

    Args:
        url: plain path or fsspec URL. Nothing is opened before the first call.
    """

    def append(
        self,
        dataset: str,
        judged: "CleanedBars",
        *,
        source: str,
        replay: bool,
        synthetic: bool,
        interval: str,
        fetched_at: datetime,
        notes: Sequence[str] = (),
        provider: str = "",
        survivorship: Survivorship = UNDECLARED,
    ) -> Snapshot:
        """Add the bars that are not held yet, and make the result the latest snapshot.

        A bar that is held stays as it is: the same bar with other values goes to the quarantine
        as `restated_bar`. Bars that say nothing new leave the id as it was; the fetch time moves.

        The bars of a provider that stands in for the source are kept apart, in parts that carry its
        name; each gives way to the source's own bar as soon as the source has it.

        Raises:
            InvalidSettings: the data set holds another source or interval.
            SnapshotCorrupted: the latest snapshot is damaged.
        """
        origin = Origin(source, replay, synthetic, interval)
        facts = _Fetched(origin, fetched_at, tuple(notes), provider, survivorship)
        for _ in range(_TRIES):
            previous = self._latest(dataset)
            snapshot = self._grown(dataset, previous, judged, facts)
            if snapshot is previous:
                return snapshot
            if self._latest(dataset) == previous:
                break  # else another writer was faster: these bars go on top of its own
        self._point(dataset, snapshot)
        return snapshot

    def _grown(
        self,
        dataset: str,
        previous: Snapshot | None,
        judged: "CleanedBars",
        facts: "_Fetched",
    ) -> Snapshot:
        """The snapshot that a fetch makes of the one before, its parts written."""
        import pandas as pd

        from forecasting.adapters.lake.bars import (
            in_order,
            new_and_restated,
            new_faults,
            snapshot_id,
        )
        from forecasting.schema import SYMBOL, TIMESTAMP

        origin, provider, fetched_at = facts.origin, facts.provider, facts.fetched_at
        interval = origin.interval
        fresh, faulty, prices = judged.clean, judged.quarantine, judged.clean
        parts: tuple[Part, ...] = ()
        quarantined: tuple[Part, ...] = ()
        if previous:
            _refuse_mixture(previous, origin)
            known = self.read(previous)
            parts, quarantined = previous.parts, previous.quarantined
            if previous.providers and not provider:
                parts = self._without_replaced(previous, judged.clean)
                known = in_order(self._joined(previous, "parts", parts))
            fresh, restated = new_and_restated(known, judged.clean, interval)
            faulty = new_faults(self.quarantine(previous), [faulty, restated])
            nothing_new = fresh.empty and faulty.empty and parts == previous.parts
            if nothing_new and fetched_at <= previous.fetched_at:
                return previous
            prices = in_order(pd.concat([known, fresh], ignore_index=True))
            fetched_at = max(fetched_at, previous.fetched_at)
        parts += self._put(dataset, "parts", fresh, provider)
        quarantined += self._put(dataset, "quarantine", faulty)
        return Snapshot(
            id=snapshot_id(prices, origin),
            dataset=dataset,
            source=origin.source,
            replay=origin.replay,
            synthetic=origin.synthetic,
            interval=interval,
            symbols=tuple(sorted(prices[SYMBOL].unique())),
            first=_instant(prices[TIMESTAMP].min()),
            last=_instant(prices[TIMESTAMP].max()),
            rows=len(prices),
            fetched_at=fetched_at.astimezone(UTC),
            notes=(*facts.notes, *stand_in_notes(origin.source, parts)),
            parts=parts,
            quarantined=quarantined,
            survivorship=facts.survivorship,
        )

    def latest(self, dataset: str) -> Snapshot:
        """The newest snapshot of a data set.

        Raises:
            NotReady: nothing was ever fetched into it.
            SnapshotCorrupted: its pointer or manifest is damaged.
        """
        snapshot = self._latest(dataset)
        if snapshot is None:
            raise NotReady(
                "a data set needs prices",
                f"{dataset!r} in {self.url} has none",
                "Fetch some first: bellwether ingest",
            )
        return snapshot

    def holds(self, dataset: str) -> bool:
        """Whether anything was ever fetched into a data set."""
        return self._pointer(f"prices/{checked_name(dataset)}") is not None

    def snapshot(self, dataset: str, snapshot_id: str) -> Snapshot:
        """The snapshot with an id, as of its newest fetch.

        Raises:
            InvalidSettings: there is none.
        """
        folder = f"prices/{checked_name(dataset)}/snapshots"
        manifests = [
            name for name in self._blobs.names(folder) if name.startswith(f"{snapshot_id}-")
        ]
        if not manifests:
            raise InvalidSettings(
                "a snapshot must be in the lake",
                f"{snapshot_id!r} of {dataset!r} is not in {self.url}",
                "Take the latest, or fetch the prices again",
            )
        return Snapshot.from_bytes(self._blobs.read(f"{folder}/{manifests[-1]}"))

    def read(self, snapshot: Snapshot, symbols: Iterable[str] = ()) -> "pd.DataFrame":
        """Prices of a snapshot that keep the contract, every part verified.

        Args:
            snapshot: which one.
            symbols: only these; all when empty.

        Raises:
            SnapshotCorrupted: a part is missing or its content is not what its name promises.
            UnknownSymbol: the snapshot does not hold a symbol.
        """
        from forecasting.adapters.lake.bars import in_order, snapshot_id
        from forecasting.schema import SYMBOL, validate_prices

        prices = in_order(self._joined(snapshot, "parts", snapshot.parts))
        content_id = snapshot_id(prices, snapshot.origin)
        if content_id != snapshot.id:
            raise SnapshotCorrupted(
                "a snapshot's bars must be what its id promises",
                f"{snapshot.id} of {snapshot.dataset!r} holds {content_id}",
                RESTORE,
            )
        requested = tuple(symbols)
        missing = sorted(set(requested) - set(snapshot.symbols))
        if missing:
            raise UnknownSymbol(
                "the snapshot must hold every symbol asked for",
                f"{', '.join(missing)} not among {', '.join(snapshot.symbols)}",
                "Fetch the symbol first: bellwether ingest --symbols ...",
            )
        if requested:
            prices = prices[prices[SYMBOL].isin(requested)].reset_index(drop=True)
        return validate_prices(prices)

    def own_bars(self, snapshot: Snapshot) -> "pd.DataFrame":
        """Prices of a snapshot without those of providers that stood in for its source.

        Raises:
            SnapshotCorrupted: as `read`.
        """
        from forecasting.adapters.lake.bars import in_order

        own = tuple(part for part in snapshot.parts if not part.provider)
        return in_order(self._joined(snapshot, "parts", own))

    def parts(self, snapshot: Snapshot) -> "list[pd.DataFrame]":
        """The bars of each part of a snapshot, in the order of its parts.

        Raises:
            SnapshotCorrupted: a part is missing or damaged.
        """
        return [self._part(snapshot.dataset, "parts", part) for part in snapshot.parts]

    def history(self, dataset: str) -> list[Snapshot]:
        """Every snapshot of a data set, by the end of its fetch.

        Raises:
            SnapshotCorrupted: a manifest is damaged.
        """
        folder = f"prices/{checked_name(dataset)}/snapshots"
        names = self._blobs.names(folder)
        snapshots = [Snapshot.from_bytes(self._blobs.read(f"{folder}/{name}")) for name in names]
        return sorted(snapshots, key=lambda snapshot: snapshot.fetched_at)

    def record_fetch(self, dataset: str, record: FetchRecord) -> None:
        """Remember how the newest fetch into a data set went."""
        self._blobs.write(f"prices/{checked_name(dataset)}/fetch.json", record.to_bytes())

    def last_fetch(self, dataset: str) -> FetchRecord | None:
        """How the newest fetch into a data set went, or None when there was none.

        Raises:
            SnapshotCorrupted: the record is damaged.
        """
        data = self._blobs.read_if_there(f"prices/{checked_name(dataset)}/fetch.json")
        return None if data is None else FetchRecord.from_bytes(data)

    def quarantine(self, snapshot: Snapshot) -> "pd.DataFrame":
        """Faulty bars met on the way to a snapshot: `faults.QUARANTINE_COLUMNS`."""
        import pandas as pd

        from forecasting.prices.quality.catalogue import QUARANTINE_COLUMNS

        if not snapshot.quarantined:
            return pd.DataFrame(columns=list(QUARANTINE_COLUMNS))
        return self._joined(snapshot, "quarantine", snapshot.quarantined)

    def _latest(self, dataset: str) -> Snapshot | None:
        folder = f"prices/{checked_name(dataset)}"
        pointer = self._pointer(folder)
        if pointer is None:
            return None
        name = pointer.get("manifest", "")
        manifest = self._blobs.read_if_there(f"{folder}/snapshots/{name}") if name else None
        if manifest is None or hashlib.sha256(manifest).hexdigest() != pointer["sha256"]:
            raise SnapshotCorrupted(
                "the latest manifest must be what its pointer promises",
                f"{name or 'it'} {'is missing' if manifest is None else 'was changed'}",
                RESTORE,
            )
        return Snapshot.from_bytes(manifest)

    def _point(self, dataset: str, snapshot: Snapshot) -> None:
        folder, manifest = f"prices/{dataset}", snapshot.to_bytes()
        digest = hashlib.sha256(manifest).hexdigest()
        name = f"{snapshot.id}-{snapshot.fetched_at:%Y%m%dT%H%M%S%f}-{digest[:8]}.json"
        self._blobs.write(f"{folder}/snapshots/{name}", manifest)
        pointer = {"id": snapshot.id, "manifest": name, "sha256": digest}
        self._blobs.write(f"{folder}/latest.json", orjson.dumps(pointer))

    def _without_replaced(self, previous: Snapshot, own: "pd.DataFrame") -> tuple[Part, ...]:
        """The parts that are left when the source's own bars take the place of a stand-in's."""
        from forecasting.adapters.lake.bars import not_among

        left: tuple[Part, ...] = ()
        for part in previous.parts:
            if not part.provider:
                left += (part,)
                continue
            frame = self._part(previous.dataset, "parts", part)
            rest = not_among(frame, own, previous.interval)
            if len(rest) == len(frame):
                left += (part,)
            else:
                left += self._put(previous.dataset, "parts", rest, part.provider)
        return left

    def _put(
        self, dataset: str, folder: str, frame: "pd.DataFrame", provider: str = ""
    ) -> tuple[Part, ...]:
        """Write a frame as one part, unless it is empty or there already."""
        from forecasting.adapters.lake.bars import to_parquet

        if frame.empty:
            return ()
        part = Part(content_digest(frame), len(frame), provider)
        name = f"prices/{checked_name(dataset)}/{folder}/{part.digest}.parquet"
        if not self._blobs.exists(name):
            self._blobs.write(name, to_parquet(frame))
        return (part,)

    def _joined(self, snapshot: Snapshot, folder: str, parts: Sequence[Part]) -> "pd.DataFrame":
        import pandas as pd

        frames = [self._part(snapshot.dataset, folder, part) for part in parts]
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def _part(self, dataset: str, folder: str, part: Part) -> "pd.DataFrame":
        from forecasting.adapters.lake.bars import from_parquet

        name = f"prices/{dataset}/{folder}/{part.digest}.parquet"
        data = self._blobs.read_if_there(name)
        frame = None if data is None else from_parquet(data)
        if frame is None or content_digest(frame) != part.digest:
            raise SnapshotCorrupted(
                "a part must hold what its name promises",
                f"{name} is {'missing' if data is None else 'damaged'}",
                RESTORE,
            )
        return frame


def _refuse_mixture(previous: Snapshot, origin: Origin) -> None:
    """Prices of two sources or intervals do not make one history."""
    if previous.origin != origin:
        raise InvalidSettings(
            "a data set holds the bars of one source and interval",
            f"{previous.dataset!r} holds {previous.origin}, and these are {origin}",
            "Name another data set",
        )


def _instant(stamp: "pd.Timestamp") -> datetime:
    return stamp.to_pydatetime().astimezone(UTC)
