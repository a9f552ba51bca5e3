"""Every fault a bar or a set of bars can have: its name, its rule and what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from forecasting.errors import InvalidPrices
from forecasting.schema import PRICE_COLUMNS

ROUNDING: Final = 1e-6
"""Share of the price by which providers' highs and lows may miss the open or close."""

STALE_RUN: Final = 20
"""So many bars in a row with the same four prices are a feed that stands still."""

COPIED_RUN: Final = 3
"""So many bars in a row that equal as many earlier ones are copies of them."""

FEW_BARS: Final = 3
"""A symbol may always lose this many bars, unless the tolerance is zero."""

CLOSE_SLACK: Final = 900
"""Seconds by which a daily bar's close may miss the exchange's: auctions take that long."""

SPARSE: Final = 0.10
"""Share of its sessions that a symbol may miss between its first bar and its last."""

OTHER_CALENDAR: Final = 0.01
"""Share of the sessions from which on bars on closed days, or their lack on open ones, are many."""

NO_CALENDAR: Final = 0.10
"""Share of bars on closed days that no provider's slip explains: another calendar."""

JUMP: Final = 0.2
"""Smallest jump between two bars that is asked for its reason, as a log ratio: 22 % up, 18 % down."""

JUMP_SIGMAS: Final = 8.0
"""It also has to be this many times what the symbol's jumps usually are."""

HEAVY: Final = 2.5
"""Volume of a bar over its usual volume from which on a jump is news. On the bundled real prices,
every overnight move of more than 20 % came with 2.9 times the usual volume or more."""

SPIKE_BARS: Final = 5
"""Prices that leave their level and are back after at most so many bars never left it."""

ENDED_DAYS: Final = 14
"""A symbol that is so many days behind the others has ended."""

QUARANTINE_COLUMNS: Final = (*PRICE_COLUMNS, "fault", "detail", "row")

Action = Literal["quarantine", "repair", "report", "refuse"]


@dataclass(frozen=True)
class Fault:
    """One thing that can be wrong.

    Attributes:
        rule: what has to hold.
        action: quarantine the bar; repair it and count it; report it, and the bars stay, because
            they may be right; or refuse the whole set.
        message: how the case is described, with the case's own words in braces.
    """

    rule: str
    action: Action
    message: str = "{the_bar}"


_COUNTED: Final = "{count} {fault}"
_ANSWER: Final = "{provider}, {asked_for}: {what_came}"

FAULTS: Final[Mapping[str, Fault]] = {
    # of one bar, in the order they are looked for
    "missing_value": Fault(
        "symbol, times and numbers must all be there", "quarantine", "{column} is {value}"
    ),
    "not_finite": Fault("every number must be finite", "quarantine"),
    "non_positive_price": Fault("a price must be positive", "quarantine"),
    "negative_volume": Fault("volume must not be negative", "quarantine"),
    "impossible_action": Fault(
        "a dividend must not be negative and a split must be positive", "quarantine"
    ),
    "high_below_low": Fault("the high must not be below the low", "quarantine"),
    "close_outside_range": Fault("open and close must lie between low and high", "quarantine"),
    "future_bar": Fault(
        "a bar must have closed before it was fetched",
        "quarantine",
        "closes at {close}, and it is {now} UTC",
    ),
    "holiday_bar": Fault(
        "a bar must be of a day on which its exchange was open",
        "quarantine",
        "{exchange} was closed on {session}",
    ),
    "wrong_close_time": Fault(
        f"a daily bar must close when its session does, give or take {CLOSE_SLACK // 60} minutes",
        "quarantine",
        "closes at {close}, and {exchange} closed at {expected}",
    ),
    "duplicate_bar": Fault(
        "a symbol has one bar per close, and per session if daily: of identical copies the first "
        "stays, of copies that disagree none does",
        "quarantine",
    ),
    "constant_price": Fault(
        f"prices must move: not the same four for {STALE_RUN} bars, nor for a whole symbol",
        "quarantine",
    ),
    "stale_repeat": Fault(
        "a bar must not repeat the bar before it with its volume, nor "
        f"{COPIED_RUN} bars in a row as many earlier ones",
        "quarantine",
        "repeats the bar that closed at {close}",
    ),
    "price_spike": Fault(
        f"prices must not leave their level by about {JUMP:.0%} and be back within {SPIKE_BARS} bars "
        "without heavy trading",
        "quarantine",
        "{factor} times the bars around it",
    ),
    "restated_bar": Fault(
        "a bar that is held does not change: the first stays",
        "quarantine",
        "{column} was {before} and is {after}",
    ),
    "restated_dividend": Fault(
        "a dividend or split that is held does not change: the first stays",
        "quarantine",
        "{column} was {before} and is {after}",
    ),
    # mended
    "unsorted": Fault("bars stand by symbol, then time: they are sorted", "repair", _COUNTED),
    "range_rounding": Fault(
        "high and low must enclose open and close: moved if only rounding is missing",
        "repair",
        _COUNTED,
    ),
    "half_day": Fault(
        "a daily bar of a half day must close when the half day did: the close is moved there",
        "repair",
        _COUNTED,
    ),
    "dst_shift": Fault(
        "a daily bar's close must follow the exchange's clock changes: if it is off by one hour, "
        "it is moved",
        "repair",
        _COUNTED,
    ),
    # reported
    "missing_session": Fault(
        "a symbol should have a bar of every session between its first and last",
        "report",
        "{symbol} lacks {count} of {sessions} ({first})",
    ),
    "other_calendar": Fault(
        "a symbol's bars should follow the calendar its ticker names; its rules are not applied "
        "where they do not",
        "report",
        "{symbol} has {closed} bars on days {exchange} was closed and lacks {missing} of "
        "{sessions} sessions",
    ),
    "calendar_ended": Fault(
        "an exchange's holidays should be known up to its newest bar: later bars are not held "
        "against its sessions",
        "report",
        "{symbol} has {count} after {last}, with which {exchange}'s holidays end in this release of "
        "the package exchange-calendars",
    ),
    "outside_session": Fault(
        "an intraday bar should lie in its exchange's trading hours",
        "report",
        "{symbol} has {count} that do not ({first})",
    ),
    "level_shift": Fault(
        f"a jump of more than about {JUMP:.0%} that stays should have a reason: neither heavy trading "
        "nor a recorded action explains it",
        "report",
        "{symbol} opens on {session} at {factor} times its last close",
    ),
    "news_jump": Fault(
        f"a jump of more than about {JUMP:.0%} with heavy trading is taken for news",
        "report",
        "{symbol} opens on {session} at {factor} times its last close",
    ),
    "renamed_symbol": Fault(
        "a symbol should not go on, or stand a second time, under another name",
        "report",
        "{symbol} ends on {last}, and {other} {goes_on}",
    ),
    "delisted": Fault(
        f"a symbol should still trade when the others do: not end {ENDED_DAYS} days before them",
        "report",
        "{symbol} ends on {last}, the others on {end}",
    ),
    # of the whole set
    "empty": Fault("there must be at least one bar", "refuse", "0 rows"),
    "missing_column": Fault(
        "every column of the price contract must be there",
        "refuse",
        "missing {columns}; there are {others}",
    ),
    "naive_time": Fault(
        "bar closes must carry a time zone", "refuse", "{how_many} have none (dtype {dtype})"
    ),
    "mixed_time_zone": Fault(
        "bar closes must all carry the same time zone", "refuse", "there are {zones}"
    ),
    "missed_split": Fault(
        "a jump by a split's ratio, with ordinary trading, must be recorded as a split",
        "refuse",
        "{symbol} opens on {session} at {factor} times its last close, like a split of {ratio}",
    ),
    "doubled_split": Fault(
        "a recorded split must be in the prices, once",
        "refuse",
        "{symbol} has a split of {ratio} on {session}, and opens at {factor} times its last close",
    ),
    "unit_jump": Fault(
        "a symbol's prices must be in one unit: not jump by 100 or 1000",
        "refuse",
        "{symbol} opens on {session} at {factor} times its last close",
    ),
    "sparse_history": Fault(
        f"a symbol must not lack more than {SPARSE:.0%} of its sessions",
        "refuse",
        "{symbol} lacks {count} of {sessions} ({first})",
    ),
    "too_many_faults": Fault(
        "a symbol must not lose more than its tolerance",
        "refuse",
        "{symbol} lost {count} of {bars} bars ({faults}), and {share} may be lost",
    ),
    # of a provider's answer
    "empty_answer": Fault("an answer must hold bars", "refuse", _ANSWER),
    "html_answer": Fault("an answer must be data: not a web page", "refuse", _ANSWER),
    "rate_limited": Fault(
        "a provider must not turn us away for asking too often", "refuse", _ANSWER
    ),
    "truncated_answer": Fault("an answer must be whole", "refuse", _ANSWER),
    "renamed_column": Fault(
        "an answer's columns must have the names they always had", "refuse", _ANSWER
    ),
    "unknown_symbol": Fault("a symbol must be one the provider knows", "refuse", _ANSWER),
}
"""Every fault by name, with what becomes of it."""


@dataclass(frozen=True)
class FaultCount:
    """How many bars of one symbol have a fault, and which.

    Attributes:
        fault: its name.
        symbol: whose.
        bars: how many bars or sessions it is about.
        found: what was found, the fault's message filled in.
    """

    fault: str
    symbol: str
    bars: int
    found: str


def fault_count(fault: str, symbol: str, bars: int, /, **details: object) -> FaultCount:
    """A count whose words fill the fault's message; `symbol` is one of them."""
    return FaultCount(fault, symbol, bars, FAULTS[fault].message.format(symbol=symbol, **details))


def sentences(counts: Sequence[FaultCount]) -> tuple[str, ...]:
    """One sentence a fault, with the first five symbols and the fault's name."""
    return tuple(
        f"{_capital(FAULTS[fault].rule)}: {_listed(counts, fault)}."
        for fault in dict.fromkeys(count.fault for count in counts)
    )


def refused(fault: str, remedy: str = "", **details: object) -> InvalidPrices:
    """The error of one fault of the whole set, the message filled in and the name behind it."""
    found = FAULTS[fault].message.format(**details)
    return InvalidPrices(FAULTS[fault].rule, f"{found} ({fault})", remedy)


def refused_together(counts: Sequence[FaultCount], remedy: str) -> InvalidPrices:
    """One error for every fault that refuses a set."""
    first, *others = dict.fromkeys(count.fault for count in counts)
    found = [_listed(counts, first)]
    found += [f"{FAULTS[fault].rule}: {_listed(counts, fault)}" for fault in others]
    return InvalidPrices(FAULTS[first].rule, "; and ".join(found), remedy)


def _listed(counts: Sequence[FaultCount], fault: str) -> str:
    these = [count.found for count in counts if count.fault == fault]
    more = f"; and {len(these) - 5} more" if len(these) > 5 else ""
    return f"{'; '.join(these[:5])}{more} ({fault})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
