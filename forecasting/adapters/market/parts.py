"""A fetch in parts: shards of the symbols, each fetched by a process of its own, and put together.

A shard asks the source for its symbols and keeps what it got, or why it got nothing, in a folder.
`Gathered` is the same source to whoever judges and freezes prices: it answers with all parts at
once, so that the snapshot is the one that a single process would have made.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from forecasting.adapters.market.kept import fetch_with_kept
from forecasting.adapters.market.source import UNDECLARED, FetchResult, PriceSource, Survivorship
from forecasting.clock import utc_now
from forecasting.errors import Corrupted, InvalidSettings, SourceUnavailable

if TYPE_CHECKING:
    import pandas as pd

_BARS: Final = "bars.parquet"
_METADATA: Final = "fetch.json"


@dataclass(frozen=True)
class Shard:
    """One of so many equal shares of the symbols, written like 3/8.

    Attributes:
        number: which one, from 1.
        count: how many there are.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "3/8".

        Raises:
            InvalidSettings: it is not of that form, or there is no such shard.
        """
        number, _, count = text.partition("/")
        if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return cls(int(number), int(count))
        raise InvalidSettings(
            "a shard is its number and how many there are, like 3/8", f"{text!r} was given"
        )

    def of_symbols(self, symbols: Sequence[str]) -> tuple[str, ...]:
        """This shard's symbols: every `count`-th, so that long and short histories mix.

        Raises:
            InvalidSettings: there are several shards and no symbols to share out.
        """
        if self.count > 1 and not symbols:
            raise InvalidSettings(
                "prices are fetched in shards of the symbols, so symbols must be named",
                f"{self.count} shards and no symbols",
                "Name the symbols, or fetch in one shard",
            )
        return tuple(symbols[self.number - 1 :: self.count])


@dataclass(frozen=True)
class FetchedPart:
    """What a shard brought.

    Attributes:
        shard: which one.
        requested: all symbols that were shared out.
        symbols: this shard's.
        bars: price columns in types that can be stored, not judged; None if the shard had no
            symbols or the source failed.
        fetched_at: when, aware UTC.
        notes: what the source says about them.
        survivorship: how the source chose the symbols.
        failure: rule, found and remedy of the source's error; empty if it answered.
    """

    shard: Shard
    requested: tuple[str, ...]
    symbols: tuple[str, ...]
    bars: "pd.DataFrame | None"
    fetched_at: datetime
    notes: tuple[str, ...] = ()
    failure: tuple[str, ...] = ()
    survivorship: Survivorship = UNDECLARED

    def save(self, folder: Path) -> None:
        """Write the part into a folder."""
        from forecasting.adapters.lake.bars import to_parquet

        folder.mkdir(parents=True, exist_ok=True)
        metadata = {
            "shard": str(self.shard),
            "asked": self.requested,
            "symbols": self.symbols,
            "fetched_at": self.fetched_at,
            "notes": self.notes,
            "failure": self.failure,
            "survivorship": asdict(self.survivorship),
        }
        if self.bars is not None:
            (folder / _BARS).write_bytes(to_parquet(self.bars))
        (folder / _METADATA).write_bytes(orjson.dumps(metadata))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            Corrupted: it is no part, or is damaged.
        """
        from forecasting.adapters.lake.bars import from_parquet

        try:
            metadata: dict[str, Any] = orjson.loads((folder / _METADATA).read_bytes())
            bars = folder / _BARS
            frame = from_parquet(bars.read_bytes()) if bars.is_file() else None
            shard = Shard.parse(metadata["shard"])
            fetched_at = datetime.fromisoformat(metadata["fetched_at"])
            lists = {
                name: tuple(metadata[name]) for name in ("asked", "symbols", "notes", "failure")
            }
            survivorship = Survivorship(**metadata["survivorship"])
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as fault:
            raise _damaged(folder, fault) from fault
        answered = not lists["failure"] and (lists["symbols"] or not lists["asked"])
        if frame is None and answered:
            raise _damaged(folder, "its bars cannot be read")
        return cls(
            shard=shard,
            requested=lists["asked"],
            symbols=lists["symbols"],
            bars=frame,
            fetched_at=fetched_at,
            notes=lists["notes"],
            failure=lists["failure"],
            survivorship=survivorship,
        )


def fetch_part(
    source: PriceSource,
    shard: Shard,
    *,
    symbols: Sequence[str],
    interval: str,
    may_fail: bool,
    kept: Sequence[str] = (),
) -> FetchedPart:
    """Ask a source for one shard's symbols.

    Args:
        source: whom to ask.
        shard: which share of the symbols.
        symbols: all symbols; none for the source's own choice, which cannot be shared out.
        interval: bar interval.
        may_fail: whether a source that fails is an answer too, because something may stand in.
        kept: symbols besides, shared out with the others, that are fetched if they can be had.

    Raises:
        UnknownSymbol: the source does not know a symbol.
        SourceUnavailable: it failed, and that is no answer.
        InvalidPrices: the bars as a whole cannot be read.
        InvalidSettings: several shards and no symbols or of a replay, or it does not have such bars.
    """
    if shard.count > 1 and source.replay:
        # The sample looks for one package that holds all the symbols.
        raise InvalidSettings(
            "history that is replayed is read at once, in one shard",
            f"{shard.count} shards of {source.name}",
        )
    requested = (*symbols, *kept)
    own = shard.of_symbols(requested)
    if requested and not own:
        return FetchedPart(shard, requested, own, None, utc_now())
    optional = set(kept)
    asked = [symbol for symbol in own if symbol not in optional]
    # History that is replayed does not grow, and a lone symbol may come from another package's.
    besides = [] if source.replay else [symbol for symbol in own if symbol in optional]
    try:
        got, missing = fetch_with_kept(source, asked, besides, interval)
    except SourceUnavailable as error:
        if not may_fail:
            raise
        failure = (error.rule, error.found, error.remedy)
        return FetchedPart(shard, requested, own, None, utc_now(), failure=failure)
    if got is None:
        return FetchedPart(shard, requested, (), None, utc_now(), missing)
    notes = (*got.notes, *missing)
    return FetchedPart(
        shard, requested, own, got.bars, got.fetched_at, notes, survivorship=got.survivorship
    )


class Gathered:
    """A source whose answer is already here, in parts.

    Args:
        source: the source that was asked.
        parts: what its shards brought, in any order.

    Raises:
        InvalidSettings: the parts are not those of one fetch, each once.
    """

    def __init__(self, source: PriceSource, parts: Sequence[FetchedPart]) -> None:
        self.name, self.replay, self.synthetic = source.name, source.replay, source.synthetic
        self._parts = sorted(parts, key=lambda part: part.shard.number)
        count = max((part.shard.count for part in parts), default=1)
        whole = [Shard(number, count) for number in range(1, count + 1)]
        if [part.shard for part in self._parts] != whole or len({p.requested for p in parts}) != 1:
            raise InvalidSettings(
                "the shards of a fetch are of the same symbols, and each is there once",
                f"{', '.join(str(part.shard) for part in self._parts) or 'none'}",
                "Name every shard once, like 1/2, 2/2",
            )

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """All bars that were fetched, by symbol; see `PriceSource.fetch`.

        Raises:
            SourceUnavailable: a shard had no answer.
            InvalidSettings: other symbols or dates are asked for than were fetched.
        """
        import pandas as pd

        del interval
        if tuple(symbols) != self._parts[0].requested or start or end:
            raise InvalidSettings(
                "what was fetched in shards answers for its own symbols only",
                f"{len(symbols)} symbols asked for, {len(self._parts[0].requested)} fetched",
            )
        failed = [part for part in self._parts if part.failure]
        if failed:
            rule, found, remedy = failed[0].failure
            beside = f" (shard {failed[0].shard}, {len(failed)} of {len(self._parts)} failed)"
            raise SourceUnavailable(rule, found + beside * (len(self._parts) > 1), remedy)
        answered = [part for part in self._parts if part.bars is not None]
        bars = pd.concat([part.bars for part in answered], ignore_index=True)
        # However many shards there were, the bars stand in the same order, and so do faults.
        bars = bars.sort_values("symbol", kind="stable", ignore_index=True)
        return FetchResult(
            bars=bars,
            fetched_at=max(part.fetched_at for part in answered),
            notes=tuple(dict.fromkeys(note for part in self._parts for note in part.notes)),
            survivorship=_combined([part.survivorship for part in answered]),
        )


def _combined(declared: Sequence[Survivorship]) -> Survivorship:
    """The declaration of the first shard, with what others declare beside it."""
    first, *others = dict.fromkeys(declared)
    beside = (other.declaration for other in others)
    return Survivorship(first.choice, " ".join(filter(None, (first.why, *beside))))


def _damaged(folder: Path, fault: object) -> Corrupted:
    return Corrupted(
        "a fetched part is a folder that the fetch step wrote",
        f"{folder}: {fault}",
        "Run the pipeline again",
    )
