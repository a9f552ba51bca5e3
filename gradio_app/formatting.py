"""Formats of prices, shares, probabilities, instants, durations and names."""

import math
from datetime import UTC, datetime
from typing import Final

MINUS: Final = "\N{MINUS SIGN}"
NOTHING: Final = "\N{EN DASH}"
SIGNS: Final = {"buy": "\N{BLACK UP-POINTING TRIANGLE}", "sell": "\N{BLACK DOWN-POINTING TRIANGLE}"}
HOLD_SIGN: Final = "\N{BLACK DIAMOND}"

KINDS: Final = {
    "random_walk": "random walk",
    "random_walk_drift": "random walk with drift",
    "random_forest": "random forest",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "har": "HAR",
    "har_boosted": "boosted HAR",
    "garch": "GARCH",
    "har_combination": "HAR combination",
}
"""Kinds of model whose written name differs from their identifier."""


def price(value: float) -> str:
    """A price with about five digits that matter: 1,234.50, 101.20, 1.08512."""
    if not math.isfinite(value):
        return NOTHING
    size = abs(value)
    places = 2 if size >= 20 else 4 if size >= 1 else 6
    return f"{value:,.{places}f}"


def percent(value: float | None, places: int = 1, *, signed: bool = False) -> str:
    """A share as per cent, with a true minus sign."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value * 100:{'+' if signed else ''}.{places}f}"
    if float(text) == 0:
        text = f"{0:.{places}f}"
    return text.replace("-", MINUS) + " %"


def chance(value: float) -> str:
    """A probability; the grid of older models ends at 1 % and 99 %, so nothing beyond is claimed."""
    if not math.isfinite(value):
        return NOTHING
    if value <= 0.0101:
        return "at most 1 %"
    return "at least 99 %" if value >= 0.9899 else f"{value * 100:.0f} %"


def p_value(value: float | None) -> str:
    """A p-value, not more precise than it deserves."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def instant(value: datetime) -> str:
    """An instant to the minute, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def day(value: datetime) -> str:
    """A date with its weekday."""
    return f"{value.astimezone(UTC):%a %d %b %Y}"


def bar_end(value: datetime, interval: str) -> str:
    """When a forecast bar closes: the day for daily bars, else the hour too."""
    return day(value) if interval == "1d" else f"{value.astimezone(UTC):%a %d %b %H:%M}"


def bars(count: int, interval: str) -> str:
    """A number of bars in words."""
    unit = "day" if interval == "1d" else f"{interval} bar"
    return f"{count} {unit}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time span in its natural unit."""
    for size, unit in ((86_400 * 2, 86_400), (3_600 * 2, 3_600), (120, 60)):
        if seconds >= size:
            return f"{seconds / unit:.0f} { {86_400: 'days', 3_600: 'hours', 60: 'minutes'}[unit] }"
    if seconds >= 1:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{max(seconds, 0) * 1e3:.1f} ms"


def age(seconds: float) -> str:
    """How old something is, in words."""
    return "just now" if seconds < 60 else f"{duration(seconds)} old"


def kind(name: str) -> str:
    """A kind of model as people write it."""
    return KINDS.get(name, name.replace("_", " "))


def signal(name: str) -> str:
    """A signal as sign and word, so that colour is never needed."""
    return f"{SIGNS.get(name, HOLD_SIGN)} {name.upper()}"


def sentence(text: str) -> str:
    """A text that starts with a capital and ends with one full stop."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
