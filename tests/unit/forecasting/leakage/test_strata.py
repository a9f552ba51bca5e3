"""Strata hold every row once; samples and cuts meet every venue, age and rare event."""

import numpy as np
import pandas as pd
import pytest

from forecasting.leakage.strata import (
    AGES,
    Levels,
    Rows,
    rare_bars,
    spread_rows,
    stratified_cuts,
)
from tests.unit.panels import panel, walk

VENUES = pd.concat(
    [
        walk("7203.T", 900, start="2020-01-01 06:00"),
        *(walk(f"U{each:02d}", 900, seed=each) for each in range(9)),
    ],
    ignore_index=True,
)
ROWS = Rows.of(VENUES)
RARE = rare_bars(ROWS, VENUES["split"].to_numpy())


def cuts_of(rows, seed=0, **options):
    given = {"windows": 4, "each": 2, "symbols": 3, "past": 20, **options}
    return stratified_cuts(rows, RARE[: len(rows.stamps)], np.random.default_rng(seed), **given)


def test_every_partition_holds_every_instant_once():
    levels = Levels.of_instants(np.unique(ROWS.stamps))
    members = levels.members()
    assert (members.sum(axis=0) == len(levels.of)).all()
    assert sum("eighth" in name for name in levels.names) == AGES


def test_weekdays_and_months_are_those_of_pandas():
    instants = np.unique(ROWS.stamps)
    levels = Levels.of_instants(instants)
    stamps = pd.DatetimeIndex(instants.view("datetime64[ns]"))
    for partition, twin in ((1, stamps.day_name() + "s"), (3, stamps.month_name())):
        assert [levels.names[each] for each in levels.of[partition]] == list(twin)


def test_a_symbol_that_closes_at_another_time_is_of_another_venue():
    assert ROWS.venues[ROWS.symbols.index("7203.T")] not in np.delete(
        ROWS.venues, ROWS.symbols.index("7203.T")
    )


@pytest.mark.parametrize("seed", range(20))
def test_every_window_of_cuts_holds_every_venue(seed):
    for cut in cuts_of(ROWS, seed):
        assert len(np.unique(ROWS.venues[list(cut.symbols)])) == 2


@pytest.mark.parametrize("seed", range(20))
def test_cuts_meet_every_rare_event_and_spread_over_weekdays_and_months(seed):
    cuts = cuts_of(ROWS, seed)
    weekdays = {pd.Timestamp(cut.instant).weekday() for cut in cuts}
    assert len(weekdays) >= 4
    months = {pd.Timestamp(cut.instant).month for cut in cuts}
    assert len(months) >= 5
    events = {kind for cut in cuts for kind in RARE[ROWS.stamps == cut.instant].tolist()}
    assert {1, 2} <= events
    assert all(ROWS.stamps.min() < cut.instant < ROWS.stamps.max() for cut in cuts)


def test_cuts_meet_more_symbols_the_more_windows_there_are():
    met = {symbol for cut in cuts_of(ROWS) for symbol in cut.symbols}
    assert len(met) >= 8


def test_a_sample_of_rows_holds_every_venue_and_both_ends_of_the_history():
    chosen = spread_rows(ROWS, 1_500, 5, 100, np.random.default_rng(1))
    part = ROWS.take(chosen)
    assert len(part.symbols) == 5
    assert "7203.T" in part.symbols
    assert len(np.unique(part.venues)) == 2
    edges = np.quantile(ROWS.stamps, (0.2, 0.8))
    assert part.stamps.min() < edges[0]
    assert part.stamps.max() > edges[1]


def test_rows_of_a_part_are_those_of_its_frame():
    chosen = spread_rows(ROWS, 800, 4, 100, np.random.default_rng(2))
    part, twin = ROWS.take(chosen), Rows.of(VENUES.iloc[chosen].reset_index(drop=True))
    assert part.symbols == twin.symbols
    np.testing.assert_array_equal(part.bounds, twin.bounds)
    np.testing.assert_array_equal(part.stamps, twin.stamps)
    np.testing.assert_array_equal(part.codes, twin.codes)


def test_bars_before_and_at_a_split_and_about_a_long_gap_are_rare():
    prices = panel(["AAA"], bars=400)
    prices = prices.drop(index=range(200, 230)).reset_index(drop=True)
    kinds = rare_bars(Rows.of(prices), prices["split"].to_numpy())
    assert kinds[119:121].tolist() == [1, 2]
    assert kinds[199:201].tolist() == [3, 4]
    assert (kinds > 0).sum() == 4
