"""What a reader sees of a version that waits, and of one that was approved; reasons are escaped."""

from datetime import UTC, datetime
from html import unescape

from forecasting.adapters.registry.approvals import Approval
from gradio_app.views.approval import approved, waits
from tests.unit.gradio_app import page_records

DIGEST = "d" * 64


def text_of(html):
    """A view's words, as a browser shows them."""
    return unescape(page_records.text_of(html))


def test_a_version_that_waits_is_named_with_what_to_do():
    operator, reader = (text_of(waits("4", DIGEST, may=may)) for may in (True, False))
    for text in (operator, reader):
        assert "Version 4 waits for a person's approval" in text
        assert DIGEST[:16] in text
    assert "approve it with a reason" in operator
    assert 'bellwether rollout approve 4 --why "REASON"' in reader


def test_an_approval_shows_name_time_and_reason():
    at = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
    given = Approval(1, "bellwether", "4", DIGEST, "ann", at, "<b>good</b>", "page")
    html = approved(given)
    assert "<b>good" not in html
    assert "ann approved it on" in text_of(html)
    assert "2026" in html
