"""Columns that hold a coming return are found in every stratum; honest ones pass."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.leakage.echo import _correlations, _needed, _standardised, check_echo
from tests.unit.forecasting.leakage.test_checks import PRICES, TABLE, describe, label
from tests.unit.panels import panel

YEARS = panel(bars=1_500)
OF_YEARS = describe(YEARS)
RETURNS = label(YEARS)


def test_a_column_that_holds_a_coming_return_is_caught_without_asking_its_function():
    returns = label(PRICES)
    assert not check_echo(TABLE, returns).leaks
    values = TABLE.values.copy()
    values[:, 5] = returns[:, 2] - returns[:, 1]
    found = check_echo(replace(TABLE, values=values), returns)
    assert found.leaks
    assert f"{TABLE.names[5]} with the bar 3 ahead" in found.found


@pytest.mark.parametrize(
    ("where", "told"),
    [
        pytest.param(YEARS["session"].dt.weekday == 0, "Mondays", id="on Mondays"),
        pytest.param(YEARS["session"].dt.day <= 3, "days 1 to 3", id="first days of a month"),
        pytest.param(YEARS["session"] < "2022-06-01", "eighth", id="old bars"),
        pytest.param(YEARS["session"].dt.month == 3, "March", id="in March"),
        pytest.param(YEARS["symbol"] == "BBB", "of BBB", id="one symbol"),
    ],
)
def test_a_coming_return_in_one_stratum_is_found_and_its_stratum_told(where, told):
    values = OF_YEARS.values.copy()
    column = OF_YEARS.names.index("overnight_gap")
    values[:, column] = np.where(where, RETURNS[:, 0], values[:, column])
    found = check_echo(replace(OF_YEARS, values=values), RETURNS)
    assert found.leaks
    assert "overnight_gap with the bar 1 ahead" in found.found
    assert told in found.found


def test_few_instants_need_a_higher_correlation():
    needed = _needed(np.array([10, 30, 100, 100_000]))
    assert needed[0] == 1.0
    assert (np.diff(needed) < 0).all()
    assert needed[-1] == pytest.approx(0.7)


def test_correlations_are_those_of_numpy_within_every_stratum():
    random = np.random.default_rng(2)
    values = _standardised(random.normal(size=(400, 3)))
    coming = _standardised(random.normal(size=(400, 2)))
    strata = np.arange(400) % 4
    members = (strata == np.arange(4)[:, None]).astype(np.float32)
    found = _correlations(values, coming, lambda each: members @ each)
    for stratum in range(4):
        own = strata == stratum
        twin = np.corrcoef(values[own].T, coming[own].T)[:3, 3:]
        np.testing.assert_allclose(found[stratum], np.abs(twin), atol=1e-5)
