"""A universe of survivors is found unless its choice is declared."""

import pandas as pd

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
    assert not found.leaks
    assert "1 of them ended" in found.found


def test_dropping_delisted_symbols_is_caught_unless_it_is_declared():
    prices = universe([500, 500, 200])
    assert "S02" in check_survivorship(prices, {"S00", "S01"}).found
    assert check_survivorship(prices, {"S00", "S01"}).leaks
    declared = check_survivorship(prices, {"S00", "S01"}, declared="chosen by hand in 2026")
    assert not declared.leaks
    assert "chosen by hand in 2026" in declared.found


def test_dropping_active_symbols_is_allowed():
    prices = universe([500, 500, 200])
    assert not check_survivorship(prices, {"S00", "S02"}).leaks


def test_too_many_survivors_are_caught_but_indices_and_currencies_cannot_end():
    lives = [2_600] * 35
    shares = universe(lives)
    assert "nobody declares" in check_survivorship(shares, set(shares["symbol"])).found
    few = shares[shares["symbol"] < "S20"].reset_index(drop=True)
    assert not check_survivorship(few, set(few["symbol"])).leaks
    pairs = shares.assign(symbol=shares["symbol"].str.replace("S", "^IX"))
    assert not check_survivorship(pairs, set(pairs["symbol"])).leaks
