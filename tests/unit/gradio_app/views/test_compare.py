"""The comparison's table: a group of columns a version, markup in order, text from outside escaped."""

from gradio_app.notices import Notice
from gradio_app.views.compare import Opinion, comparison_table, refusals
from tests.unit.gradio_app.page_records import EVIL, check_html, forecast, text_of


def test_versions_stand_beside_each_other_bar_by_bar():
    said = [Opinion("1", forecast(3)), Opinion("2", forecast(2, signal="sell"))]
    table = comparison_table(said)
    check_html(table)
    rows = text_of(table)
    assert "v1 ridge" in rows
    assert "v2 ridge" in rows
    assert "BUY" in rows
    assert "SELL" in rows
    assert table.count("P(rise)") == 2
    assert table.count("<tr>") == 2 + 2 + 2  # as many bars as all of them have


def test_what_a_version_or_an_error_says_is_no_markup():
    said = [Opinion(EVIL, forecast(1, model_kind=EVIL)), Opinion(EVIL, None, Notice(EVIL, EVIL))]
    for shown in (comparison_table(said), refusals(said)):
        assert "script" not in check_html(shown)
