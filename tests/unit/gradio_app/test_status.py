"""Why the model server does not serve, in words."""

import pytest

from forecasting.errors import NotReady, ServerUnavailable, StaleData
from gradio_app.status import why_not_serving


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ServerUnavailable("gone"), "the model server does not answer"),
        (StaleData("too old"), "its prices are too old"),
        (NotReady("no bundle yet"), "the model server is getting ready"),
    ],
)
def test_every_reason_not_to_serve_has_its_words(error, words):
    assert why_not_serving(error) == words
