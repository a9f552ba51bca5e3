"""Interval experiment: coverage of the 90 % interval per horizon, on real and simulated prices."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty import bundled
from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Plot, Size, Table, Workers
from benchmarks.honesty.walk_counts import (
    MARKETS,
    STEPS,
    Counted,
    Real,
    Simulated,
    real,
    simulated,
)
from forecasting.models.conformal import STEP

BAND: Final = (0.87, 0.93)
POINTS: Final = 1_000
HORIZONS: Final = (1, 5, 10, 20, 30)
KINDS: Final = ("random_walk", "ridge", "random_forest", "xgboost")


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Count outcomes inside the 90 % interval on bundled and on simulated prices."""
    items = [Real(*pair) for pair in bundled.pairs(KINDS)]
    markets, histories, bars = tuple(MARKETS), 20, 4_000
    if size == "small":
        items = [Real("indices", "random_walk"), Real("indices", "ridge")]
        markets, histories, bars = ("garch", "shift"), 4, 3_000
    draws = [
        Simulated(market, bars, seed * 1_000 + number)
        for market in markets
        for number in range(histories)
    ]
    walks = dict(zip(items, workers.map(real, items, "bundled prices"), strict=True))
    drawn = dict(zip(draws, workers.map(simulated, draws, "simulated markets"), strict=True))
    by_market = {
        market: [counted for item, counted in drawn.items() if item.market == market]
        for market in markets
    }
    return Outcome(
        findings=[*_real_findings(walks), *_simulated_findings(by_market)],
        story=_story(walks, by_market),
        data={
            "bundled": {
                f"{item.universe} {item.kind}": {
                    "points": counted.known.tolist(),
                    "coverage": {str(s): counted.coverage(s).round(4).tolist() for s in STEPS},
                    "symbols": {k: round(v, 4) for k, v in counted.by_symbol.items()},
                }
                for item, counted in walks.items()
            },
            "simulated": {
                market: {
                    str(s): np.mean([c.coverage(s) for c in counted], axis=0).round(4).tolist()
                    for s in STEPS
                }
                for market, counted in by_market.items()
            },
        },
    )


def _real_findings(walks: dict[Real, Counted]) -> list[Finding]:
    findings = []
    for universe in dict.fromkeys(item.universe for item in walks):
        walked = [counted for item, counted in walks.items() if item.universe == universe]
        shares = np.stack([counted.coverage() for counted in walked])
        points = min(int(counted.known.min()) for counted in walked)
        findings.append(
            Finding(
                f"{universe}: 90 % interval, least and most over all horizons and candidates",
                f"{shares.min():.1%} to {shares.max():.1%}, on at least {points:,} points each",
                f"{BAND[0]:.0%} to {BAND[1]:.0%} on {POINTS:,} points",
                _in_band(shares) and points >= POINTS,
            )
        )
    return findings


def _simulated_findings(by_market: dict[str, list[Counted]]) -> list[Finding]:
    findings = []
    for market, counted in by_market.items():
        shares = np.mean([history.coverage() for history in counted], axis=0)
        findings.append(
            Finding(
                f"simulated, {market}: the same, mean of {len(counted)} histories",
                f"{shares.min():.1%} to {shares.max():.1%}",
                f"{BAND[0]:.0%} to {BAND[1]:.0%}",
                _in_band(shares),
            )
        )
    return findings


def _in_band(shares: NDArray[np.float64]) -> bool:
    return bool((shares >= BAND[0]).all() and (shares <= BAND[1]).all())


def _story(
    walks: dict[Real, Counted], by_market: dict[str, list[Counted]]
) -> list[str | Table | Plot]:
    return [
        (
            "Intervals are recalibrated once a week, from outcomes known by then: quantiles of the "
            "earlier folds' absolute residuals (split conformal prediction, Vovk, Gammerman and Shafer 2005), "
            "stretched by feedback from misses on either side (quantile tracking, Angelopoulos, "
            "Candès and Tibshirani 2023; adaptive conformal inference, Gibbs and Candès 2021). The "
            "last recalibration is what a bundle carries. From there on the feedback goes on with the "
            "bundle's own forecasts; the section on served intervals counts those."
        ),
        (
            'Coverage of the 90 % interval on walk-forward points, by horizon in bars. "All" is the '
            'least and the most over all thirty; "without" is the same with no feedback.'
        ),
        _real_table(walks),
        (
            "Without feedback coverage is set by a few stretches of calm or storm: 30 bars ahead the "
            "first fold holds some ten forecasts that do not overlap, and where a model's location "
            "drifts from one fold to the next, its own early residuals are too small. Feedback needs "
            "no such luck: the share missed differs from what was promised by no more than the log "
            "stretch over step and time. It does not promise every symbol and every year its 90 %:"
        ),
        _symbol_table(walks),
        (
            "The step was chosen with these data in view, so the table shows its neighbours: any of them "
            "keeps the band, and the loss says what feedback costs in sharpness. A step that does not "
            "fall with the horizon was tried as well and dropped: it held the band too, but overlapping "
            "misses, which come in swarms and late, made intervals at 30 bars swing widely. About a dozen "
            "variants were tried on these data; the simulated markets were not used for choosing."
        ),
        _step_table(walks),
        (
            "Simulated markets, the random walk's intervals. One history of one symbol has so few "
            "forecasts 30 bars ahead that do not overlap that it strays from the mean; the share of "
            "histories in the band says how far."
        ),
        _market_table(by_market),
        Plot("horizons", _HORIZONS, lambda figure, theme: _paint(figure, theme, walks)),
        Plot("pit", _PIT, lambda figure, theme: _paint_bins(figure, theme, walks)),
    ]


_HORIZONS: Final = (
    "Coverage of the 90 % interval per horizon, every candidate on every bundled data set: with "
    "feedback (solid) and without (dotted); the shaded band is what is promised."
)
_PIT: Final = (
    "Where outcomes fell between the published quantiles, over what was forecast: 1 everywhere is "
    "an honest distribution (a probability integral transform of six bins)."
)


def _share(value: float) -> str:
    return f"{value:.1%}"


def _real_table(walks: dict[Real, Counted]) -> Table:
    rows = []
    for item, counted in walks.items():
        shares, plain = counted.coverage(), counted.coverage(0.0)
        rows.append(
            [
                item.universe,
                item.kind.replace("_", " "),
                f"{counted.known.min():,}",
                *(_share(shares[h - 1]) for h in HORIZONS),
                f"{_share(shares.min())} to {_share(shares.max())}",
                f"{_share(plain.min())} to {_share(plain.max())}",
            ]
        )
    heads = ["data", "candidate", ">points", *(f">{h}" for h in HORIZONS), ">all", ">without"]
    return Table(heads, rows)


def _symbol_table(walks: dict[Real, Counted]) -> Table:
    rows = [
        [
            item.universe,
            item.kind.replace("_", " "),
            ", ".join(f"{symbol} {_share(share)}" for symbol, share in counted.by_symbol.items()),
        ]
        for item, counted in walks.items()
        if item.kind in {"random_walk", "ridge"}
    ]
    return Table(["data", "candidate", "coverage over all horizons, per symbol"], rows)


def _step_table(walks: dict[Real, Counted]) -> Table:
    rows = []
    for step in STEPS:
        shares = np.stack([counted.coverage(step) for counted in walks.values()])
        loss = np.mean([counted.pinball[step] for counted in walks.values()], axis=0)
        inside = ((shares >= BAND[0]) & (shares <= BAND[1])).mean()
        rows.append(
            [
                f"{step:g}" + (" (ours)" if step == STEP else "" if step else " (no feedback)"),
                f"{_share(shares.min())} to {_share(shares.max())}",
                _share(float(inside)),
                *(f"{loss[h - 1]:.4f}" for h in (1, 10, 30)),
            ]
        )
    return Table(
        ["step", ">coverage, all horizons", ">in band", ">loss at 1", ">at 10", ">at 30"], rows
    )


def _market_table(by_market: dict[str, list[Counted]]) -> Table:
    rows = []
    for market, counted in by_market.items():
        shares = np.stack([history.coverage() for history in counted])
        plain = np.stack([history.coverage(0.0) for history in counted])
        mean = shares.mean(axis=0)
        rows.append(
            [
                MARKETS[market],
                f"{min(int(history.known.min()) for history in counted):,}",
                *(_share(mean[h - 1]) for h in HORIZONS),
                _share(float(((shares >= BAND[0]) & (shares <= BAND[1])).mean())),
                _share(float(((plain >= BAND[0]) & (plain <= BAND[1])).mean())),
            ]
        )
    heads = ["market", ">points", *(f">{h}" for h in HORIZONS), ">in band", ">without feedback"]
    return Table(heads, rows)


def _paint(figure: Any, theme: Any, walks: dict[Real, Counted]) -> None:
    axes = _axes(figure, theme, "horizon (bars)", "outcomes inside (%)")
    axes.axhspan(100 * BAND[0], 100 * BAND[1], color=theme.faint, alpha=0.6, linewidth=0)
    places = list(dict.fromkeys(item.universe for item in walks))
    named: set[str] = set()
    for item, counted in walks.items():
        hue = theme.hues[places.index(item.universe) % len(theme.hues)]
        horizons = np.arange(1, len(counted.known) + 1)
        label = "" if item.universe in named else item.universe
        named.add(item.universe)
        axes.plot(horizons, 100 * counted.coverage(), color=hue, linewidth=1.3, label=label)
        axes.plot(horizons, 100 * counted.coverage(0.0), ":", color=hue, linewidth=0.9)
    axes.set_ylim(84, 96)
    axes.legend(loc="upper center", ncols=4, fontsize=8, labelcolor=theme.ink, frameon=False)


def _paint_bins(figure: Any, theme: Any, walks: dict[Real, Counted]) -> None:
    from forecasting.schema import QUANTILE_LEVELS

    edges = np.array([0.0, *QUANTILE_LEVELS, 1.0])
    universes = list(dict.fromkeys(item.universe for item in walks))
    for place, universe in enumerate(universes):
        axes = _axes(
            figure, theme, f"{universe}: level (%)", "outcomes / forecast" if not place else "",
            place=(1, len(universes), place + 1),
        )  # fmt: skip
        bins = sum(counted.bins for item, counted in walks.items() if item.universe == universe)
        density = bins / np.sum(bins) / np.diff(edges)
        axes.bar(
            100 * edges[:-1], density, width=100 * np.diff(edges), align="edge",
            color=theme.hues[place % len(theme.hues)], edgecolor=theme.paper,
        )  # fmt: skip
        axes.axhline(1, color=theme.ink, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_ylim(0, 1.4)


def _axes(figure: Any, theme: Any, x: str, y: str, place: tuple[int, int, int] = (1, 1, 1)) -> Any:
    axes = figure.add_subplot(*place, facecolor=theme.paper)
    axes.set_xlabel(x, color=theme.ink, fontsize=9)
    axes.set_ylabel(y, color=theme.ink, fontsize=9)
    axes.tick_params(colors=theme.ink, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)
    return axes


EXPERIMENT: Final = Experiment(
    name="coverage",
    title="Intervals",
    question="Does the 90 % interval hold 87 to 93 % of what comes, at every horizon from 1 to 30 "
    "bars, on every bundled data set, and on markets that change?",
    run=run,
)
