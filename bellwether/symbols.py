"""Which symbols a command means when it names some, or none."""

from typing import Final

from bellwether.console import split_symbols
from forecasting.errors import InvalidSettings

DEFAULT_SAMPLE: Final = "META,AMZN,AAPL,NFLX,NVDA,GOOG"


def chosen_symbols(text: str, source: str) -> tuple[str, ...]:
    """The symbols of a comma separated option; the bundled sample has six by default.

    Raises:
        InvalidSettings: the source is unknown, or needs symbols and has none.
    """
    from forecasting.adapters.market.source import source_names

    if source not in source_names():
        raise InvalidSettings(
            "a source must be known",
            repr(source),
            f"There are {', '.join(source_names())}; packages add others as bellwether.sources",
        )
    symbols = split_symbols(text)
    if symbols:
        return symbols
    if source == "sample":
        return split_symbols(DEFAULT_SAMPLE)
    if source in {"files", "synthetic"}:
        return ()
    raise InvalidSettings(
        "a live source needs symbols", f"source {source}, no symbols", "Add --symbols AAPL,BTC-USD"
    )
