"""Notices: what the page shows in the place of what it cannot show, failures among them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from forecasting.errors import (
    BellwetherError,
    Forbidden,
    InvalidInput,
    NotReady,
    RateLimited,
    RegistryUnavailable,
    ServerUnavailable,
    StaleData,
    Unavailable,
    UnknownSymbol,
    UnknownVersion,
)
from gradio_app import formatting


@dataclass(frozen=True)
class Notice:
    """A short text: what is the case, why, and what to do.

    Attributes:
        title: what is the case.
        body: why, or "".
        remedy: what the reader can do, or "".
        tone: "ok", "info", "wait" or "wrong".
    """

    title: str
    body: str = ""
    remedy: str = ""
    tone: str = "info"


Guard = Callable[[Callable[..., Any], Callable[[Notice], Any]], Callable[..., Any]]
"""Makes a handler that gives a notice of whatever another raises: (handler, what to show of one)."""


_TITLES: tuple[tuple[type[BellwetherError], str, str], ...] = (
    (Forbidden, "You may not do this here", "info"),
    (UnknownSymbol, "No forecast for this symbol", "info"),
    (UnknownVersion, "This model version is not served", "info"),
    (StaleData, "The prices are too old to forecast from", "wait"),
    (RateLimited, "Too many questions at once", "wait"),
    (NotReady, "The model server is getting ready", "wait"),
    (ServerUnavailable, "The model server does not answer", "wrong"),
    (RegistryUnavailable, "The model registry does not answer", "wrong"),
    (Unavailable, "Not available right now", "wrong"),
    (InvalidInput, "This cannot be answered as asked", "info"),
)


def notice_of(error: Exception) -> Notice:
    """The notice of a failure, in words a reader can act on; never a stack trace."""
    if not isinstance(error, BellwetherError):
        return Notice(
            "Something went wrong on this page",
            "The details are in the page's log.",
            "Try again; if it stays, tell whoever runs this page.",
            "wrong",
        )
    title, tone = next(
        ((title, tone) for kind, title, tone in _TITLES if isinstance(error, kind)),
        ("Something is wrong with the platform", "wrong"),
    )
    remedy = error.remedy
    if isinstance(error, RateLimited) and error.retry_after:
        remedy = f"Try again in {error.retry_after:.0f} seconds."
    rule = f"{error.rule}: {error.found}" if error.found else error.rule
    return Notice(title, formatting.sentence(rule), remedy, tone)
