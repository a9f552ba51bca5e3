"""The forecast side of the page: words and HTML, checked without a browser or a server."""

import base64
import csv
import io
import re

import pytest

from forecasting.adapters.registry.ledger import Promotion
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
from forecasting.evaluation.promotion_outcome import PromotionOutcome
from gradio_app import boards, monitoring, views, wording
from gradio_app.facts import Notice, Provenance, Status, notice_of
from gradio_app.retraining import Training
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

# wording


@pytest.mark.parametrize(
    ("value", "written"),
    [(1234.5, "1,234.50"), (173.93, "173.93"), (1.08512, "1.0851"), (0.0345, "0.034500"),
     (float("nan"), wording.NOTHING)],
)  # fmt: skip
def test_a_price_is_written_with_the_digits_that_matter(value, written):
    assert wording.price(value) == written


def test_a_negative_share_has_a_true_minus_and_zero_has_no_sign():
    assert wording.percent(-0.0042, 2, signed=True) == f"{wording.MINUS}0.42 %"
    assert wording.percent(-0.000001, signed=True) == "0.0 %"
    assert wording.percent(None) == wording.NOTHING


def test_a_probability_never_claims_more_than_the_grid_knows():
    assert wording.chance(0.01) == "at most 1 %"
    assert wording.chance(0.99) == "at least 99 %"
    assert wording.chance(0.534) == "53 %"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.00042, "0.4 ms"), (3.21, "3.2 s"), (75, "75 s"), (600, "10 minutes"), (7_300, "2 hours"),
     (4 * 86_400, "4 days")],
)  # fmt: skip
def test_a_time_span_is_written_in_its_natural_unit(seconds, written):
    assert wording.duration(seconds) == written


# the forecast


def test_the_panel_says_signal_chance_version_freshness_and_time():
    shown = text_of(views.signal_panel(forecast(20), card(), 7_300.0))
    for words in ("▲ BUY", "P(rise) in 5 days", "P(rise) in 20 days", "v2 · ridge (challenger)",
                  "2023-09-21 20:00 UTC", "2 hours old", "8.7 ms", "9f3c2a71d8e04b55"):  # fmt: skip
        assert words in shown


@pytest.mark.parametrize("signal", ["buy", "sell", "hold"])
def test_every_signal_is_a_word_and_a_sign_not_a_colour_alone(signal):
    assert f" {signal.upper()}" in views.signal_panel(forecast(signal=signal), None, None)


def test_a_random_walk_champion_says_that_only_its_interval_is_to_be_trusted():
    assert "nothing has beaten it" in views.signal_panel(forecast(kind="random_walk"), None, None)
    assert "nothing has beaten it" not in views.signal_panel(forecast(), None, None)


def test_a_refused_challengers_signal_is_not_passed_off_as_the_platforms():
    assert "This challenger was refused" in views.signal_panel(forecast(), card(), None)
    champion = card("champion", verdict="promote")
    assert "refused" not in views.signal_panel(forecast(), champion, None)


def test_replay_synthetic_and_stale_data_are_said_before_any_number():
    assert "Historical replay" in views.banner(forecast())
    made_up = forecast(provenance=Provenance("synthetic", "1d", False, True))
    assert "SYNTHETIC PRICES" in views.banner(made_up)
    assert "Stale" in views.banner(forecast(stale=True))
    fallen = Provenance(
        "yahoo", "1d", False, False, fallback="yahoo failed: prices of <b>Monday</b>"
    )
    said = views.banner(forecast(provenance=fallen))
    assert "Fallback.</b> yahoo failed: prices of &lt;b&gt;Monday" in said
    assert not views.banner(forecast(provenance=Provenance("yahoo", "1d", False, False)))


def test_the_quantile_table_has_one_row_per_bar():
    tags = check_html(views.quantile_table(forecast(30)))
    assert tags.count("tr") == 31


def test_the_download_is_the_whole_table_at_full_precision():
    answer = forecast(3)
    link = re.search(r'base64,([^"]+)"', views.quantile_table(answer)).group(1)
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(link).decode())))
    assert [float(row["p95"]) for row in rows] == answer.quantiles[:, 4].tolist()
    assert [float(row["random_walk_p05"]) for row in rows] == answer.baseline[:, 0].tolist()
    assert rows[0]["replay"] == "true"
    assert rows[0]["target_time"] == "2023-09-22T20:00:00+00:00"


def test_a_symbol_that_is_a_formula_stays_text_in_the_download():
    assert "'=1+1" in views.quantile_csv(forecast(symbol="=1+1"))


# friendly states


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
    assert "Traceback" not in views.notice(shown)
    assert "x / 0" not in views.notice(shown)


def test_a_rate_limit_says_when_to_try_again():
    assert notice_of(RateLimited("slow down", retry_after=12)).remedy == "Try again in 12 seconds."


def test_the_head_says_in_words_whether_the_server_serves():
    assert "Not serving" in views.header(Status(False, "the model server does not answer"))
    where = Provenance("synthetic", "1d", False, True)
    shown = text_of(views.header(Status(True, "champion v1 ridge", AS_OF, 60.0, where)))
    assert "Serving champion v1 ridge last bar 2023-09-21 20:00 UTC" in shown
    assert "SYNTHETIC" in shown


# text from outside


@pytest.mark.parametrize(
    "html",
    [
        views.banner(forecast(symbol=EVIL)),
        views.chart_key(forecast(symbol=EVIL)),
        views.signal_panel(forecast(symbol=EVIL, version=EVIL, kind=EVIL), card(role=EVIL), 1.0),
        views.quantile_table(forecast(symbol=EVIL, version=EVIL)),
        views.notice(Notice(EVIL, EVIL, EVIL)),
        views.header(Status(True, EVIL, None, None, Provenance(EVIL, "1d", True, False))),
        boards.models([card(role=EVIL, version=EVIL, kind=EVIL, verdict=EVIL, reason=EVIL,
                            trained_on=EVIL, digest=EVIL, created=EVIL, run_url=f'"{EVIL}',
                            report_url=EVIL)]),
        boards.promotions([Promotion(1, "m", EVIL, EVIL, EVIL, AS_OF, EVIL, "done")]),
        boards.feed([logged(symbol=EVIL, model_version=EVIL, model_kind=EVIL, source=EVIL,
                            protocol=EVIL, signal=EVIL)]),
        monitoring.tiles(drift_run(notes=(EVIL,)), f'"{EVIL}', None, 5),
        monitoring.chart_title(EVIL, EVIL, [EVIL]),
        boards.training(Training("failed", EVIL, (EVIL,), AS_OF, 3.0, (EVIL,), EVIL)),
        boards.training(Training("refused", EVIL, (EVIL,), AS_OF, 3.0, (EVIL,), "",
                                 PromotionOutcome("refused", EVIL, EVIL))),
        views.loading(EVIL),
        views.advice(),
    ],
)  # fmt: skip
def test_no_text_from_outside_becomes_markup_and_all_markup_is_closed(html):
    assert "script" not in check_html(html)
