"""Fetches symbols that are asked for, all or none, and besides them what can be had of symbols kept.

A symbol is kept because versions in use know it, though nobody asks for it any more. It may have been
delisted, halted or refused since: that it cannot be had is told, and takes nothing from the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from forecasting.adapters.market.source import FetchResult, PriceSource
from forecasting.errors import InvalidPrices, SourceUnavailable, UnknownSymbol

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.prices.quality.judge import CleanedBars


def fetch_with_kept(
    source: PriceSource, asked: Sequence[str], kept: Sequence[str], interval: str
) -> tuple[FetchResult | None, tuple[str, ...]]:
    """Fetch in one request; if that fails, those asked for alone, then each kept one by itself.

    Args:
        source: whom to ask.
        asked: symbols that must be answered; none for the source's own choice, unless some are kept.
        kept: symbols that may fail.
        interval: bar interval.

    Returns:
        The answer, None if none was asked for and none of the kept could be had; and why some
        could not, in sentences.

    Raises:
        UnknownSymbol, SourceUnavailable, InvalidPrices, InvalidSettings: of those asked for.
    """
    if not kept:
        return _read(source, asked, interval), ()
    try:
        return _read(source, (*asked, *kept), interval), ()
    except (UnknownSymbol, SourceUnavailable, InvalidPrices):
        pass  # which of them is at fault shows below
    got = [_read(source, asked, interval)] if asked else []
    missing = []
    for symbol in kept:
        try:
            got.append(_read(source, (symbol,), interval))
        except (UnknownSymbol, SourceUnavailable, InvalidPrices) as error:
            missing.append(f"{symbol} could not be fetched, and keeps its bars of before: {error}")
    return (_together(got) if got else None), tuple(missing)


def judge_with_kept(
    bars: "pd.DataFrame", kept: Sequence[str], judged: Callable[["pd.DataFrame"], "CleanedBars"]
) -> tuple["CleanedBars", tuple[str, ...]]:
    """Judge bars; where they are refused, without those of kept symbols that are at fault.

    Args:
        bars: as they were fetched.
        kept: symbols that may be refused.
        judged: judges bars.

    Returns:
        The judgement, and why some symbols are left out, in sentences.

    Raises:
        InvalidPrices: those asked for are refused.
    """
    present = bars["symbol"].astype(str)
    own = [symbol for symbol in kept if (present == symbol).any()]
    if not own:
        return judged(bars), ()
    try:
        return judged(bars), ()
    except InvalidPrices:
        asked = bars[~present.isin(own)]
    refused, sound = [], [asked]
    for symbol in own:
        alone = bars[present == symbol]
        try:
            judged(alone.reset_index(drop=True))
            sound.append(alone)
        except InvalidPrices as error:
            refused.append(f"{symbol} is refused, and keeps its bars of before: {error}")
    import pandas as pd

    together = pd.concat(sound).sort_index().reset_index(drop=True)
    try:
        return judged(together), tuple(refused)
    except InvalidPrices as error:
        refused = [f"{', '.join(own)} are left out, and keep their bars of before: {error}"]
        return judged(asked.reset_index(drop=True)), tuple(refused)


def _read(source: PriceSource, symbols: Sequence[str], interval: str) -> FetchResult:
    """What the source has, its bars in types that can be stored."""
    from forecasting.prices.quality.parsing import read_bars

    got = source.fetch(symbols, None, None, interval)
    return replace(got, bars=read_bars(got.bars).frame)


def _together(results: Sequence[FetchResult]) -> FetchResult:
    import pandas as pd

    return replace(
        results[0],
        bars=pd.concat([result.bars for result in results], ignore_index=True),
        fetched_at=max(result.fetched_at for result in results),
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
    )
