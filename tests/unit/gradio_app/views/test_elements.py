"""Notices, tables and links; no view lets markup through."""

import pytest

from forecasting.adapters.registry.ledger import Promotion
from forecasting.evaluation.promotion_outcome import PromotionOutcome
from gradio_app.notices import Notice
from gradio_app.retraining import Training
from gradio_app.status import DataSource, Status
from gradio_app.views.elements import advice, link, loading, notice, table
from gradio_app.views.feed import feed_table
from gradio_app.views.forecast import banner, legend, quantile_table, signal_panel
from gradio_app.views.header import header
from gradio_app.views.models import models_table, promotions_table
from gradio_app.views.monitoring import chart_title, tiles
from gradio_app.views.retrain import training_state
from tests.unit.gradio_app.page_records import (
    AS_OF,
    EVIL,
    card,
    check_html,
    drift_run,
    forecast,
    logged,
    text_of,
)


@pytest.mark.parametrize(
    "html",
    [
        banner(forecast(symbol=EVIL)),
        legend(forecast(symbol=EVIL)),
        signal_panel(forecast(symbol=EVIL, model_version=EVIL, model_kind=EVIL), 0.1,
                     card(role=EVIL), 1.0),
        quantile_table(forecast(symbol=EVIL, model_version=EVIL)),
        notice(Notice(EVIL, EVIL, EVIL)),
        header(Status(True, EVIL, None, None, DataSource(EVIL, True, False, EVIL))),
        models_table([card(role=EVIL, version=EVIL, kind=EVIL, verdict=EVIL, reason=EVIL,
                            trained_on=EVIL, digest=EVIL, created=EVIL, run_url=f'"{EVIL}',
                            report_url=EVIL)]),
        promotions_table([Promotion(1, "m", EVIL, EVIL, EVIL, AS_OF, EVIL, "done")]),
        feed_table([logged(symbol=EVIL, model_version=EVIL, model_kind=EVIL, source=EVIL,
                            protocol=EVIL, signal=EVIL)]),
        tiles(drift_run(notes=(EVIL,)), f'"{EVIL}', None, 5),
        chart_title(EVIL, EVIL, [EVIL]),
        training_state(Training("failed", EVIL, (EVIL,), AS_OF, 3.0, (EVIL,), EVIL)),
        training_state(Training("refused", EVIL, (EVIL,), AS_OF, 3.0, (EVIL,), "",
                                 PromotionOutcome("refused", EVIL, EVIL))),
        loading(EVIL),
        advice(),
    ],
)  # fmt: skip
def test_no_text_from_outside_becomes_markup_and_all_markup_is_closed(html):
    assert "script" not in check_html(html)


def test_a_table_has_its_title_its_heads_and_its_rows():
    shown = table("A & B", ("x", "y"), ["<tr><td>1</td></tr>"], left=(1,), tall=True)
    assert text_of(shown).split() == ["A", "&amp;", "B", "x", "y", "1"]
    assert '<th scope="col" class=bw-left>y</th>' in shown
    assert "bw-tall" in shown


def test_a_link_opens_beside_the_page_and_its_address_is_escaped():
    assert link('/a"b', "<c>") == (
        '<a href="/a&quot;b" target="_blank" rel="noopener">&lt;c&gt;</a>'
    )


def test_a_notice_says_what_why_and_what_to_do():
    assert text_of(notice(Notice("Gone", "It left.", "look again"))).split() == [
        *("Gone", "It", "left.", "Look", "again."),
    ]
