"""The dates under which the tests run are what their reasons say."""

import shutil
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from forecasting.prices.calendar import session_bars
from tests.dates import DATES, Date
from tests.unit.forecasting.prices.test_calendar import session_close


def test_every_date_is_what_its_reason_says() -> None:
    dates = {text: Date.parse(text) for text in DATES}
    local = {text: date.at.astimezone(ZoneInfo(date.zone)) for text, date in dates.items()}
    assert all(local[text].weekday() == 6 for text, why in DATES.items() if "a Sunday" in why)
    assert all(f"UTC{local[text]:%z}"[:6] in DATES[text] for text in local if "UTC" in DATES[text])
    assert local["2026-12-02T05:00@Pacific/Pago_Pago"].day == 1
    assert local["2026-12-02T12:00@Pacific/Kiritimati"].day == 3
    friday = dates["2026-11-27"].at.date()
    _, traded = session_bars("AAPL", friday - timedelta(days=1), friday, "1d")
    assert [day.date() for day in traded] == [friday]
    assert session_close("AAPL", friday) == datetime(2026, 11, 27, 18, tzinfo=UTC)


@pytest.mark.parametrize("where", ["America/New_York", "Europe/Berlin"])
def test_the_clocks_change_halfway_between_an_hour_before_and_an_hour_after(where: str) -> None:
    before, after = (Date.parse(text).at for text in DATES if text.endswith(where))
    assert after - before == timedelta(hours=2)
    change = before + timedelta(hours=1)
    zone = ZoneInfo(where)
    moments = (before, change - timedelta(seconds=1), change, after)
    offsets = [moment.astimezone(zone).utcoffset() for moment in moments]
    assert offsets[0] == offsets[1] != offsets[2] == offsets[3]


def test_a_machine_without_faketime_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="apt-get install faketime"):
        Date.parse("2028-02-29").command("true")
