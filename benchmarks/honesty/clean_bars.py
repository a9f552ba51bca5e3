"""Clean daily bars that faults are put into: synthetic ones, and real ones from the sample."""

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.prices.quality.judge import CleanedBars

NOW: Final = datetime(2026, 6, 1, tzinfo=UTC)
_SYNTHETIC: Final = ("AAPL", "2330.TW", "VOD.L", "SAP.DE")


@lru_cache(maxsize=8)
def clean_bars(data: str) -> "pd.DataFrame":
    """A clean data set by name: made-N, or a universe of the sample."""
    if data.startswith("made-"):
        from forecasting.adapters.market.providers.synthetic import SyntheticSource

        source = SyntheticSource(seed=int(data.removeprefix("made-")), bars=500)
        bars = source.fetch(_SYNTHETIC, None, date(2026, 5, 29), "1d").bars
    else:
        from forecasting.adapters.market.providers.sample import UNIVERSES, SampleSource

        universe = UNIVERSES[data]
        bars = SampleSource(universe=data).fetch(universe.default, None, None, "1d").bars
        newest = bars.groupby("symbol").cumcount(ascending=False) < 700
        bars = bars[newest & bars["symbol"].isin(sorted(set(bars["symbol"]))[:4])]
    return judge_daily(bars).clean


def judge_daily(bars: "pd.DataFrame", stored: "pd.DataFrame | None" = None) -> "CleanedBars":
    """Judge daily bars as of `NOW`, beside the bars that were stored before."""
    from forecasting.prices.quality.judge import judge

    return judge(bars, now=NOW, stored=stored)
