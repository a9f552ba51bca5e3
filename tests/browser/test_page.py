"""The page in a real browser, over the real model server, registry, lake and log."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from forecasting.adapters.prediction_log.log import PredictionLog
from tests.browser.conftest import REPLAYED, SYMBOLS, page, served
from tests.ports import free_port
from tests.time_limits import milliseconds, wait_until

pytestmark = pytest.mark.browser

PHONE = (390, 844)


def ask_for(window, symbol):
    box = window.get_by_role("combobox", name="Symbol")
    box.fill(symbol)
    box.press("Enter")


def no_stack_trace(window):
    text = window.locator("body").inner_text()
    assert "Traceback" not in text
    assert "Error" not in text


# forecast


def test_the_page_opens_with_a_forecast_of_the_first_symbol(visit, page_url):
    window = visit(page_url)
    panel = window.locator("#bw-panel")
    expect(panel).to_contain_text(re.compile("BUY|HOLD|SELL"))
    expect(panel).to_contain_text("v1")
    expect(panel).to_contain_text("P(rise) in 20 days")
    expect(window.locator("#bw-chart-box h2")).to_contain_text(SYMBOLS[0])
    expect(window.locator("#bw-forecast-chart .scatterlayer .trace")).to_have_count(6)
    expect(window.locator("#bw-quantiles tbody tr")).to_have_count(20)
    expect(window.locator("#bw-banner")).to_contain_text("SYNTHETIC PRICES")
    expect(window.locator(".bw-advice")).to_contain_text("Not investment advice")
    expect(window.locator(".bw-status")).to_contain_text("Serving")
    no_stack_trace(window)


def test_of_the_random_walk_nothing_is_claimed_and_it_has_no_outline_of_itself(visit, page_url):
    window = visit(page_url)
    expect(window.locator("#bw-panel")).to_contain_text("This version is the random walk")
    expect(window.locator("#bw-panel")).not_to_contain_text("the random walk's today")
    expect(window.locator(".bw-key")).not_to_contain_text("random walk")
    challenger = visit(f"{page_url}/?model=challenger")
    expect(challenger.locator(".bw-key")).to_contain_text("random walk, 5-95 %")
    expect(challenger.locator("#bw-panel")).to_contain_text("the random walk's today")


def test_symbol_days_and_model_can_be_chosen(visit, page_url):
    window = visit(page_url)
    expect(window.locator("#bw-quantiles tbody tr")).to_have_count(20)
    ask_for(window, SYMBOLS[1])
    expect(window.locator("#bw-chart-box h2")).to_contain_text(SYMBOLS[1])
    days = window.get_by_label("number input for Days ahead")
    days.fill("7")
    days.press("Enter")
    window.get_by_role("button", name="Forecast").click()
    expect(window.locator("#bw-quantiles tbody tr")).to_have_count(7)
    window.get_by_role("combobox", name="Model").click()
    window.get_by_role("option", name=re.compile("Challenger")).click()
    expect(window.locator("#bw-panel")).to_contain_text("v2")
    expect(window.locator("#bw-panel")).to_contain_text("challenger")


def test_a_forecast_can_be_linked_to(visit, page_url):
    window = visit(f"{page_url}/?symbol={SYMBOLS[1]}&days=5&model=challenger")
    expect(window.locator("#bw-quantiles tbody tr")).to_have_count(5)
    expect(window.locator("#bw-panel")).to_contain_text("v2")


def test_the_quantiles_can_be_downloaded(visit, page_url):
    window = visit(f"{page_url}/?days=6")
    expect(window.locator("#bw-quantiles tbody tr")).to_have_count(6)
    with window.expect_download() as download:
        window.get_by_role("link", name="Download CSV").click()
    with Path(download.value.path()).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["bar"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert {row["symbol"] for row in rows} == {SYMBOLS[0]}
    assert {row["synthetic"] for row in rows} == {"true"}
    assert all(float(row["p05"]) < float(row["p50"]) < float(row["p95"]) for row in rows)


@pytest.mark.parametrize("symbol", ["TSLA", "${alert(1)}", "<b>x</b>"])
def test_an_unknown_symbol_is_a_friendly_state_and_the_page_recovers(visit, page_url, symbol):
    window = visit(page_url)
    expect(window.locator("#bw-quantiles tbody tr")).to_have_count(20)
    ask_for(window, symbol)
    trouble = window.locator("#bw-trouble")
    expect(trouble).to_contain_text("No forecast for this symbol")
    expect(trouble).to_contain_text(symbol)
    expect(trouble).to_contain_text(f"It knows {', '.join(SYMBOLS)}")
    no_stack_trace(window)
    ask_for(window, SYMBOLS[0])
    expect(window.locator("#bw-panel")).to_contain_text("P(rise)")
    expect(trouble).to_be_hidden()


# the other tabs


def test_champion_and_challenger_are_shown_with_verdicts_and_audit_trail(visit, page_url):
    window = visit(page_url)
    window.get_by_role("tab", name="Models").click()
    table = window.locator("#bw-models")
    expect(table).to_contain_text("random walk")
    expect(table).to_contain_text("ridge")
    expect(table).to_contain_text(re.compile(r"[89]\d\.\d % in band"))
    expect(table).to_contain_text("SYNTHETIC")
    expect(window.locator("#bw-promotions")).to_contain_text("the pipeline")


def test_versions_are_compared_in_one_chart_and_one_table(visit, page_url):
    window = visit(f"{page_url}/?tab=models")
    expect(window.locator("#bw-compare-box h3")).to_contain_text(SYMBOLS[0])
    expect(window.locator("#bw-compare-chart .scatterlayer .trace")).to_have_count(7)
    table = window.locator("#bw-compare-table")
    expect(table).to_contain_text("v1 random walk")
    expect(table).to_contain_text("v2 ridge")
    expect(table.locator("tbody tr")).to_have_count(2 + 20)
    window.locator("#bw-compare-versions").get_by_role("button").first.click()
    expect(window.locator("#bw-compare-trouble")).to_contain_text("Choose two or more versions")
    no_stack_trace(window)


def test_the_walk_forward_report_opens_from_the_models_tab(visit, page_url):
    window = visit(f"{page_url}/?tab=models")
    with window.expect_popup() as popup:
        window.get_by_role("link", name="Walk-forward report").first.click()
    expect(popup.value.locator("body")).to_contain_text("random walk")
    assert popup.value.locator("img").count() > 0


def test_drift_and_realised_error_are_drawn_over_time(visit, page_url):
    window = visit(page_url)
    window.get_by_role("tab", name="Monitoring").click()
    expect(window.locator("#bw-drift")).to_contain_text("Drift")
    for chart in ("skill", "coverage", "error"):
        lines = window.locator(f"#bw-{chart}-chart .scatterlayer .trace")
        expect(lines).to_have_count(2)
        window.wait_for_function(
            "id => document.querySelector(id)?.getBoundingClientRect().width > 300",
            arg=f"#bw-{chart}-chart .main-svg",
        )
    expect(window.locator("#bw-realised tbody tr").first).to_be_visible()


def test_the_drift_report_opens_from_the_monitoring_tab(visit, page_url):
    window = visit(f"{page_url}/?tab=monitoring")
    with window.expect_popup() as popup:
        window.get_by_role("link", name="Open the drift report").click()
    expect(popup.value.locator("body")).to_contain_text("Drift", timeout=milliseconds(30_000))


def test_a_new_prediction_appears_in_the_live_feed_by_itself(visit, page_url, platform):
    window = visit(f"{page_url}/?tab=feed")
    rows = window.locator("#bw-feed tbody tr")
    expect(rows.first).to_be_visible()
    before = rows.count()
    assert before >= min(100, REPLAYED * 2 * len(SYMBOLS))
    newest = rows.first.inner_text()
    other = visit(f"{page_url}/?symbol={SYMBOLS[1]}&days=3")
    expect(other.locator("#bw-panel")).to_contain_text("P(rise)")
    # The feed's own page asks for the first symbol when it opens; that row may come in first.
    window.wait_for_function(
        "([text, symbol]) => { const row = document.querySelector('#bw-feed tbody tr');"
        " return row.innerText !== text && row.querySelector('td').innerText === symbol; }",
        arg=[newest, SYMBOLS[1]],
    )
    cells = rows.first.locator("td").all_inner_texts()
    assert cells[0] == SYMBOLS[1]
    assert cells[2] == "3"
    assert cells[-1].endswith("ms")


# when something is missing


@pytest.fixture(scope="module")
def lonely_url(settings, tmp_path_factory):
    """A page with nothing behind it: no server, no registry, an empty state folder."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    empty = tmp_path_factory.mktemp("empty")
    with page(settings, inference_url=nowhere, registry_url=nowhere, state_dir=empty) as url:
        yield url


def test_a_server_that_is_down_is_said_and_the_page_stays(visit, lonely_url):
    window = visit(lonely_url)
    expect(window.locator(".bw-status")).to_contain_text("the model server does not answer")
    expect(window.locator("#bw-trouble")).to_contain_text("The model server does not answer")
    no_stack_trace(window)


def test_a_registry_that_is_down_is_said_on_the_models_tab(visit, lonely_url):
    window = visit(f"{lonely_url}/?tab=models")
    expect(window.locator("#bw-models")).to_contain_text("The model registry does not answer")
    no_stack_trace(window)


def test_an_empty_log_and_no_drift_run_are_friendly_states(visit, lonely_url):
    window = visit(lonely_url)
    window.get_by_role("tab", name="Monitoring").click()
    expect(window.locator("#bw-drift")).to_contain_text("The drift job has not run yet")
    window.get_by_role("tab", name="Live feed").click()
    expect(window.locator("#bw-feed")).to_contain_text("No prediction has been logged yet")
    no_stack_trace(window)


def test_a_report_that_is_not_there_is_a_friendly_page_with_the_right_status(visit, page_url):
    window = visit(page_url)
    answer = window.goto(f"{page_url}/reports/walk-forward/999")
    assert answer.status == 404
    expect(window.locator("body")).to_contain_text("This model version is not served")


def test_prices_past_the_second_limit_are_refused_in_words(visit, platform):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    old = {"http_port": port, "inference_url": url, "refuse_after_seconds": 1.0}
    changed = platform.model_copy(update=old)
    changed.model_fields_set.update(old)
    with served(changed, "serving.server", url, "/v2/health/live"), page(changed) as shown:
        window = visit(shown)
        expect(window.locator("#bw-trouble")).to_contain_text(
            "The prices are too old to forecast from"
        )
        expect(window.locator(".bw-status")).to_contain_text("Not serving")
        no_stack_trace(window)


def test_the_page_recovers_by_itself_when_the_server_comes_back(visit, platform):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    moved = {"http_port": port, "inference_url": url}
    changed = platform.model_copy(update=moved)
    changed.model_fields_set.update(moved)
    with page(changed) as shown:
        window = visit(shown)
        expect(window.locator("#bw-trouble")).to_contain_text("The model server does not answer")
        expect(window.locator(".bw-status")).to_contain_text("Not serving")
        with window.expect_request("**/queue/join*"):
            pass  # the page has looked again, and still nobody answers
        with served(changed, "serving.server", url, "/v2/health/ready"):
            expect(window.locator("#bw-panel")).to_contain_text(
                "P(rise)", timeout=milliseconds(30_000)
            )
            expect(window.locator("#bw-trouble")).to_be_hidden()


def test_a_server_that_dies_under_an_open_page_is_said_and_the_last_chart_is_called_old(
    visit, platform
):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    moved = {"http_port": port, "inference_url": url}
    changed = platform.model_copy(update=moved)
    changed.model_fields_set.update(moved)
    chart = "#bw-forecast-chart .scatterlayer .trace"
    with page(changed) as shown:
        with served(changed, "serving.server", url, "/v2/health/ready"):
            window = visit(shown)
            expect(window.locator(chart)).to_have_count(6)
            expect(window.locator(".bw-status .bw-ok")).to_contain_text("Serving")
        status = window.locator(".bw-status")
        expect(status).to_contain_text("Not serving", timeout=milliseconds(20_000))
        expect(status.locator(".bw-ok")).to_have_count(0)
        expect(window.locator("#bw-old")).to_contain_text("Old. This forecast was made at")
        window.get_by_role("button", name="Forecast").click()
        expect(window.locator("#bw-trouble")).to_contain_text("goes on by itself")
        expect(window.locator(chart)).to_have_count(6)
        expect(window.locator("#bw-banner")).to_contain_text("SYNTHETIC PRICES")
        with served(changed, "serving.server", url, "/v2/health/ready"):
            expect(status).to_contain_text("Serving", timeout=milliseconds(30_000))
            expect(window.locator("#bw-trouble")).to_be_hidden()
            expect(window.locator("#bw-old")).to_be_hidden()
            expect(window.locator(chart)).to_have_count(6)


def test_a_page_whose_own_process_dies_says_so_and_loads_anew_when_it_is_back(visit, platform):
    port = free_port()
    with page(platform, page_port=port) as shown:
        window = visit(f"{shown}/?days=6")
        expect(window.locator("#bw-quantiles tbody tr")).to_have_count(6)
    chip = window.locator(".bw-status .bw-chip")
    expect(window.locator("#bw-away")).to_contain_text(
        "does not answer", timeout=milliseconds(20_000)
    )
    expect(chip).to_have_text("Not reachable")
    expect(chip).not_to_have_class(re.compile("bw-ok"))
    expect(window.locator("#bw-quantiles tbody tr")).to_have_count(6)
    expect(window.locator(".toast-body:visible")).to_have_count(0)
    with page(platform, page_port=port):
        expect(chip).to_have_text("Serving", timeout=milliseconds(40_000))
        expect(window.locator("#bw-away")).to_have_count(0)
        expect(window.locator(".toast-body:visible")).to_have_count(0)
        expect(window.locator("#bw-quantiles tbody tr")).to_have_count(6)


# retraining


def test_a_training_that_cannot_start_is_refused_in_words(visit, page_url):
    window = visit(f"{page_url}/?tab=retrain")
    window.get_by_label(re.compile("Symbols, comma separated")).fill("AAPL, $(reboot)")
    window.get_by_role("button", name="Start a training").click()
    expect(window.locator("#bw-training")).to_contain_text("A symbol is letters, digits")


def test_a_training_can_be_started_and_its_outcome_is_said(visit, page_url, platform):
    window = visit(f"{page_url}/?tab=retrain")
    button = window.get_by_role("button", name="Start a training")
    expect(window.locator("#bw-training")).to_contain_text("No training was started")
    window.get_by_role("combobox", name="Prices from").click()
    window.get_by_role("option", name="synthetic").click()
    window.get_by_label(re.compile("Symbols, comma separated")).fill(", ".join(SYMBOLS))
    button.click()
    expect(window.locator("#bw-training")).to_contain_text("Training")
    expect(button).to_be_disabled()
    ended = re.compile("Nothing was promoted, because|A new champion was promoted")
    expect(window.locator("#bw-training")).to_contain_text(ended, timeout=milliseconds(240_000))
    expect(button).to_be_enabled()
    no_stack_trace(window)


# where and how it is looked at


@pytest.mark.parametrize("tab", ["forecast", "models", "monitoring", "feed", "retrain"])
def test_no_tab_is_wider_than_a_phone(visit, page_url, tab):
    window = visit(f"{page_url}/?tab={tab}", size=PHONE)
    expect(window.locator("#bw-panel")).to_contain_text("P(rise)")
    assert window.evaluate("document.documentElement.scrollWidth") == PHONE[0]


def test_the_tabs_can_be_walked_with_the_keyboard(visit, page_url):
    window = visit(page_url)
    window.get_by_role("tab", name="Models").focus()
    window.keyboard.press("Enter")
    expect(window.locator("#bw-models")).to_be_visible()
    expect(window.get_by_role("tab", name="Models")).to_have_attribute("aria-selected", "true")


def test_light_and_dark_are_remembered(visit, page_url):
    window = visit(page_url, scheme="light")
    expect(window.locator("body")).not_to_have_class(re.compile(r"\bdark\b"))
    window.get_by_role("button", name="Switch between light and dark").click()
    expect(window.locator("body")).to_have_class(re.compile(r"\bdark\b"))
    window.reload()
    expect(window.locator("body")).to_have_class(re.compile(r"\bdark\b"))


def test_the_page_works_under_a_prefix_and_behind_a_proxy(visit, platform):
    with page(platform, page_root_path="/demo") as shown:
        window = visit(f"{shown}/demo/?days=4")
        expect(window.locator("#bw-quantiles tbody tr")).to_have_count(4)
        window.get_by_role("tab", name="Models").click()
        link = window.get_by_role("link", name="Walk-forward report").first
        assert link.get_attribute("href").startswith("/demo/reports/")
        no_stack_trace(window)


def test_every_answer_of_the_page_is_in_the_log(visit, page_url, platform):
    window = visit(f"{page_url}/?symbol={SYMBOLS[0]}&days=11")
    expect(window.locator("#bw-quantiles tbody tr")).to_have_count(11)
    log = PredictionLog(platform.prediction_log)
    wait_until(lambda: any(row.horizon == 11 for row in log.recent(10)), 15)
    log.close()
