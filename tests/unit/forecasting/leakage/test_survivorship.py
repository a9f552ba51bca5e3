"""A universe of survivors is found, in its bars or in what its source declares."""

import pandas as pd
import pytest

from forecasting.leakage.survivorship import check_survivorship
from tests.unit.panels import walk


def universe(lives):
    return pd.concat(
        [walk(f"S{number:02d}", bars, seed=number) for number, bars in enumerate(lives)],
        ignore_index=True,
    )


def test_a_universe_with_delisted_symbols_passes():
    prices = universe([500, 500, 200])
    found = check_survivorship(prices, set(prices["symbol"]))
    assert not found.hindsight
    assert "1 of them ended" in found.found


@pytest.mark.parametrize(
    ("declared", "hindsight", "expected"),
    [
        ("", None, True),
        ("named for this run", None, True),
        ("failures included", False, False),
        ("chosen by hand in 2026", True, True),
    ],
)
def test_dropping_delisted_symbols_is_hindsight_unless_its_absence_is_declared(
    declared, hindsight, expected
):
    prices = universe([500, 500, 200])
    found = check_survivorship(prices, {"S00", "S01"}, declared=declared, hindsight=hindsight)
    assert found.hindsight is expected
    assert not found.leaks  # it bars claims of a direction only
    assert (f"declared: {declared}" in found.found) is bool(declared)
    assert ("S02" in found.found) is (hindsight is None)


def test_declared_hindsight_is_believed_whatever_the_bars_show():
    prices = universe([500, 500, 200])
    found = check_survivorship(prices, set(prices["symbol"]), declared="winners", hindsight=True)
    assert found.hindsight
    assert found.found.endswith("; declared: winners")


def test_dropping_active_symbols_is_allowed():
    prices = universe([500, 500, 200])
    assert not check_survivorship(prices, {"S00", "S02"}).hindsight


def test_too_many_survivors_are_caught_but_indices_and_currencies_cannot_end():
    lives = [2_600] * 35
    shares = universe(lives)
    used = set(shares["symbol"])
    assert "nobody declares" in check_survivorship(shares, used).found
    named = check_survivorship(shares, used, declared="named for this run")
    assert named.hindsight
    assert "the chance of that is" in named.found
    assert "nobody declares" not in named.found
    few = shares[shares["symbol"] < "S20"].reset_index(drop=True)
    assert not check_survivorship(few, set(few["symbol"])).hindsight
    pairs = shares.assign(symbol=shares["symbol"].str.replace("S", "^IX"))
    assert not check_survivorship(pairs, set(pairs["symbol"])).hindsight
