"""What trainings of a data set before this one have spent: evidence is judged over all of them.

Every training of a data set asks the same question again, with a few more bars. A p-value that holds
for one training is turned into one that holds over all of them (`forecasting.stats.anytime`), and
what other configurations were weighed before counts as trials (`multiple_testing`).

Test spans cover the last part of the history, so that with more bars both ends of the out-of-sample
periods move, and the mean loss forgets faster than that of a sum which only grows. With a share f of
the history before the first span, the statistics of trainings whose periods are as 1 to 1 + d have the
correlation 1 - d (1 + f) / (2 (1 - f)) for small d, where a growing sum has 1 - d / 2. So the growth
of the periods counts to the power (1 + f) / (1 - f), at which both are alike.
"""

from dataclasses import dataclass
from typing import Final

from forecasting.models.cross_validation import INITIAL
from forecasting.stats.anytime import anytime_p_value

_FORGETS: Final = (1 + INITIAL) / (1 - INITIAL)


@dataclass(frozen=True)
class Lifetime:
    """Trainings of the same data set before this one; the defaults say that there was none.

    Attributes:
        first_periods: out-of-sample periods of the first of them; 0 if there was none.
        trials: configurations weighed in them, and in none of this training's candidates; each counts
            with the settings that a search tried for it.
        since: ISO date of the first of them, UTC; "" if there was none.
    """

    first_periods: int = 0
    trials: int = 0
    since: str = ""

    def p_value(self, p_value: float, periods: int) -> float:
        """A p-value of this training alone as one over all trainings; see `anytime_p_value`.

        Fewer periods than at first, as of a training that leaves later bars out, count as so many
        times more: by time inversion a mean forgets alike in both directions.

        Args:
            p_value: one-sided, as if there had been no other training; may be NaN.
            periods: out-of-sample periods behind it, at least 1.
        """
        first = self.first_periods or periods
        growth = max(periods / first, first / periods) ** _FORGETS
        return anytime_p_value(p_value, growth)

    @property
    def words(self) -> str:
        """How many other configurations were weighed before and since when, for people."""
        if not self.since:
            return "none weighed before"
        trials = "1 other trial" if self.trials == 1 else f"{self.trials} other trials"
        return f"{trials if self.trials else 'no other trial'} in trainings since {self.since}"
