"""Every conversion of an instant, held to pandas."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.instants import (
    DAY,
    EPOCH,
    HOUR,
    MILLISECOND,
    SECOND,
    date_text,
    from_milliseconds,
    minute_text,
    nanoseconds,
    second_text,
    to_datetime,
    to_milliseconds,
    to_nanoseconds,
    utc_index,
)

YEAR_1700, YEAR_2200 = pd.Timestamp("1700-01-01"), pd.Timestamp("2200-01-01")
MOMENTS = st.datetimes(YEAR_1700.to_pydatetime(), YEAR_2200.to_pydatetime(), timezones=st.just(UTC))
NANOSECONDS = st.integers(YEAR_1700.value, YEAR_2200.value)


def test_the_units_are_those_of_pandas() -> None:
    assert tuple(pd.Timedelta(1, unit).value for unit in ("ms", "s", "h", "D")) == (
        MILLISECOND,
        SECOND,
        HOUR,
        DAY,
    )
    assert pd.Timestamp(0, tz="UTC") == EPOCH


@given(MOMENTS)
def test_a_datetime_becomes_the_nanoseconds_of_pandas_and_comes_back(moment: datetime) -> None:
    assert to_nanoseconds(moment) == pd.Timestamp(moment).as_unit("ns").value
    assert to_datetime(to_nanoseconds(moment)) == moment
    assert to_datetime(to_nanoseconds(moment)).tzinfo is UTC


@given(NANOSECONDS)
def test_nanoseconds_become_a_datetime_cut_to_the_microsecond(instant: int) -> None:
    expected = pd.Timestamp(instant // 1_000, unit="us", tz="UTC").to_pydatetime()
    assert to_datetime(instant) == to_datetime(np.int64(instant)) == expected


@given(MOMENTS)
def test_milliseconds_are_cut_downwards_before_and_after_1970(moment: datetime) -> None:
    milliseconds = pd.Timestamp(moment).as_unit("ns").value // 10**6
    assert to_milliseconds(moment) == milliseconds
    assert from_milliseconds(milliseconds) == pd.Timestamp(milliseconds, unit="ms", tz="UTC")
    assert from_milliseconds(milliseconds).tzinfo is UTC


@given(NANOSECONDS)
def test_texts_are_utc_and_cut_never_rounded(instant: int) -> None:
    moment = pd.Timestamp(instant, tz="UTC")
    assert date_text(instant) == moment.strftime("%Y-%m-%d")
    assert minute_text(instant) == moment.strftime("%Y-%m-%d %H:%M")
    assert second_text(np.int64(instant)) == moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert second_text(instant) == f"{np.datetime64(instant, 'ns').astype('datetime64[s]')}Z"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Taipei", "America/New_York"])
def test_pandas_instants_become_utc_nanoseconds_whatever_their_unit_and_zone(
    unit: str, zone: str | None
) -> None:
    index = pd.date_range("1969-12-30 05:00", periods=5, freq="17h", tz=zone).as_unit(unit)
    expected = [moment.as_unit("ns").value for moment in index]
    assert nanoseconds(index).tolist() == expected
    assert nanoseconds(pd.Series(index)).tolist() == expected
    assert nanoseconds(index).dtype == np.int64


def test_a_missing_instant_is_the_smallest_integer() -> None:
    index = pd.DatetimeIndex(["2026-01-30", None])
    assert nanoseconds(index).tolist() == [index[0].value, np.iinfo(np.int64).min]


def test_an_index_of_instants_is_in_utc_and_gives_them_back() -> None:
    instants = np.array([-1, 0, 1_769_806_800 * SECOND], dtype=np.int64)
    index = utc_index(instants)
    assert str(index.dtype) == "datetime64[ns, UTC]"
    assert index.tolist() == [pd.Timestamp(int(one), tz="UTC") for one in instants]
    assert nanoseconds(index).tolist() == instants.tolist()


def test_another_zone_is_converted_and_no_zone_is_refused() -> None:
    taipei = timezone(timedelta(hours=8))
    moment = datetime(2026, 1, 30, 13, 30, tzinfo=taipei)
    assert second_text(to_nanoseconds(moment)) == "2026-01-30T05:30:00Z"
    for convert in (to_nanoseconds, to_milliseconds):
        with pytest.raises(TypeError):
            convert(datetime(2026, 1, 30))  # noqa: DTZ001
