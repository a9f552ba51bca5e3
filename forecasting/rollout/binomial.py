"""Binomial laws by which a canary is judged: tails at one look, and tests for any number of looks.

The server that steers rollouts carries no scipy.
"""

import math
from typing import Final

_NORMAL_FROM: Final = 500.0
"""Variance from which the normal law stands in for the binomial one."""


def at_least(hits: int, trials: int, share: float) -> float:
    """Chance of so many hits or more, by the binomial law: scipy's binom.sf(hits - 1, ...)."""
    if hits <= 0:
        return 1.0
    if share <= 0 or hits > trials:
        return 0.0
    if share >= 1:
        return 1.0
    variance = trials * share * (1 - share)
    if variance > _NORMAL_FROM:
        return 0.5 * math.erfc((hits - 0.5 - trials * share) / math.sqrt(2 * variance))
    log, other = math.log(share), math.log1p(-share)
    whole = math.lgamma(trials + 1)
    terms = (
        whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * log + (trials - k) * other
        for k in range(hits, trials + 1)
    )
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def within(hits: int, trials: int, share: float, alpha: float) -> bool:
    """Whether so many hits are no surprise when each trial hits with this chance, two-sided."""
    above = at_least(hits, trials, share)
    below = at_least(trials - hits, trials, 1 - share)
    return min(above, below) >= alpha / 2


def log_evidence(hits: int, misses: int, share: float) -> float:
    """Logarithm of the evidence that hits come with a larger chance than this share.

    The likelihood of the trials, averaged over every larger chance alike, against that of `share`.
    While no trial's chance given those before exceeds `share` it is a supermartingale that begins
    at 1, so it reaches 1/alpha at any time with a chance of at most alpha, however often one looks
    (Ville 1939; Robbins 1970, "Statistical methods related to the law of the iterated logarithm").

    Args:
        hits: trials that hit so far.
        misses: trials that did not.
        share: the largest chance of a hit under the hypothesis, above 0 and below 1.
    """
    # The integral of p^hits (1 - p)^misses from `share` to 1 is an incomplete beta function, which
    # for whole numbers is a binomial tail: of at most so many hits, as so many misses or more, for
    # one minus its complement would lose all digits where hits are few.
    above = at_least(misses + 1, hits + misses + 1, 1 - share)
    if above <= 0.0:
        return -math.inf
    whole = math.lgamma(hits + 1) + math.lgamma(misses + 1) - math.lgamma(hits + misses + 2)
    likelihood = hits * math.log(share) + (misses + 1) * math.log1p(-share)
    return whole + math.log(above) - likelihood
