"""A forecast in the terminal: digits that matter, hours where bars are hourly, labels that warn."""

import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from rich.console import Console

from bellwether.forecast_table import forecast_table, plot, provenance
from forecasting.adapters.inference import SymbolForecast
from forecasting.schema import QUANTILE_LEVELS


def forecast(price=173.93, days=5, interval="1d", **changes):
    start = datetime(2023, 9, 21, 20, tzinfo=UTC)
    step = timedelta(days=1) if interval == "1d" else timedelta(hours=1)
    spread = np.linspace(0.98, 1.02, 5)
    fields = {
        "symbol": "AAPL",
        "as_of": start,
        "last_close": price,
        "target_times": tuple(start + step * (i + 1) for i in range(days)),
        "quantiles": price * np.tile(spread, (days, 1)),
        "baseline": None,
        "probability_of_rise": np.full(days, 0.5),
        "signal": "hold",
        "stale": False,
        "levels": QUANTILE_LEVELS,
        "model_version": "3",
        "model_kind": "random_walk",
        "interval": interval,
        "source": "sample",
        "snapshot": "5" * 16,
        "replay": False,
        "synthetic": False,
    }
    return SymbolForecast(**fields | changes)


def shown(table):
    console = Console(width=120, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_daily_bars_are_named_by_their_day_and_hourly_ones_by_their_hour():
    assert "Fri 22 Sep 2023" in shown(forecast_table(forecast()))
    assert "Thu 21 Sep 21:00" in shown(forecast_table(forecast(interval="1h")))


@pytest.mark.parametrize(("price", "median"), [(65_432.1, "65,432.10"), (1.20035, "1.2004")])
def test_a_price_has_the_digits_that_matter(price, median):
    assert median in shown(forecast_table(forecast(price)))


def test_long_horizons_are_thinned_and_the_last_bar_is_always_there():
    rows = forecast_table(forecast(days=27)).columns[0]._cells
    assert rows == ["1", "2", "3", "5", "10", "15", "20", "27"]


@pytest.mark.parametrize(
    ("changes", "warning"),
    [({"replay": True}, "historical replay"), ({"synthetic": True}, "SYNTHETIC"),
     ({"stale": True}, "STALE"), ({"calibration": 12}, "calibration 12")],
)  # fmt: skip
def test_prices_that_are_not_todays_and_a_calibration_are_labelled(changes, warning):
    assert warning not in provenance(forecast())
    assert warning in provenance(forecast(**changes))


def test_the_fan_chart_is_a_whole_png_or_nothing(tmp_path):
    plot(forecast(), tmp_path / "fan.png")
    assert (tmp_path / "fan.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["fan.png"]
