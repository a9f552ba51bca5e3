"""Which rows are reference and which are current."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from forecasting.drift.config import Look
from forecasting.drift.windows import (
    DriftPanel,
    answer_columns,
    answer_panel,
    answer_views,
    feature_panels,
    feature_views,
)
from forecasting.errors import InvalidInput
from forecasting.features.online import ServedFeatures
from forecasting.features.spec import FeatureSpec

DAY = 86_400 * 10**9
SPEC = FeatureSpec(symbols=("A", "B"))
NAMES = SPEC.names


def served(symbols=("A", "B", "C"), rows=(90, 0, 40)):
    """Features whose every value is its row number."""
    total = sum(rows)
    instant = datetime(2020, 1, 1, tzinfo=UTC)
    return ServedFeatures(
        spec=SPEC.to_dict(),
        spec_digest=SPEC.digest,
        snapshot_id="s",
        dataset="default",
        source="sample",
        interval="1d",
        replay=True,
        synthetic=False,
        fetched_at=instant,
        last_bar=instant,
        created_at=instant,
        symbols=symbols,
        offsets=np.concatenate(([0], np.cumsum(rows))),
        timestamps=np.concatenate([np.arange(n) * DAY for n in rows]).astype(np.int64),
        values=np.tile(np.arange(total, dtype=np.float32)[:, None], (1, len(NAMES))),
        close=np.ones(total),
        scale=np.ones(total),
        bars_held=np.array(rows),
        target_times=np.zeros((len(symbols), 30), dtype=np.int64),
    )


LEVEL, CHANGE = Look("level", 40), Look("change", 5, 20)


def a_reference(symbols, days):
    frame = pd.DataFrame(0.0, index=range(len(symbols) * len(days)), columns=list(NAMES))
    frame["symbol"] = np.repeat(symbols, len(days))
    frame["timestamp"] = pd.to_datetime(np.tile(days, len(symbols)) * DAY, utc=True)
    return frame


def views(reference, *looks):
    history, recent, notes = feature_panels(reference, served())
    seen, more = feature_views(history, recent, looks)
    return seen, (*notes, *more)


def first_column(sample):
    return sorted(sample.values[:, 0].tolist())


def test_current_rows_are_the_newest_of_every_symbol_that_has_as_many():
    (level,), notes = views(a_reference(["A", "C"], np.arange(-300, -1)), LEVEL)
    assert first_column(level.current) == [*range(50, 90)]
    assert level.current.names == NAMES
    assert len(level.reference) == 2 * 299
    # C's bars end 50 days before A's: it is not traded any more.
    assert notes == ()


def test_a_look_at_changes_holds_the_newest_bars_against_those_before():
    (change,), _ = views(a_reference(["A"], np.arange(-300, -1)), CHANGE)
    assert first_column(change.current) == [*range(85, 90)]
    assert first_column(change.reference) == [*range(65, 85)]
    assert len(change.history) == 299


def test_bars_that_are_judged_are_no_part_of_what_they_are_held_against():
    (level,), notes = views(a_reference(["A"], np.arange(-300, 90)), LEVEL)
    assert len(level.reference) == 300 + 50
    assert notes == (
        "1 symbols served but not in the champion's reference are not compared: C",
        (
            "the newest 40 bars reach into the champion's training span, whose 40 rows of those "
            "dates are left out of the reference"
        ),
    )


def test_symbols_of_one_side_only_are_left_out_and_named():
    history, recent, notes = feature_panels(a_reference(["A", "Z"], np.arange(9)), served())
    assert (history.symbols, recent.symbols) == (("A",), ("A",))
    assert notes == (
        "1 symbols served but not in the champion's reference are not compared: C",
        "1 symbols in the champion's reference but not served are not compared: Z",
    )


def test_no_common_symbol_is_refused():
    with pytest.raises(InvalidInput, match="served A, C; trained on Z"):
        feature_panels(a_reference(["Z"], np.arange(3)), served())


def test_windows_are_those_of_a_naive_loop():
    """Two calendars, a late start, an early end: each symbol's newest bars up to each end."""
    rng = np.random.default_rng(0)
    spans = {"A": np.arange(60), "B": np.arange(30, 60), "C": np.arange(0, 60, 2)}
    spans["D"] = np.arange(25)
    rows = [(name, day, rng.normal()) for name, days in spans.items() for day in days]
    rows = [rows[place] for place in rng.permutation(len(rows))]
    names, days, values = zip(*rows, strict=True)
    panel = DriftPanel.of_rows(names, days, np.array(values)[:, None], ("x",))
    look = Look("change", 3, 4)
    ends = np.arange(6, 60, 5)
    newest, before = panel.windows(ends, look)
    for place, end in enumerate(ends):
        wanted_new, wanted_old = [], []
        for name in spans:
            mine = sorted((day, x) for other, day, x in rows if other == name and day <= end)
            if len(mine) >= 7 and mine[-1][0] >= end - 2:
                wanted_new += [x for _, x in mine[-3:]]
                wanted_old += [x for _, x in mine[-7:-3]]
        for found, wanted in ((newest[place], wanted_new), (before[place], wanted_old)):
            assert sorted(panel.values[found[found >= 0], 0]) == sorted(wanted)


def a_forecast(day, symbol="A", median=101.0, horizon=5):
    return {
        "symbol": symbol,
        "as_of": day * DAY,
        "last_close": 100.0,
        "quantiles": [[90.0, 95.0, median, 105.0, 110.0]] * horizon,
        "probability_of_rise": [0.6] * horizon,
    }


def panel_of(forecasts):
    columns = {(f["as_of"], f["symbol"]): answer_columns(f, horizon=5) for f in forecasts}
    return answer_panel({key: values for key, values in columns.items() if values is not None})


def test_the_newest_answers_are_compared_with_the_earlier_ones():
    panel = panel_of([a_forecast(day, median=100.0 + day) for day in range(50)])
    level, change = answer_views(panel, (Look("level", 20), CHANGE))
    assert (len(level.reference), len(level.current)) == (30, 20)
    assert len(level.history) == 30
    assert first_column(level.current) == pytest.approx(np.log(1 + np.arange(30, 50) / 100))
    assert first_column(change.reference) == pytest.approx(np.log(1 + np.arange(25, 45) / 100))
    assert len(change.history) == 25
    assert level.current.values[0, 1] == pytest.approx(np.log(110 / 90))
    assert set(level.current.values[:, 2]) == {0.6}


def test_forecasts_that_do_not_reach_the_horizon_do_not_count():
    answers = [a_forecast(1), a_forecast(2), a_forecast(3, horizon=4)]
    assert len(panel_of(answers)) == 2


@pytest.mark.parametrize("answers", [[], [a_forecast(1)], [a_forecast(d) for d in range(24)]])
def test_a_short_log_has_no_current_answers(answers):
    for view in answer_views(panel_of(answers), (LEVEL, CHANGE)):
        assert len(view.current) == 0
