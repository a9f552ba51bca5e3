"""The bundled real prices as rows to learn from, the way the pipeline's steps make them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from forecasting.features.spec import FeatureSpec
from forecasting.models.training_set import Examples

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.leakage.findings import LeakFinding


def universes() -> tuple[str, ...]:
    """Names of the bundled data sets."""
    from forecasting.adapters.market.providers.sample import UNIVERSES

    return tuple(UNIVERSES)


def description(universe: str) -> str:
    """What a bundled data set is: symbols and interval."""
    from forecasting.adapters.market.providers.sample import UNIVERSES

    sample = UNIVERSES[universe]
    return f"{', '.join(sample.default)}; {sample.interval} bars"


def examples_of(
    universe: str,
    *,
    variance: tuple[int, ...] = (),
    decays: tuple[float, ...] = (),
    until: datetime | None = None,
) -> Examples:
    """Fetch, judge and describe a bundled data set, as ingest and features do.

    Args:
        universe: its name.
        variance: bars that variances are averaged over, for candidates that learn a width.
        decays: of averages of squared returns, for those that are a recursion.
        until: later bars are left out, as if they had not come yet; None for all.
    """
    from forecasting.features.build import build_features
    from forecasting.features.targets import horizon_returns
    from forecasting.prices.quality.judge import judge
    from forecasting.schema import MAX_HORIZON, TIMESTAMP

    spec = specification(universe, variance=variance, decays=decays)
    prices = judge(_bars(universe), now=datetime.now(UTC), interval=spec.interval).clean
    if until is not None:
        prices = prices[prices[TIMESTAMP] <= until].reset_index(drop=True)
    table = build_features(prices, spec)
    returns = horizon_returns(prices, range(1, MAX_HORIZON + 1)).astype("float32")
    return Examples.of(table, returns)


def specification(
    universe: str, *, variance: tuple[int, ...] = (), decays: tuple[float, ...] = ()
) -> FeatureSpec:
    """The features of a bundled data set; arguments as in `examples_of`."""
    from forecasting.adapters.market.providers.sample import UNIVERSES

    symbols = tuple(sorted(str(symbol) for symbol in _bars(universe)["symbol"].unique()))
    return FeatureSpec(
        interval=UNIVERSES[universe].interval, symbols=symbols, variance=variance, decays=decays
    )


@cache
def _bars(universe: str) -> "pd.DataFrame":
    from forecasting.adapters.market.providers.sample import UNIVERSES, SampleSource

    interval = UNIVERSES[universe].interval
    return SampleSource(universe=universe).fetch([], None, None, interval).bars


def survivorship_finding(universe: str) -> "LeakFinding":
    """How a bundled data set's symbols were chosen, as the check of a training finds it."""
    from forecasting.adapters.market.providers.sample import UNIVERSES, SampleSource
    from forecasting.leakage.survivorship import check_survivorship

    sample = UNIVERSES[universe]
    bars = SampleSource(universe=universe).fetch([], None, None, sample.interval).bars
    chosen = sample.survivorship
    return check_survivorship(
        bars, sample.default, declared=chosen.declaration, hindsight=chosen.hindsight
    )


def pairs(kinds: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every bundled data set with every kind of candidate."""
    return ((universe, kind) for universe in universes() for kind in kinds)
