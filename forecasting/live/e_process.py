"""Wealth of bets against a hypothesis: an e-process, evidence that may be looked at any time.

A payoff is a number that is at least -1 and whose expectation, given all that came before it, is at
most 0 while the hypothesis holds. Who stakes a part of a fortune of 1 on each has, while it holds,
a fortune that is a supermartingale, so it reaches 1/alpha at any time with a chance of at most alpha
(Ville 1939). Whoever it has made rich has evidence (Shafer 2021; Waudby-Smith & Ramdas 2024, sec. 4).
"""

from typing import Final

import numpy as np

from forecasting.arrays import Floats
from forecasting.errors import InvalidInput

STAKES: Final = (0.3, 0.9)
"""Parts of the fortune that are staked side by side: a small one for a faint effect, a large one for
a plain one (a hedge over a grid, Waudby-Smith & Ramdas 2024, sec. 4.2.3)."""

RENEWAL: Final = 0.004
"""Part of the fortune that is shared out anew over the stakes after each bet, so that long good years
do not use up what a later change is bet on (Herbster & Warmuth 1998, "fixed share")."""

_ROUNDING: Final = 1e-9


def wealth(payoffs: Floats, lag: int = 1) -> Floats:
    """Fortune after each payoff, when 1 was staked from the beginning.

    A forecast of `lag` bars ahead pays `lag` bars later, while others have been made. So there are
    `lag` fortunes of 1/lag, each of which bets again only after its last bet has paid: every lag-th
    payoff (Henzi & Ziegel 2022, sec. 3.3). While the others' bets are open their stakes count as
    lost, for whoever may stop at any time would otherwise stop where open bets look bad: the sum is
    at most a supermartingale of all that is known, and so an e-process, not only at every lag-th bar.

    Args:
        payoffs: [T] in the order of their bars; each is at least -1 and was a bet whose terms were
            known before its bar; NaN where there was none.
        lag: bars from a bet to its payoff.

    Returns:
        [T], never negative; after payoff i, when nothing else was known than payoffs up to i.

    Raises:
        InvalidInput: a payoff is below -1.
    """
    paid = np.where(np.isnan(payoffs), 0.0, payoffs)
    if len(paid) and paid.min() < -1 - _ROUNDING:
        raise InvalidInput(
            "a bet loses no more than what is staked on it",
            f"a payoff of {paid.min():.3g}",
            "Divide the payoffs by the most that can be lost",
        )
    stakes = np.asarray(STAKES)
    factors = np.maximum(1 + paid[:, None] * stakes, 0.0)
    shares = np.full((lag, len(stakes)), 1 / (lag * len(stakes)))
    # One bar is paid before the next bet is made: nothing is open then.
    kept = 1 - stakes if lag > 1 else np.ones(len(stakes))
    counted = shares @ kept
    path = np.empty(len(paid))
    for number, factor in enumerate(factors):
        own = number % lag
        fortunes = shares[own] * factor
        total = fortunes.sum()
        shares[own] = (1 - RENEWAL) * fortunes + RENEWAL * total / len(stakes)
        counted[own] = total
        path[number] = counted.sum()
        counted[own] = shares[own] @ kept
    return path
