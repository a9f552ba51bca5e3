"""Widths of the textbook: GJR-GARCH with Student's t by `arch`, and HAR by ordinary least squares.

Neither is a candidate. Each is fitted per symbol on what lies before a fold, as one would without
this platform, and calibrated as candidates are; skill above theirs is what learning together adds.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.arrays import Floats, Rows

if TYPE_CHECKING:
    from forecasting.models.cross_validation import Fold
    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.models.training_set import Examples

GJR: Final = "gjr_garch_t"
HAR: Final = "har_ols"

LAGS: Final = (1, 5, 21)
"""Bars of the averages in the HAR: a day, a week, a month of daily bars (Corsi 2009)."""

LEAST_RETURNS: Final = 250
"""Returns a GARCH needs to be fitted; a symbol with fewer keeps the scale's width."""


def widths(kind: str, examples: "Examples", steps: "list[Fold]") -> Floats:
    """Logs [n, K] of a yardstick's widths over scale * sqrt(h) in the test spans; NaN elsewhere.

    Args:
        kind: a key of `YARDSTICKS`.
        examples: n rows, with features of variance.
        steps: the walk.
    """
    from forecasting.models.quantiles import KNOTS

    found = np.full((len(examples), len(KNOTS)), np.nan)
    for step in steps:
        for code in range(len(examples.symbols)):
            test = step.test[examples.codes[step.test] == code]
            if len(test):
                found[test] = YARDSTICKS[kind](examples, step, code, test)
    return found


def forecasts(kind: str, examples: "Examples", *, folds: int = 6) -> "OutOfSample":
    """Walk-forward forecasts of a yardstick, located at zero and calibrated as candidates are.

    Args:
        kind: a key of `YARDSTICKS`.
        examples: n rows, with features of variance.
        folds: test spans of the walk.
    """
    from forecasting.features.targets import SignalRule
    from forecasting.models.conformal import Schedule, recalibrate
    from forecasting.models.cross_validation import walk_forward
    from forecasting.models.walk_forward import forecasts_of
    from forecasting.schema import MAX_HORIZON

    steps = walk_forward(examples.timestamps, examples.codes, folds=folds)
    schedule = Schedule.of(examples.timestamps, examples.codes, steps, MAX_HORIZON)
    log_width = widths(kind, examples, steps)
    nowhere = np.zeros_like(log_width)
    calibrated = recalibrate(examples.standardised(), nowhere, steps, schedule, log_width)
    return forecasts_of(
        examples,
        schedule,
        calibrated,
        nowhere,
        log_width,
        kind=kind,
        params={},
        signal=SignalRule(),
    )


def gjr_garch(examples: "Examples", step: "Fold", code: int, test: Rows) -> Floats:
    """Logs of the widths [m, K] of one symbol's test rows by GJR-GARCH(1,1,1) with Student's t.

    Glosten, Jagannathan and Runkle (1993), fitted by `arch` on the symbol's returns before the
    test span; the variance of the next bars is what the fitted recursion expects at each row. A
    symbol with too few returns keeps the scale's width.

    Args:
        examples: all rows.
        step: the fold.
        code: the symbol.
        test: m rows of the symbol in the fold's test span, in time order.
    """
    from arch import arch_model

    from forecasting.models.quantiles import KNOT_COLUMNS, KNOTS

    own = np.flatnonzero(examples.codes == code)
    own = own[: int(np.searchsorted(own, test[-1])) + 1]
    # Rows before the test span: as many returns as are known at its first row.
    known = int(np.searchsorted(examples.timestamps[own], step.test_start))
    if known <= LEAST_RETURNS:
        return np.zeros((len(test), len(KNOTS)))
    returns = examples.returns[own[:-1], 0].astype(np.float64)  # the last is known at own[-1]
    unit = float(np.std(returns[: known - 1]))  # the optimiser wants returns of the order of 1
    model = arch_model(
        returns / unit, mean="Zero", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False
    )
    result = model.fit(last_obs=known - 1, disp="off", show_warning=False)
    ahead = result.forecast(horizon=KNOTS[-1], start=known - 1, reindex=False).variance
    total = np.cumsum(ahead.to_numpy(), axis=1)[:, KNOT_COLUMNS] * unit**2
    logs: Floats = 0.5 * np.log(total / (examples.scale[test, None] ** 2 * np.array(KNOTS)))
    return logs


def har(examples: "Examples", step: "Fold", code: int, test: Rows) -> Floats:
    """Logs of the widths [m, K] of one symbol's test rows by a log-linear HAR.

    Corsi (2009): the log of the realised variance over the next h bars by ordinary least squares on
    the logs of its means over the last bar, week and month. Arguments as of `gjr_garch`.
    """
    columns = [examples.names.index(f"variance_ratio_{lag}") for lag in LAGS]
    log_scale = np.log(examples.scale)
    past = examples.x[:, columns].astype(np.float64) + 2 * log_scale[:, None]
    regressors = np.column_stack([np.ones(len(past)), past])
    target = 2 * (examples.log_widths.astype(np.float64) + log_scale[:, None])
    train = step.train[examples.codes[step.train] == code]
    train = train[np.isfinite(target[train]).all(axis=1)]
    slopes, *_ = np.linalg.lstsq(regressors[train], target[train])
    logs: Floats = regressors[test] @ slopes / 2 - log_scale[test, None]
    return logs


YARDSTICKS: Final[dict[str, Callable[..., Floats]]] = {GJR: gjr_garch, HAR: har}
"""Names of the yardsticks -> the widths of one symbol's rows in one test span."""
