"""Multiple testing: corrects the winner's evidence for the number of candidates tried.

Two kinds of trials are counted. The candidates of a training are all judged on the same test
spans; Hansen's SPA knows each of their losses and counts that the best was picked. The settings
that a search tried for each candidate leave no forecasts of the test spans, only their number.
They were tried on bars before the first test span and cannot have picked luck from it, as long
as nobody looks; the verdict does not rest on that. It must also hold if the settings had been
picked on the test spans themselves.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from forecasting.evaluation.backtest import Backtest
from forecasting.stats.sharpe import deflated_sharpe
from forecasting.stats.significance import Series, does_not_vary

JUDGED_DELAY: Final = 1
"""Delay in bars of the account whose Sharpe ratio counts."""


def settings_tried(trials: Mapping[str, int]) -> int:
    """Independent looks that picking among candidates does not count, at least 1.

    Args:
        trials: configurations tried per challenger, each at least 1.
    """
    return 1 + sum(max(count - 1, 0) for count in trials.values())


def effective_trials(count: int, gains: Series) -> float:
    """How many independent trials `count` related ones are worth: r + (1 - r) N.

    Bailey & Lopez de Prado (2014), eq. 9, with r the mean correlation of the candidates' gains
    over the random walk, which cannot be below 0 here. Settings of one kind of model resemble
    each other more than different kinds do, so this counts rather too many.

    Args:
        count: trials, N.
        gains: per period and candidate, finite, shape [T, M]; r is 0 for M below 2.
    """
    varying = gains[:, ~does_not_vary(gains.var(axis=0), gains)] if gains.size else gains
    if varying.shape[1] < 2:
        return float(count)
    correlations: Series = np.asarray(np.corrcoef(varying.T))
    mean = float(correlations[np.triu_indices(len(correlations), 1)].mean())
    share = min(max(mean, 0.0), 1.0)
    return share + (1 - share) * count


def deflated_p_value(p_value: float, trials: float) -> float:
    """Chance that the best of so many independent trials shows such a p-value (Sidak, 1967)."""
    return float(-np.expm1(trials * np.log1p(-min(p_value, 1.0)))) if p_value < 1 else p_value


def deflated_accounts(
    accounts: Mapping[str, Mapping[int, Backtest]], trials: int
) -> dict[str, dict[int, Backtest]]:
    """The accounts with the probability that their Sharpe ratio is above 0, trials counted.

    Of the searched settings only the number is known, not their ratios. Their variance is taken
    to be that of the candidates' ratios, but at least 1 / (T - 1), which independent trials
    without any worth have.

    Args:
        accounts: per challenger and delay.
        trials: configurations tried over all challengers.
    """
    ratios = [by_delay[JUDGED_DELAY].daily_sharpe for by_delay in accounts.values()]
    known = [ratio for ratio in ratios if np.isfinite(ratio)]
    spread = float(np.var(known, ddof=1)) if len(known) > 1 else 0.0
    return {
        name: {
            delay: replace(
                account,
                deflated_sharpe=deflated_sharpe(
                    account.daily_sharpe,
                    observations=account.days,
                    trials=trials,
                    trial_variance=max(spread, 1 / max(account.days - 1, 1)),
                    skew=account.skew,
                    kurtosis=account.kurtosis,
                ),
            )
            for delay, account in by_delay.items()
        }
        for name, by_delay in accounts.items()
    }
