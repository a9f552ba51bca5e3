"""The forecast tab: signal, warnings, quantile table and its download."""

import base64
import csv
import io
import re

import pytest

from gradio_app.views.forecast import banner, legend, quantile_csv, quantile_table, signal_panel
from tests.unit.gradio_app.page_records import card, check_html, forecast, text_of


def test_the_panel_says_signal_chance_version_freshness_and_time():
    shown = text_of(signal_panel(forecast(20), 0.0087, card(), 7_300.0))
    for words in ("▲ BUY", "P(rise) in 5 days", "P(rise) in 20 days", "v2 · ridge (challenger)",
                  "2023-09-21 20:00 UTC", "2 hours old", "8.7 ms", "9f3c2a71d8e04b55"):  # fmt: skip
        assert words in shown


@pytest.mark.parametrize("signal", ["buy", "sell", "hold"])
def test_every_signal_is_a_word_and_a_sign_not_a_colour_alone(signal):
    assert f" {signal.upper()}" in signal_panel(forecast(signal=signal), 0.1, None, None)


def test_a_random_walk_champion_says_that_only_its_interval_is_to_be_trusted():
    assert "nothing has beaten it" in signal_panel(
        forecast(model_kind="random_walk"), 0.1, None, None
    )
    assert "nothing has beaten it" not in signal_panel(forecast(), 0.1, None, None)


def test_the_panel_says_what_a_version_adds_to_the_random_walk_and_of_the_random_walk_nothing():
    assert "than the random walk&#x27;s today" in signal_panel(forecast(quantiles=forecast().baseline * [
        [0.9, 1, 1, 1, 1.1]]), 0.1, None, None)  # fmt: skip
    assert "today" not in signal_panel(forecast(model_kind="random_walk"), 0.1, None, None)


def test_the_legend_and_the_table_name_the_random_walk_only_beside_another_version():
    null = forecast(model_kind="random_walk")
    assert "random walk, 5-95 %" in legend(forecast())
    assert "random walk" not in legend(null)
    assert "Random walk 95 %" in quantile_table(forecast())
    assert "Random walk" not in quantile_table(null)
    assert "random_walk_p95" in quantile_csv(null)


def test_a_refused_challengers_signal_is_not_passed_off_as_the_platforms():
    assert "This challenger was refused" in signal_panel(forecast(), 0.1, card(), None)
    champion = card("champion", verdict="promote")
    assert "refused" not in signal_panel(forecast(), 0.1, champion, None)


def test_replay_synthetic_and_stale_data_are_said_before_any_number():
    assert "Historical replay" in banner(forecast())
    assert "SYNTHETIC PRICES" in banner(forecast(replay=False, synthetic=True))
    assert "Stale" in banner(forecast(stale=True))
    fallen_back = forecast(fallback="yahoo failed: prices of <b>Monday</b>")
    assert "Fallback.</b> yahoo failed: prices of &lt;b&gt;Monday" in banner(fallen_back)
    assert not banner(forecast(replay=False))


def test_the_quantile_table_has_one_row_per_bar():
    tags = check_html(quantile_table(forecast(30)))
    assert tags.count("tr") == 31


def test_the_download_is_the_whole_table_at_full_precision():
    answer = forecast(3)
    link = re.search(r'base64,([^"]+)"', quantile_table(answer)).group(1)
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(link).decode())))
    assert [float(row["p95"]) for row in rows] == answer.quantiles[:, 4].tolist()
    assert [float(row["random_walk_p05"]) for row in rows] == answer.baseline[:, 0].tolist()
    assert rows[0]["replay"] == "true"
    assert rows[0]["target_time"] == "2023-09-22T20:00:00+00:00"


def test_a_symbol_that_is_a_formula_stays_text_in_the_download():
    assert "'=1+1" in quantile_csv(forecast(symbol="=1+1"))
