#!/usr/bin/env bash
# Hong Kong's exchange closes for typhoons and black rain at a few hours' notice. exchange_calendars
# 4.13.2 has sessions on 2023-09-01 (typhoon Saola) and 2023-09-08 (black rain), which were cancelled;
# pandas_market_calendars 5.5.0's HKEX knows these two, but has sessions on three such days of other
# years and on the holiday 2021-04-06, and none of the half days: Christmas Eve ends at 16:00 instead
# of 12:00. Its XHKG is exchange_calendars' own. No bar was lost where one is missing on such a day.
# Remedy: take a day as closed where either says so, and half days from exchange_calendars.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  exchange-calendars==4.13.2 pandas-market-calendars==5.5.0 pandas==2.3.3
"$work/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import exchange_calendars
import pandas_market_calendars

for name in ("exchange_calendars", "pandas_market_calendars"):
    print(name, version(name))
begin, end = "2020-01-01", "2025-12-31"
one = exchange_calendars.get_calendar("XHKG", start=begin, end=end)
two = pandas_market_calendars.get_calendar("HKEX").schedule(begin, end)


def only(days, others):
    return days.difference(others).strftime("%Y-%m-%d").tolist()


cancelled = ["2023-09-01", "2023-09-08"]
closed = ["2020-10-13", "2021-04-06", "2021-10-13", "2024-09-06"]
print("open in exchange_calendars only:", *only(one.sessions, two.index))
print("open in pandas_market_calendars only:", *only(two.index, one.sessions))
assert only(one.sessions, two.index) == cancelled
assert only(two.index, one.sessions) == closed
days = one.sessions.intersection(two.index)
here, there = (
    closes.reindex(days).dt.tz_convert("Asia/Hong_Kong")
    for closes in (one.closes, two["market_close"])
)
half = days[(here != there).to_numpy()]
print(f"closes differ on {len(half)} days, the last {half[-1].date()}:", end=" ")
print(f"{here[half[-1]]:%H:%M} and {there[half[-1]]:%H:%M}")
assert set(here[half].dt.hour) == {12} and set(there[half].dt.hour) == {16}
assert half.tolist() == one.early_closes.tolist() and len(half) == 13
PYTHON
