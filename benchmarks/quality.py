"""How often healthy champions are found degraded within a year, and how soon degraded ones are.

Simulated: six symbols that share 45 % of their shocks, a year of 252 bars, in three markets (normal
returns; GARCH with Student t shocks; calm and storm in turn). The right intervals are those of the
random walk, whose widths were learned from 4,000 bars before; a champion's differ from them by noise
in its locations and by what is planted. Bundled: the real prices that come with the product, walk
forward, in spans of a year; there the random walk's own intervals are off in some years.

The reference is the random walk. Outcomes are replayed bar by bar at horizons 1, 5, 10, 20 and 30.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty import bundled
from benchmarks.honesty.random_walks import WALKS, simple_returns
from benchmarks.results import add_option, machine, markdown, write
from forecasting.features.indicators import ewma_volatility
from forecasting.live.quality import Compared, QualityRules, judge_quality

if TYPE_CHECKING:
    from forecasting.models.out_of_sample import OutOfSample

YEAR: Final = 252
SOON: Final = 60
"""Bars within which what is plainly degraded should be found."""
SYMBOLS: Final = 6
PAST: Final = 4_000
HEALTHY: Final = 200
SICK: Final = 50
NOISE: Final = 0.05
"""Standard deviation of a healthy champion's locations around the right ones, in those of the return."""
HORIZONS: Final = tuple(QualityRules().horizons)
TAILS: Final = np.array([-0.9, -0.5, 0.0, 0.5, 0.9])
"""Share of the outcomes that a symmetric interval from each level to its mirror holds, with a sign."""

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Champion:
    """A champion and what is wrong with it.

    Attributes:
        name: in words.
        width: of its intervals, in right ones.
        signal: correlation of the best locations with the return; its own are these, times `sign`.
        sign: 1 or -1.
        since: bar from which it is so; healthy before.
    """

    name: str
    width: float = 1.0
    signal: float = 0.0
    sign: float = 1.0
    since: int = 0

    @property
    def healthy(self) -> bool:
        return self.width == 1.0 and self.sign > 0


CHAMPIONS: Final = (
    Champion("healthy, knows nothing"),
    Champion("healthy, locations of correlation 0.1", signal=0.1),
    *(Champion(f"width {w:g}", width=w) for w in (0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.4, 1.6)),
    *(
        Champion(f"wrong sign, correlation {s:g}", signal=s, sign=-1.0)
        for s in (0.1, 0.2, 0.3, 0.4, 0.5)
    ),
    Champion("width 0.7 after 126 bars", width=0.7, since=126),
    Champion("width 1.4 after 126 bars", width=1.4, since=126),
)


@lru_cache(maxsize=4)
def market(kind: str, seed: int) -> dict[int, tuple[Reals, Reals, Reals]]:
    """By horizon: log returns [bars, symbols], their expected scale, and right quantiles of the ratio."""
    bars = PAST + YEAR + max(HORIZONS) + 1
    path = simple_returns(kind, symbols=SYMBOLS, bars=bars, seed=np.random.SeedSequence(seed))
    moves = np.log1p(path)
    volatility = np.stack([ewma_volatility(moves[:, s]) for s in range(SYMBOLS)], axis=1)
    total = np.cumsum(moves, axis=0)
    drawn = {}
    for horizon in HORIZONS:
        returns, scale = total[horizon:] - total[:-horizon], volatility[:-horizon]
        before = slice(250, PAST - horizon)
        ratios = np.abs(returns[before] / scale[before])
        right = np.sign(TAILS) * np.quantile(ratios, np.abs(TAILS))
        year = slice(PAST, PAST + YEAR)
        drawn[horizon] = (returns[year], scale[year], right)
    return drawn


def forecasts(champion: Champion, kind: str, seed: int) -> Compared:
    """A year of a champion's forecasts with their outcomes, beside the random walk's."""
    rng = np.random.default_rng([seed, 27])
    bars = np.arange(YEAR)[:, None, None]
    parts = []
    for horizon, (returns, scale, right) in market(kind, seed).items():
        reference = scale[..., None] * right
        deviation = scale[..., None] * np.sqrt(horizon)
        signal = champion.signal * rng.standard_normal((*returns.shape, 1)) * deviation
        noise = NOISE * rng.standard_normal((*returns.shape, 1)) * deviation
        sick = bars >= champion.since
        width = np.where(sick, champion.width, 1.0)
        sign = np.where(sick, champion.sign, 1.0)
        own = reference * width + sign * signal + noise
        unforeseen = np.sqrt(1 - champion.signal**2) * returns
        parts.append((horizon, own, reference, unforeseen + signal[..., 0]))
    return _compared(parts)


def _compared(parts: Sequence[tuple[int, Reals, Reals, Reals]]) -> Compared:
    """Rows of (horizon, quantiles [t, s, Q], reference's, outcomes [t, s])."""
    columns = []
    for horizon, own, reference, outcomes in parts:
        bars, symbols = outcomes.shape
        as_of = np.repeat(np.arange(bars), symbols)
        columns.append(
            (
                np.tile(np.arange(symbols).astype(str), bars),
                np.full(bars * symbols, horizon),
                as_of,
                as_of + horizon,
                own.reshape(-1, own.shape[-1]),
                reference.reshape(-1, own.shape[-1]),
                outcomes.ravel(),
                np.ones(outcomes.size),  # the ratio of losses that they scale is not told here
            )
        )
    return Compared(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def found_after(compared: Compared, since: int = 0) -> float:
    """Bars from `since` until the champion is found degraded; infinite when it never is in the year."""
    at = judge_quality(compared).degraded_at
    return float("inf") if at is None or at > YEAR else at - since


def binomial_p(count: int, total: int) -> float:
    """Exact chance of so many or more when each is found with the stated error rate."""
    from scipy.stats import binom

    return float(binom.sf(count - 1, total, QualityRules().error_rate))


def simulated(healthy: int = HEALTHY, sick: int = SICK, seed: int = 27) -> list[list[str]]:
    """Rows: champion, market, champions, found within 60 bars and a year, median bars, p of the error rate."""
    rows = []
    for number, champion in enumerate(CHAMPIONS):
        for kind in WALKS:
            count = healthy if champion.healthy else sick
            seeds = [1_000_000 * seed + 1_000 * number + place for place in range(count)]
            after = [found_after(forecasts(champion, kind, s), champion.since) for s in seeds]
            rows.append(_row(champion.name, kind, after, healthy=champion.healthy))
    return rows


def _row(name: str, where: str, after: Sequence[float], *, healthy: bool) -> list[str]:
    year = sum(bars <= YEAR for bars in after)
    return [
        name,
        where,
        str(len(after)),
        str(sum(bars <= SOON for bars in after)),
        str(year),
        f"{np.median(after):.0f}" if 2 * year > len(after) else "-",
        f"{binomial_p(year, len(after)):.2g}" if healthy else "",
    ]


REPLAYED: Final = (
    Champion("as trained"),
    Champion("width 0.7", width=0.7),
    Champion("width 1.4", width=1.4),
    Champion("locations turned", sign=-1.0),
)


def replayed() -> list[list[str]]:
    """The same rows for ridge regression on the bundled prices, a year from every half-year on."""
    from forecasting.models.training import TrainingConfig, train_on_examples

    rows = []
    for universe in bundled.universes():
        examples = bundled.examples_of(universe)
        walked: dict[str, OutOfSample] = {
            kind: train_on_examples(kind, examples, TrainingConfig(seed=7), threads=1).out_of_sample
            for kind in ("ridge", "random_walk")
        }
        panels = {horizon: list(_panels(walked, horizon)) for horizon in HORIZONS}
        bars = min(len(outcomes) for _, _, outcomes in panels.values())
        for champion in REPLAYED:
            after = []
            for start in range(0, bars - YEAR + 1, YEAR // 2):
                year = slice(start, start + YEAR)
                parts = [
                    (h, _changed(own[year], champion), reference[year], outcomes[year])
                    for h, (own, reference, outcomes) in panels.items()
                ]
                after.append(found_after(_compared(parts)))
            healthy = champion.healthy
            rows.append(_row(f"ridge, {champion.name}", universe, after, healthy=healthy))
    return rows


def _panels(walked: "dict[str, OutOfSample]", horizon: int) -> Iterator[Reals]:
    """Ridge's quantiles, the random walk's, and outcomes, of bars at which every symbol has them."""
    table = next(iter(walked.values()))
    instants, bar = np.unique(table.timestamps, return_inverse=True)
    shape = (len(instants), len(table.symbols))
    outcomes = np.full(shape, np.nan)
    outcomes[bar, table.codes] = table.realised[:, horizon - 1]
    whole = np.isfinite(outcomes).all(axis=1)
    for one in walked.values():
        quantiles = np.full((*shape, len(TAILS)), np.nan)
        quantiles[bar, one.codes] = one.quantiles[:, horizon - 1]
        yield quantiles[whole]
    yield outcomes[whole]


def _changed(quantiles: Reals, champion: Champion) -> Reals:
    """The quantiles with other widths around their median, and with its sign turned."""
    median = quantiles[..., 2:3]
    changed: Reals = champion.sign * median + champion.width * (quantiles - median)
    return changed


HEADS: Final = (
    "champion", "market", ">champions", f">found in {SOON} bars", ">in a year", ">median bars",
    ">p (at most 5 %)",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_option(parser)
    arguments = parser.parse_args()
    tables = {"simulated": simulated(), "bundled": replayed()}
    text = "\n\n".join(
        [
            "# Quality judged after promotion",
            machine(),
            __doc__ or "",
            *(
                f"## {name.capitalize()}\n\n{markdown(HEADS, rows)}"
                for name, rows in tables.items()
            ),
        ]
    )
    heads = [head.removeprefix(">") for head in HEADS]
    data = {
        name: [dict(zip(heads, row, strict=True)) for row in rows] for name, rows in tables.items()
    }
    write("quality", text, data, arguments.out)


if __name__ == "__main__":
    main()
