"""Whether coverage in calm and storm lies outside a band, beyond what chance would do.

A test against 90 % itself finds any deviation once a panel is large enough, however small it is.
What matters to a reader is one that is larger than the pooled coverage may have.
"""

import numpy as np

from forecasting.evaluation.conditional_coverage import NOMINAL, ConditionalCoverage
from forecasting.stats.significance import holm


def outside_band(
    found: ConditionalCoverage, band: tuple[float, float]
) -> tuple[list[float], list[float]]:
    """P-values that every cell's coverage lies within a band, and every gap within its width.

    Args:
        found: coverage by third and horizon.
        band: lowest and highest coverage that is accepted, around 90 %.

    Returns:
        P-values of the cells and of the gaps, in their order, after Holm's correction over both;
        NaN where there are too few instants to say.
    """
    low, high = band
    width = high - low
    p_values = [
        interval_p_value(
            cell.coverage, band, cell.error * _relative_error(cell.coverage, band), cell.freedom
        )
        for cell in found.cells
    ] + [interval_p_value(gap.gap, (-width, width), gap.error, gap.freedom) for gap in found.gaps]
    adjusted = holm(p_values)
    return adjusted[: len(found.cells)], adjusted[len(found.cells) :]


def interval_p_value(
    estimate: float, interval: tuple[float, float], error: float, freedom: float
) -> float:
    """P-value that a parameter lies within an interval, ends included (Student's t).

    The least favourable parameter of the interval is its end nearest to the estimate: the chance
    there of an estimate as far outside, on either side. It is the one-sided p-value against that
    end where the interval is wide beside the error, and the two-sided one where it is a point.

    Args:
        estimate: of the parameter.
        interval: its lower and upper end.
        error: standard error of the estimate at the nearer end.
        freedom: degrees of freedom of the error.
    """
    from scipy.special import stdtr

    low, high = interval
    if not np.isfinite(error):
        return float("nan")
    if low <= estimate <= high:
        return 1.0
    outside = max(low - estimate, estimate - high) / error
    return float(stdtr(freedom, -outside) + stdtr(freedom, -outside - (high - low) / error))


def _relative_error(coverage: float, band: tuple[float, float]) -> float:
    """Standard error of a share at the nearer end of the band over that at 90 %."""
    end = min(band, key=lambda end: abs(end - coverage))
    return float(np.sqrt(end * (1 - end) / (NOMINAL * (1 - NOMINAL))))
