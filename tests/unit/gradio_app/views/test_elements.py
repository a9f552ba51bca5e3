"""Notices, tables and links; no view lets markup through."""

import pytest

from forecasting.adapters.registry.ledger import Promotion
from forecasting.evaluation.promotion_outcome import PromotionOutcome
from gradio_app.notices import Notice
from gradio_app.retraining import Training
from gradio_app.status import DataSource, Status
from gradio_app.views.elements import advice, loading, notice
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
