"""What a champion that learns a width adds, in a real browser: trained on real prices, and promoted."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from forecasting.adapters.inference import InferenceClient
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.prediction_log.log import PredictionLog
from gradio_app.charts import NULL_EDGE
from pipelines.local import RefreshParams, TrainingParams, run_refresh, run_training
from tests.browser.conftest import page, served, settings_of
from tests.time_limits import seconds, wait_until

pytestmark = pytest.mark.browser

ASKED, NOT_ASKED = "META", "NVDA"
PHONE = (390, 844)
WIDTH = re.compile(
    r"The 90 % interval for 10 days is (\d+) % (wider|narrower) than the random walk"
)
RECORD = re.compile(
    r"over the test years it was (as|more|less) often right \(\d\d\.\d % against \d\d\.\d %\), "
    r"with a pinball loss \d\.\d % lower over all horizons"
)


@pytest.fixture(scope="module")
def settings(mlflow_url, tmp_path_factory):
    return settings_of(tmp_path_factory.mktemp("added") / "state", mlflow_url, "added")


@pytest.fixture(scope="module")
def page_url(settings):
    """The page over a promoted `har`, which was asked for one symbol's forecast of the bar before."""
    about = {"source": "sample", "dataset": "sample-1d"}
    run_training(
        settings,
        TrainingParams(
            **about, train_until="2023-07-01", candidates=("har", "random_walk"), folds=4
        ),
    )
    run_refresh(settings, RefreshParams(**about))
    with served(settings, "serving.server", settings.inference_url, "/v2/health/ready"):
        lake = Lake(settings.lake)
        before = sorted(lake.read(lake.latest("sample-1d"))["timestamp"].unique())[-2]
        with InferenceClient(
            settings.inference_url, settings.registered_model, timeout=seconds(10)
        ) as client:
            client.forecast([ASKED], 20, as_of=before.to_pydatetime())
        log = PredictionLog(settings.prediction_log)
        wait_until(lambda: len(log.recent()) == 1, 20)
        log.close()
        with page(settings) as url:
            yield url


def drawn(window):
    """The figure's lines by name, in the order in which they are drawn."""
    expect(window.locator("#bw-forecast-chart .scatterlayer .trace")).to_have_count(9)
    lines = window.evaluate(
        "document.querySelector('#bw-forecast-chart .js-plotly-plot')._fullData"
        ".map(line => [line.name, Array.from(line.y)])"
    )
    return dict(lines)


@pytest.mark.parametrize(
    ("size", "scheme"), [((1440, 900), "light"), ((1440, 900), "dark"), (PHONE, "light")]
)
def test_words_and_outline_say_the_same_of_the_random_walk(visit, page_url, size, scheme):
    window = visit(f"{page_url}/?symbol={ASKED}&days=10", size=size, scheme=scheme)
    panel = window.locator("#bw-panel")
    expect(panel).to_contain_text("HAR (champion)")
    expect(panel).to_contain_text(RECORD)
    expect(panel).to_contain_text("it claims no direction")
    said = WIDTH.search(panel.inner_text())
    lines = drawn(window)
    fan = lines["5-95 %"][-1] - lines["5-95 % low"][-1]
    null = lines["Random walk 95 %"][-1] - lines["Random walk 5 %"][-1]
    change = fan / null - 1
    assert (int(said[1]), said[2]) == (
        round(abs(change) * 100),
        "wider" if change > 0 else "narrower",
    )
    names = list(lines)
    assert names.index("Random walk 95 %") < names.index("5-95 % low")

    red, green, blue = (int(NULL_EDGE[n : n + 2], 16) for n in (1, 3, 5))
    edges = window.locator(f"#bw-forecast-chart .js-line[style*='rgb({red}, {green}, {blue})']")
    expect(edges).to_have_count(3)
    assert all("stroke-dasharray" in edge.get_attribute("style") for edge in edges.all())
    expect(window.locator(".bw-key")).to_contain_text("random walk, 5-95 %")
    assert window.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_parts_of_the_change_since_the_bar_before_add_up(visit, page_url):
    window = visit(f"{page_url}/?symbol={ASKED}&days=10")
    change = window.locator("#bw-change")
    expect(change).to_contain_text("Since the forecast of Wed 20 Sep 2023")
    expect(change.locator("table")).to_be_hidden()
    change.get_by_text("Why does it differ?").click()
    expect(change.locator("tbody th")).to_have_text(["New price", "New width", "In all"])
    cells = [
        text.replace("\N{MINUS SIGN}", "-") for text in change.locator("tbody td").all_inner_texts()
    ]
    price, width, whole = np.array([float(text.split()[0]) for text in cells]).reshape(3, 4)
    np.testing.assert_allclose(price + width, whole, atol=0.011)
    assert len(set(price[:3])) == 1
    assert abs(price[0]) > 0.1
    assert width[0] == pytest.approx(-width[2], abs=0.011)


def test_a_symbol_nobody_asked_for_before_has_no_explanation_and_the_page_says_so(visit, page_url):
    window = visit(f"{page_url}/?symbol={NOT_ASKED}&days=10")
    expect(window.locator("#bw-change")).to_contain_text(
        "none that was made in the last 30 days is on record"
    )


def test_the_models_tab_says_how_wide_the_interval_was_in_calm_and_in_storm(visit, page_url):
    window = visit(f"{page_url}/?tab=models")
    thirds = window.locator(".bw-thirds")
    expect(thirds).to_contain_text(
        re.compile(r"v2 HAR: about right in calm \(it held 8\d\.\d % to 9\d\.\d % of outcomes\)")
    )
    expect(thirds.locator("tbody tr")).to_have_count(5)
