"""The top of the page."""

from gradio_app.status import DataSource, Status
from gradio_app.views.header import header
from tests.unit.gradio_app.page_records import AS_OF, text_of


def test_the_head_says_in_words_whether_the_server_serves():
    assert "Not serving" in header(Status(False, "the model server does not answer"))
    where = DataSource("synthetic", False, True)
    shown = text_of(header(Status(True, "champion v1 ridge", AS_OF, 60.0, where)))
    assert "Serving champion v1 ridge last bar 2023-09-21 20:00 UTC" in shown
    assert "SYNTHETIC" in shown
