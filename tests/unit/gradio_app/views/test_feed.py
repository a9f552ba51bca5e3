"""The live feed."""

from gradio_app.views.feed import feed_table
from tests.unit.gradio_app.page_records import logged, text_of


def test_the_feed_shows_parameters_and_processing_time():
    shown = text_of(feed_table([logged(stale=True)]))
    for words in ("AAPL", "v2 ridge", "▼ SELL", "53 %", "169.00 to 180.00",
                  "REST, sample, replay, stale", "0.4 ms"):  # fmt: skip
        assert words in shown


def test_an_empty_log_says_how_to_fill_it():
    assert "No prediction has been logged yet" in feed_table([])
