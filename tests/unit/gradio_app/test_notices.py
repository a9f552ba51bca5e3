"""Every failure becomes a notice with a remedy, never a stack trace."""

import pytest

from forecasting.errors import (
    InvalidInput,
    NotReady,
    RateLimited,
    RegistryUnavailable,
    ServerUnavailable,
    StaleData,
    Unavailable,
    UnknownSymbol,
)
from gradio_app.notices import notice_of
from gradio_app.views.elements import notice


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (UnknownSymbol("no such symbol"), "No forecast for this symbol"),
        (StaleData("too old"), "The prices are too old to forecast from"),
        (ServerUnavailable("gone", "http://x"), "The model server does not answer"),
        (NotReady("not yet"), "The model server is getting ready"),
        (RegistryUnavailable("gone"), "The model registry does not answer"),
        (Unavailable("gone"), "Not available right now"),
        (InvalidInput("no"), "This cannot be answered as asked"),
        (ZeroDivisionError("x / 0"), "Something went wrong on this page"),
    ],
)
def test_every_failure_becomes_a_friendly_notice(error, title):
    shown = notice_of(error)
    assert shown.title == title
    assert "Traceback" not in notice(shown)
    assert "x / 0" not in notice(shown)


def test_a_rate_limit_says_when_to_try_again():
    assert notice_of(RateLimited("slow down", retry_after=12)).remedy == "Try again in 12 seconds."
