"""Anytime-valid p-values: a test that is repeated as data grow, held to one level over all repetitions.

A fixed-sample test at 5 % that is asked again every week is wrong at least once more often than in
5 % of cases. Robbins & Siegmund (1970) weigh a sum S_n of mean 0 and variance n, first looked at after
m observations, by a mixture of likelihood ratios with the density u^q of the mean u > 0 in units of
1 / sqrt(m):

    U_n = r^(-(q+1)/2) h(t),   h(t) = int_0^inf u^q exp(u t - u^2 / 2) du,   t = S_n / sqrt(n),  r = n / m

U_n is a martingale from m on while the mean is 0, or a supermartingale while it is below, so the
chance that it ever reaches h(a) is at most

    P(Z >= a) + E[h(Z); Z < a] / h(a),   Z standard normal,

exactly that for a Brownian motion. With q = 0 this is the normal mixture with a delayed start; a
larger q spends more of the level on the first looks and less on those after the data have multiplied.
For sums of dependent terms with an estimated variance it holds asymptotically, with t the normal
quantile of the fixed-sample p-value (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024; Bibaut,
Kallus & Lindon 2022, section 3, on delayed starts).
"""

from math import exp, isnan, log, pi, sqrt
from typing import Final

from forecasting.errors import InvalidInput

POWER: Final = 16
"""q: at 5 % the first look needs a one-sided t of 1.88 where a single one needs 1.64. A larger q finds
no more within a year of weekly looks at 1,500 daily losses, and less after five years."""

_STEPS: Final = 200


def anytime_p_value(p_value: float, growth: float, *, power: int = POWER) -> float:
    """The p-value that may be looked at again and again while data grow.

    Over all looks from the first one on, the chance that it is ever below a level is at most that level
    while the hypothesis holds, however many looks there are and whenever one stops.

    Args:
        p_value: one-sided, of all data so far, as if this were the only look; may be NaN.
        growth: how many times as many observations there are as at the first look, r; at least 1.
        power: q of the module's formula, at least 0.

    Returns:
        Never below `p_value`; 1 where the evidence does not point the way that is tested, NaN for NaN.

    Raises:
        InvalidInput: there are fewer observations than at the first look.
    """
    from scipy.special import ndtri

    if not growth >= 1:
        raise InvalidInput(
            "a look after the first has at least as many observations",
            f"{growth:g} times as many",
            "Give the number of observations of the first look",
        )
    if isnan(p_value):
        return p_value
    if p_value <= 0:
        return 0.0
    statistic = -float(ndtri(min(p_value, 1.0)))
    if statistic <= 0:
        return 1.0
    reached = _log_mixture(statistic, power) - (power + 1) / 2 * log(growth)
    low, high = 0.0, statistic
    if reached <= _log_mixture(low, power):
        return 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _log_mixture(middle, power) < reached:
            low = middle
        else:
            high = middle
        if high - low <= 1e-12 * high:
            break
    return _ever_reached(high, power)


def _ever_reached(start: float, power: int) -> float:
    """Chance that the mixture ever reaches what a statistic of `start`, at least 0, is at the first look.

    E[h(Z); Z < a] = E[(a - Z)_+^(q+1)] / (q + 1), and h(a) phi(a) = E[(a + Z)_+^q], phi the density.
    """
    from scipy.special import ndtr

    density = exp(-(start**2) / 2) / sqrt(2 * pi)
    later = _moment(start, power + 1) / ((power + 1) * _moment(start, power))
    return min(1.0, float(ndtr(-start)) + density * later)


def _log_mixture(statistic: float, power: int) -> float:
    """Log of h(t), for t of at least 0."""
    return log(_moment(statistic, power)) + statistic**2 / 2 + log(2 * pi) / 2


def _moment(shift: float, order: int) -> float:
    """E[(a + Z)_+^k] by its recursion M_k = a M_(k-1) + (k-1) M_(k-2); stable for a of at least 0."""
    from scipy.special import ndtr

    before = float(ndtr(shift))
    moment = shift * before + exp(-(shift**2) / 2) / sqrt(2 * pi)
    if order == 0:
        return before
    for place in range(2, order + 1):
        before, moment = moment, shift * moment + (place - 1) * before
    return moment
