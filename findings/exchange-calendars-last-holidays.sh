#!/usr/bin/env bash
# exchange_calendars 4.13.2: a calendar without dates reaches a year ahead for most exchanges, but
# those whose holidays are published year by year end with the last list in the package: Shanghai,
# Mumbai and Singapore on 2026-12-31. Nothing is said; a date behind it is refused as out of bounds,
# and an explicit later end is refused, too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check exchange-calendars==4.13.2 pandas==2.3.3
"$work/venv/bin/python" -W error::UserWarning - <<'PYTHON'
from importlib.metadata import version

import exchange_calendars
import pandas as pd

print("exchange_calendars", version("exchange_calendars"))
ahead = pd.Timestamp.now().normalize() + pd.Timedelta(days=350)
for name in ("XNYS", "XTKS", "XTAI"):
    last = exchange_calendars.get_calendar(name).last_session
    print(f"{name} ends {last.date()}")
    assert last > ahead
for name in ("XSHG", "XBOM", "XSES"):
    last = exchange_calendars.get_calendar(name).last_session
    print(f"{name} ends {last.date()}")
    assert pd.Timestamp("2026-12-25") <= last <= pd.Timestamp("2026-12-31")
    try:
        exchange_calendars.get_calendar(name, end="2027-06-30")
    except ValueError as error:
        print(f"{name} to 2027-06-30: {type(error).__name__}: {str(error)[:80]}")
    else:
        raise AssertionError(f"{name} reaches 2027 now")
PYTHON
