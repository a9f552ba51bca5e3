"""The bundled real prices as rows to learn from, the way the pipeline's steps make them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from forecasting.models.training_set import Examples

if TYPE_CHECKING:
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
    universe: str, *, variance: tuple[int, ...] = (), decays: tuple[float, ...] = ()
) -> Examples:
    """Fetch, judge and describe a bundled data set, as ingest and features do.

    Args:
        universe: its name.
        variance: bars that variances are averaged over, for candidates that learn a width.
        decays: of averages of squared returns, for those that are a recursion.
    """
    from forecasting.adapters.market.providers.sample import UNIVERSES, SampleSource
    from forecasting.features.build import build_features
    from forecasting.features.spec import FeatureSpec
    from forecasting.features.targets import horizon_returns
    from forecasting.prices.quality.judge import judge
    from forecasting.schema import MAX_HORIZON

    interval = UNIVERSES[universe].interval
    bars = SampleSource(universe=universe).fetch([], None, None, interval).bars
    prices = judge(bars, now=datetime.now(UTC), interval=interval).clean
    symbols = tuple(sorted(str(symbol) for symbol in prices["symbol"].unique()))
    spec = FeatureSpec(interval=interval, symbols=symbols, variance=variance, decays=decays)
    table = build_features(prices, spec)
    returns = horizon_returns(prices, range(1, MAX_HORIZON + 1)).astype("float32")
    return Examples.of(table, returns)


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
