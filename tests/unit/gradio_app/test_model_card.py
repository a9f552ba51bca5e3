"""A version as the page shows it."""

from forecasting.adapters.registry.reader import VersionRecord
from gradio_app.model_card import trained_on


def test_what_a_version_was_trained_on_is_said_in_words():
    tags = {"source": "sample", "replay": "true", "data_snapshot": "9f3c", "git_revision": "abc"}
    record = VersionRecord("1", "r", tags, (), 0)
    assert trained_on(record) == "source sample, historical, snapshot 9f3c, code abc"
