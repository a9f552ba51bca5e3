"""Backtest experiment: Sharpe ratios of noise, of the best of many, and of a signal that peeked."""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Plot, Size, Table, Workers
from benchmarks.honesty.random_walks import WALKS, simple_returns
from benchmarks.honesty.shares import exact_interval, plot_shares, share
from forecasting.report.plots import MARKERS, Theme, styled_axes, styled_legend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecasting.evaluation.backtest import Backtest
    from forecasting.models.out_of_sample import OutOfSample

Reals = NDArray[np.float64]

PERIODS: Final = 1_250
SYMBOLS: Final = 4
TRIALS: Final = (1, 5, 20, 100)
DELAYS: Final = (0, 1, 2)
PEEK: Final = 0.15
"""Correlation of the peeking signal with the very bar that closes as it is given."""


@dataclass(frozen=True)
class Trading:
    """Strategies without any knowledge, traded on one set of random walks.

    Attributes:
        walk: a key of `random_walks.WALKS`.
        strategies: how many; the first is looked at alone, and the best of the first N is kept.
        seed: of everything.
    """

    walk: str
    strategies: int
    seed: np.random.SeedSequence


@dataclass(frozen=True)
class Earned:
    """What came of it.

    Attributes:
        free: Sharpe ratio and its error of the first strategy, no costs, per year.
        net: the same after fees and slippage, one bar's delay.
        deflated: by number of trials, deflated Sharpe of the best, no costs.
        naive: by number of trials, its probability above 0 as if it had been the only one.
        delays: Sharpe ratio of the peeking signal per delay, after costs.
        honest: Sharpe ratio of a signal that knows the next bars, per delay, after costs.
    """

    free: tuple[float, float]
    net: tuple[float, float]
    deflated: dict[int, float]
    naive: dict[int, float]
    delays: dict[int, float]
    honest: dict[int, float]


def trade(case: Trading) -> Earned:
    """Trade noise, keep the best of many, and trade a signal that saw the close too early."""
    from forecasting.evaluation.backtest import backtest_signals, run_backtest
    from forecasting.evaluation.evaluate import SLIPPAGE
    from forecasting.evaluation.multiple_testing import deflated_accounts
    from forecasting.stats.sharpe import deflated_sharpe
    from forecasting.testing import planted_forecasts

    path, random, number = case.seed.spawn(3)
    walks = _forecasts(simple_returns(case.walk, symbols=SYMBOLS, bars=PERIODS, seed=path), random)
    rng = np.random.default_rng(random)

    def account(side: NDArray[np.int8], unit_cost: float, delay: int = 1) -> "Backtest":
        return backtest_signals(
            walks, side, name="noise", keep=5, delay=delay, unit_cost=unit_cost, allow_short=True
        )

    cost = walks.cost / 2 + SLIPPAGE
    sides = [_noise(rng, len(walks)) for _ in range(case.strategies)]
    accounts = {f"{place}": {1: account(side, 0.0)} for place, side in enumerate(sides)}
    net = account(sides[0], cost)
    deflated, naive = {}, {}
    for count in (count for count in TRIALS if count <= case.strategies):
        first = dict(list(accounts.items())[:count])
        best = max(first, key=lambda name: first[name][1].sharpe)
        deflated[count] = deflated_accounts(first, count)[best][1].deflated_sharpe
        alone = first[best][1]
        naive[count] = deflated_sharpe(
            alone.daily_sharpe, observations=alone.days, trials=1, trial_variance=0.0,
            skew=alone.skew, kurtosis=alone.kurtosis,
        )  # fmt: skip
    bar = walks.realised[:, 0].astype(np.float64) / walks.scale
    signal = PEEK * bar + np.sqrt(1 - PEEK**2) * rng.standard_normal(len(walks))
    peeked = np.sign(signal).astype(np.int8)
    honest = planted_forecasts(
        signal=0.15, candidates=("ridge",), symbols=SYMBOLS, periods=PERIODS,
        seed=int(number.generate_state(1)[0]),
    )["ridge"]  # fmt: skip
    one_bar = replace(walks, cost=0.0)
    return Earned(
        free=(accounts["0"][1].sharpe, accounts["0"][1].sharpe_error),
        net=(net.sharpe, net.sharpe_error),
        deflated=deflated,
        naive=naive,
        delays={
            delay: backtest_signals(
                one_bar, peeked, name="peeked", keep=1, delay=delay, unit_cost=0.0,
                allow_short=True,
            ).sharpe
            for delay in DELAYS
        },
        honest={
            delay: run_backtest(honest, delay=delay, slippage=SLIPPAGE).sharpe for delay in DELAYS
        },
    )  # fmt: skip


def _noise(rng: np.random.Generator, rows: int) -> NDArray[np.int8]:
    """Buys, sells and holds that know nothing."""
    return rng.choice(np.array([-1, 0, 1], dtype=np.int8), rows, p=[0.15, 0.7, 0.15])


def _forecasts(returns: Reals, seed: np.random.SeedSequence) -> "OutOfSample":
    """Walks as the rows of a walk-forward, one bar ahead; their forecasts are not looked at."""
    from forecasting.testing import planted_forecasts

    bars, symbols = returns.shape
    frame = planted_forecasts(
        signal=0.0, candidates=("ridge",), symbols=symbols, periods=bars,
        seed=int(seed.generate_state(1)[0]),
    )["ridge"]  # fmt: skip
    realised = frame.realised.copy()
    realised[:, 0] = np.log1p(returns).T.ravel()
    return replace(frame, realised=realised, scale=np.full(len(frame), returns.std()))


@dataclass(frozen=True)
class Counts:
    """What was counted over all panels.

    Attributes:
        panels: how many.
        covered: panels whose interval holds 0, no costs.
        above: panels whose interval lies above 0, after costs.
        fooled: by number of trials, panels whose best looks good taken for the only one.
        passed: the same, deflated.
        peeked: Sharpe ratios of the peeking signal per delay [panels].
        honest: the same of the signal that knows.
    """

    panels: int
    covered: int
    above: int
    fooled: dict[int, int]
    passed: dict[int, int]
    peeked: dict[int, Reals]
    honest: dict[int, Reals]

    @classmethod
    def of(cls, earned: "Sequence[Earned]", trials: "Sequence[int]") -> "Counts":
        """Count what came of every panel."""
        free, net = (
            np.array([getattr(panel, name) for panel in earned]) for name in ("free", "net")
        )
        return cls(
            panels=len(earned),
            covered=int(np.sum(np.abs(free[:, 0]) <= 1.96 * free[:, 1])),
            above=int(np.sum(net[:, 0] - 1.96 * net[:, 1] > 0)),
            fooled={n: sum(panel.naive[n] > 0.95 for panel in earned) for n in trials},
            passed={n: sum(panel.deflated[n] > 0.95 for panel in earned) for n in trials},
            peeked={d: np.array([panel.delays[d] for panel in earned]) for d in DELAYS},
            honest={d: np.array([panel.honest[d] for panel in earned]) for d in DELAYS},
        )


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    """Trade random walks, count intervals that miss 0 and ratios that deflation lets through."""
    panels, strategies = (240, 100) if size == "full" else (40, 20)
    kinds = tuple(WALKS)
    cases = [
        Trading(kinds[place % 3], strategies, branch)
        for place, branch in enumerate(np.random.SeedSequence((seed, 53)).spawn(panels))
    ]
    earned = workers.map(trade, cases, "trading random walks")
    counts = Counts.of(earned, [count for count in TRIALS if count <= strategies])
    return Outcome(
        [*_noise_findings(counts), *_delay_findings(counts)],
        _story(counts),
        {
            "panels": panels,
            "covers 0": counts.covered,
            "above 0 after costs": counts.above,
            "best of N above 95 %, deflated": counts.passed,
            "best of N above 95 %, naive": counts.fooled,
            "peeked, mean Sharpe by delay": {d: float(v.mean()) for d, v in counts.peeked.items()},
        },
    )


def _noise_findings(counts: Counts) -> list[Finding]:
    """Whether strategies without knowledge seem to have some."""
    most = max(counts.fooled)
    return [
        Finding(
            "no knowledge, no costs: the Sharpe ratio's 95 % interval holds 0",
            share(counts.covered, counts.panels),
            "95 %",
            holds=_agrees(counts.covered, counts.panels, 0.95),
        ),
        Finding(
            "no knowledge, after costs: the interval lies above 0",
            share(counts.above, counts.panels),
            "at most 2.5 %",
            holds=_agrees(counts.above, counts.panels, 0.025, below=True),
        ),
        *(
            Finding(
                f"best of {n}: deflated Sharpe above 95 %",
                share(passed, counts.panels),
                "5 %, and not surely above",
                holds=_agrees(passed, counts.panels, 0.05, below=True),
            )
            for n, passed in counts.passed.items()
        ),
        Finding(
            f"best of {most}, taken for the only one: above 95 %",
            share(counts.fooled[most], counts.panels),
        ),
    ]


def _delay_findings(counts: Counts) -> list[Finding]:
    """Whether a bar's delay undoes a signal that peeked."""
    mean = {
        delay: (float(sharpe.mean()), float(sharpe.std(ddof=1) / np.sqrt(counts.panels)))
        for delay, sharpe in counts.peeked.items()
    }
    return [
        Finding(
            "a signal that peeked: mean Sharpe ratio at once, one bar later, two bars later",
            ", ".join(f"{mean[d][0]:+.2f} ± {1.96 * mean[d][1]:.2f}" for d in DELAYS),
            "far above 0 at once, 0 later",
            holds=mean[0][0] > 10 * mean[0][1]
            and all(abs(mean[d][0]) < 3 * mean[d][1] for d in DELAYS[1:]),
        ),
        Finding(
            "a signal that knows: mean Sharpe ratio at once, one bar later, two bars later",
            ", ".join(f"{counts.honest[d].mean():+.2f}" for d in DELAYS),
        ),
    ]


def _story(counts: Counts) -> list[str | Table | Plot]:
    return [
        (
            f"{counts.panels} panels of random walks ({'; '.join(WALKS.values())}), {SYMBOLS} symbols "
            f"x {PERIODS:,} bars, fair games: no strategy earns anything on them. Strategies buy and "
            "sell by chance, long and short, and keep a position for five bars; one bar's delay, "
            "fees of 0.10 % a round trip and slippage of 0.02 % a trade where costs are counted. "
            "Costs make the true ratio negative, so after them the interval may miss 0 on one "
            "side only. The interval is Lo's (2002) with Mertens' (2002) terms for skewness and "
            "kurtosis."
        ),
        (
            "Keep the best of N strategies, and it looks good: that is what the deflated Sharpe "
            "ratio (Bailey & Lopez de Prado, 2014) takes off. It asks for more than the best of N "
            "is expected to show, so with many trials it lets through fewer than one in twenty."
        ),
        Plot(
            "trials",
            "Share of random-walk panels on which the best of N strategies shows a "
            "probability above 95 % of a true Sharpe ratio above 0, exact 95 % intervals.",
            partial(
                _paint_trials,
                {"taken for the only one": counts.fooled, "deflated": counts.passed},
                counts.panels,
            ),
        ),
        (
            f"The peeking signal correlates by {PEEK:g} with the bar it is said to be known "
            "before: on random walks, a result that lives at once and dies with a bar's delay was "
            "never there. A signal that really knows the next bars (strength 0.15, after costs) "
            "keeps most of its worth. Every report shows the three delays."
        ),
        Plot(
            "delays",
            "Sharpe ratio per year, each dot a panel: a signal that peeked (left), one that "
            "knows (right).",
            partial(_paint_delays, counts.peeked, counts.honest),
        ),
    ]


def _agrees(count: int, total: int, promised: float, *, below: bool = False) -> bool:
    """Whether the exact 99 % interval of the share holds what was promised, or lies below it."""
    low, high = exact_interval(count, total, 0.99)
    return bool(low <= promised and (below or promised <= high))


def _paint_trials(
    curves: dict[str, dict[int, int]], panels: int, figure: Any, theme: Theme
) -> None:
    axes = styled_axes(figure, theme, "strategies tried, the best kept", "above 95 % (% of panels)")
    axes.axhline(5, color=theme.ink, linewidth=0.9, linestyle=(0, (1, 2)))
    for place, (label, points) in enumerate(curves.items()):
        plot_shares(
            axes, [*points], [(count, panels) for count in points.values()],
            color=theme.hues[1 - place], marker=MARKERS[place], label=label,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks([*curves["deflated"]], [f"{count}" for count in curves["deflated"]])
    axes.minorticks_off()
    axes.set_ylim(0, 102)
    styled_legend(axes, theme, loc="upper left")


def _paint_delays(
    peeked: dict[int, Reals], honest: dict[int, Reals], figure: Any, theme: Theme
) -> None:
    groups: Sequence[tuple[str, dict[int, Reals]]] = (("peeked", peeked), ("knows", honest))
    axes = styled_axes(figure, theme, "bars between signal and execution", "Sharpe ratio per year")
    axes.axhline(0, color=theme.ink, linewidth=0.9)
    rng = np.random.default_rng(0)
    ticks = []
    for place, (label, by_delay) in enumerate(groups):
        for delay, values in by_delay.items():
            at = place * 4 + delay
            ticks.append((at, f"{delay}\n{label}" if delay == 1 else f"{delay}"))
            axes.plot(at + rng.uniform(-0.12, 0.12, values.size), values, ".", markersize=3,
                      color=theme.hues[1 - place], alpha=0.6)  # fmt: skip
            axes.plot([at - 0.25, at + 0.25], [values.mean()] * 2, color=theme.ink, linewidth=1.6)
    axes.set_xticks([at for at, _ in ticks], [label for _, label in ticks])


EXPERIMENT: Final = Experiment(
    name="backtest",
    title="Backtest",
    question=(
        "Does the account find gains where there are none, what is left of the best of many "
        "strategies once the trials are counted, and what does a bar's delay do to a signal that "
        "saw the close before it was one?"
    ),
    run=run,
)
