"""The pooled recursion against an independent library, on symbols it knows and on others."""

import numpy as np
import pandas as pd
import pytest
from arch import arch_model
from arch.univariate import StudentsT
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from forecasting.errors import InvalidSettings
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.variance import state_names
from forecasting.models.garch import Garch, _loss, _parameters, fit_garch
from forecasting.models.quantiles import KNOTS
from forecasting.schema import PRICE_COLUMNS

DECAYS = (0.85, 0.9, 0.94)
SPEC = FeatureSpec(variance=(1,), decays=DECAYS)
TRUE = {"alpha[1]": 0.03, "gamma[1]": 0.1, "beta[1]": 0.9, "nu": 6.0}
BARS = 6_000


def twin(returns):
    """The library's recursion of zero mean on returns in per cent."""
    return arch_model(100 * returns, mean="Zero", p=1, o=1, q=1, dist="t", rescale=False)


def simulated(bars, seed, level=0.015):
    """Returns of the true recursion, made by the library."""
    model = arch_model(None, mean="Zero", p=1, o=1, q=1, dist="t")
    model.distribution = StudentsT(seed=np.random.default_rng(seed))
    omega = (100 * level) ** 2 * (1 - 0.03 - 0.05 - 0.9)
    made = model.simulate([omega, *TRUE.values()], bars, burn=1_000)
    return made["data"].to_numpy() / 100


def prices_of(returns, symbol="AAA"):
    """Bars of closes alone."""
    close = 100 * np.exp(np.cumsum(returns))
    stamps = pd.date_range("2000-01-03 21:00", periods=len(returns), freq="B", tz="UTC")
    frame = pd.DataFrame(
        {"symbol": symbol, "timestamp": stamps.as_unit("ns"), "volume": 1_000.0}
        | dict.fromkeys(("open", "high", "low", "close"), close)
        | {"dividend": 0.0, "split": 1.0, "session": stamps.tz_localize(None).normalize()}
    )
    return frame[list(PRICE_COLUMNS)]


def state_of(returns):
    """Logs of the state's variances over the squared scale, and the scale, of usable rows."""
    table = build_features(prices_of(returns), SPEC)
    columns = [table.names.index(name) for name in state_names(DECAYS)]
    rows = np.flatnonzero(table.usable)
    return table.values[np.ix_(rows, columns)], table.scale[rows], rows


@pytest.fixture(scope="module")
def returns():
    return simulated(BARS, seed=1)


def test_forecasts_are_those_of_the_librarys_recursion_with_the_same_parameters(returns):
    x, scale, rows = state_of(returns)
    garch = Garch(beta=0.9, weight=0.8, leverage=0.625, degrees=6.0, columns=(0, 3, 4))
    assert (garch.alpha, garch.gamma) == pytest.approx((0.03, 0.1))
    assert garch.persistence == pytest.approx(0.98)
    found = scale[:, None] ** 2 * np.exp(2 * garch.predict(x))
    for place in (800, 2_500, len(rows) - 1):
        end = rows[place] + 1
        long_run = np.mean(returns[end - 252 : end] ** 2)
        parameters = [1e4 * long_run * (1 - garch.persistence), *TRUE.values()]
        fixed = twin(returns[1:end]).fix(parameters)
        ahead = fixed.forecast(horizon=30, reindex=False).variance.to_numpy()[-1] / 1e4
        expected = [ahead[:horizon].mean() for horizon in KNOTS]
        assert found[place] == pytest.approx(expected, rel=1e-5)


def test_the_likelihood_is_the_librarys_and_its_gradient_that_of_differences():
    random = np.random.default_rng(3)
    variances, returns = np.exp(random.normal(size=(500, 3))), random.standard_t(5, 500)
    for point in np.array([[2.0, 0.3, 1.2], [-1.0, -2.0, 3.0], [0.0, 4.0, -1.0]]):
        weight, leverage, degrees = _parameters(point)
        garch = Garch(0.9, weight, leverage, degrees, (0, 1, 2))
        variance = variances @ garch.weights[:, 0]
        loss, gradient = _loss(point, variances, returns**2)
        expected = -StudentsT().loglikelihood([degrees], returns, variance) / 500
        assert loss == pytest.approx(expected)
        slopes = approx_fprime(point, lambda at: _loss(at, variances, returns**2)[0], 1e-6)
        assert gradient == pytest.approx(slopes, abs=1e-5)


def test_the_estimate_on_one_long_history_is_near_the_librarys_and_near_the_truth(returns):
    x, scale, rows = state_of(returns)
    z = returns[rows[:-1] + 1] / scale[:-1]
    garch = fit_garch(x[:-1], z, state_names(DECAYS))
    library = twin(returns).fit(disp="off").params
    assert garch.beta == 0.9
    for own, name in ((garch.alpha, "alpha[1]"), (garch.gamma, "gamma[1]")):
        assert own == pytest.approx(library[name], abs=0.02)
        assert own == pytest.approx(TRUE[name], abs=0.03)
    both = library["alpha[1]"] + library["gamma[1]"] / 2 + library["beta[1]"]
    # A long run that is estimated anew each year takes some of the persistence.
    assert garch.persistence == pytest.approx(both, abs=0.02)
    assert garch.degrees == pytest.approx(library["nu"], rel=0.15)


def test_a_symbol_that_was_not_learned_from_is_forecast_as_well(returns):
    x, scale, rows = state_of(returns)
    garch = fit_garch(x[:-1], returns[rows[:-1] + 1] / scale[:-1], state_names(DECAYS))
    other = simulated(3_000, seed=9, level=0.04)
    x, scale, rows = state_of(other)
    parameters = [16 * (1 - 0.98), *TRUE.values()]
    true = twin(other).fix(parameters).conditional_volatility[rows[1:]] / 100
    told = scale[:-1] * np.exp(garch.predict(x)[:-1, 0])
    assert np.corrcoef(np.log(told), np.log(true))[0, 1] > 0.93
    assert np.std(np.log(told / true)) < 0.7 * np.std(np.log(scale[:-1] / true))


@given(
    beta=st.floats(0.5, 0.99),
    weight=st.floats(1e-3, 0.999),
    leverage=st.floats(1e-3, 0.999),
    variance=st.floats(-8.0, 8.0),
    more=st.floats(0.0, 3.0),
)
def test_a_variance_at_its_long_run_stays_and_more_of_any_part_never_means_less(
    beta, weight, leverage, variance, more
):
    garch = Garch(beta, weight, leverage, 5.0, (0, 1, 2))
    assert garch.alpha >= 0 <= garch.gamma
    assert garch.persistence < 1
    level = np.array([[variance, variance, variance - np.log(2)]], dtype=np.float32)
    assert garch.predict(level) == pytest.approx(np.full((1, len(KNOTS)), variance / 2), abs=1e-5)
    for part in range(3):
        raised = level.copy()
        raised[0, part] += np.float32(more)
        assert (garch.predict(raised) >= garch.predict(level) - 1e-12).all()


def test_of_a_large_panel_every_so_many_rows_are_taken(monkeypatch):
    random = np.random.default_rng(5)
    x = random.normal(size=(900, 3)).astype(np.float32)
    z = random.standard_t(5, 900) * np.exp(0.5 * x[:, 1])
    names = state_names((0.9,))
    monkeypatch.setattr("forecasting.models.garch._MOST_ROWS", 300)
    chosen = np.linspace(0, 899, 300).astype(int)
    assert fit_garch(x, z, names) == fit_garch(x[chosen], z[chosen], names)


def test_features_without_the_state_are_refused_with_the_remedy():
    x, z = np.zeros((5, 2), np.float32), np.ones(5)
    with pytest.raises(InvalidSettings, match="FeatureSpec"):
        fit_garch(x, z, ("variance_ratio_1", "squared_return_ratio_252"))


def test_returns_without_a_likelihood_are_refused():
    x, z = np.zeros((5, 3), np.float32), np.full(5, np.nan)
    with pytest.raises(InvalidSettings, match="undefined on 5 rows"):
        fit_garch(x, z, state_names((0.9,)))
