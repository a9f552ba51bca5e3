"""Yardsticks know no more than they may, and widths are compared at the same coverage."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.variance_trials import Panel, learnable
from benchmarks.honesty.width_yardsticks import EXPERIMENT, HORIZONS, width_at_equal_coverage
from benchmarks.honesty.yardsticks import GJR, HAR, LAGS, YARDSTICKS, forecasts, widths
from forecasting.models.cross_validation import walk_forward
from forecasting.models.quantiles import KNOTS
from forecasting.testing import planted_forecasts


@pytest.fixture(scope="module")
def market():
    return learnable(Panel("gjr", ("har",), 2, 1_500, np.random.SeedSequence(4)))


@pytest.fixture(scope="module")
def steps(market):
    return walk_forward(market.examples.timestamps, market.examples.codes, folds=2)


@pytest.mark.parametrize("kind", YARDSTICKS)
def test_a_yardsticks_width_does_not_change_with_later_bars(market, steps, kind):
    examples = market.examples
    before = widths(kind, examples, steps)
    step = steps[0]
    cut = (step.test_start + step.test_stop) // 2
    later = examples.timestamps >= cut
    returns = examples.returns.copy()
    returns[later] *= 3
    changed = replace(
        examples,
        returns=returns,
        x=np.where(later[:, None], examples.x + 1, examples.x),
        log_widths=np.where(later[:, None], examples.log_widths + 1, examples.log_widths),
    )
    after = widths(kind, changed, steps)
    earlier = step.test[~later[step.test]]
    assert np.isfinite(before[earlier]).all()
    np.testing.assert_allclose(after[earlier], before[earlier], rtol=1e-6, atol=1e-9)
    assert not np.allclose(after[step.test], before[step.test])


def test_the_garch_follows_its_own_recursion_through_the_test_span(market, steps):
    from arch import arch_model

    examples, step = market.examples, steps[0]
    found = widths(GJR, examples, [step])
    own = np.flatnonzero(examples.codes == 0)
    test = step.test[examples.codes[step.test] == 0]
    known = int(np.searchsorted(own, test[0]))
    returns = examples.returns[own, 0].astype(np.float64)
    unit = returns[: known - 1].std()
    fitted = arch_model(
        returns[: known - 1] / unit, mean="Zero", p=1, o=1, q=1, dist="t", rescale=False
    ).fit(disp="off")
    omega, alpha, gamma, beta = (
        fitted.params[name] for name in ("omega", "alpha[1]", "gamma[1]", "beta[1]")
    )
    variance = fitted.conditional_volatility[-1] ** 2
    for place in range(known - 1, known + 20):  # the return that each row is the first to know
        before = returns[place - 1] / unit
        variance = omega + (alpha + gamma * (before < 0)) * before**2 + beta * variance
        if place < known:
            continue
        row, rest = own[place], alpha + gamma / 2 + beta
        after = returns[place - 1] / unit
        assert after == before
        ahead = [variance]
        for _ in range(KNOTS[-1] - 1):
            ahead.append(omega + rest * ahead[-1])
        for knot, horizon in enumerate(KNOTS):
            deviation = unit * np.sqrt(np.sum(ahead[:horizon]) / horizon)
            assert found[row, knot] == pytest.approx(
                np.log(deviation / examples.scale[row]), abs=1e-4
            )


def test_the_har_is_ordinary_least_squares_per_symbol(market, steps):
    examples, step = market.examples, steps[1]
    found = widths(HAR, examples, [step])
    for code in range(2):
        train = step.train[examples.codes[step.train] == code]
        test = step.test[examples.codes[step.test] == code]
        columns = [examples.names.index(f"variance_ratio_{lag}") for lag in LAGS]
        square = 2 * np.log(examples.scale)
        for knot in (0, 7):
            target = 2 * examples.log_widths[train, knot].astype(np.float64) + square[train]
            rows = {
                name: sm.add_constant(
                    examples.x[place][:, columns].astype(np.float64) + square[place, None]
                )
                for name, place in (("train", train), ("test", test))
            }
            fit = sm.OLS(target, rows["train"]).fit()
            expected = (fit.predict(rows["test"]) - square[test]) / 2
            np.testing.assert_allclose(found[test, knot], expected, atol=1e-6)


def test_on_a_garch_market_the_garch_narrows_intervals_and_holds_ninety_percent(market):
    own = forecasts(GJR, market.examples, folds=4)
    inside = (own.realised[:, 0] >= own.quantiles[:, 0, 0]) & (
        own.realised[:, 0] <= own.quantiles[:, 0, -1]
    )
    assert 0.87 < inside[np.isfinite(own.realised[:, 0])].mean() < 0.93
    assert own.kind == GJR
    assert np.isfinite(own.log_width).all()


def test_stretching_all_intervals_alike_does_not_change_their_width_at_equal_coverage():
    plain = planted_forecasts(signal=0, candidates=(), symbols=2, periods=300)["random_walk"]
    wider = replace(plain, quantiles=plain.quantiles * np.float32(1.7))
    for horizon in (1, 10):
        width = width_at_equal_coverage(plain, horizon)
        assert width_at_equal_coverage(wider, horizon) == pytest.approx(width, rel=1e-5)
        half = width * 0.01 / 2  # the planted scale never moves
        held = np.abs(plain.realised[:, horizon - 1]) <= half
        assert held.mean() == pytest.approx(0.9, abs=0.002)


def test_a_small_run_compares_all_on_the_same_rows():
    outcome = EXPERIMENT.run("small", Workers(), 0)
    (found,) = outcome.data.values()
    assert set(found) == {"har", "random_walk", *YARDSTICKS}
    null = found["random_walk"]
    assert null["sharpness"] == [1.0] * len(HORIZONS)
    assert null["qlike"] == [0.0] * len(HORIZONS)
    assert null["calm"][0] < null["storm"][0]
    for width in found.values():
        assert 0.85 < width["coverage"] < 0.95
        assert len(width["calm"]) == len(width["storm"]) == len(HORIZONS)
