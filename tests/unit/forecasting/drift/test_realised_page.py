"""The page on forecasts that have come due: figures, words, and nothing that a name could inject."""

import pytest

from forecasting.drift.realised_page import realised_page
from forecasting.live.outcomes import LeftOut
from forecasting.live.variance import RealisedVariance
from tests.unit.gradio_app.page_records import EVIL, SCORE, drift_run, text_of


def shown(ratio=1.2, low=0.86, high=1.14, **changes):
    found = RealisedVariance("1", 5, 330, 55, ratio, low, high)
    return realised_page(drift_run(realised=[SCORE], variances=(found,), **changes))


def test_every_version_and_horizon_is_a_row_with_its_limits():
    page = shown()
    assert "v1 5 330 55 - +0.8 % 91.2 % 1.20 0.86 to 1.14 20 % further than said" in text_of(page)
    assert "<tr class=judged>" in page
    assert "<tr class=judged>" not in shown(1.1)
    assert "historical replay" in text_of(page)


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ((1.2,), "5 bars ahead prices moved 20 % further than said by version 1, in variance, on the newest 55 dates: more than chance explains."),
        ((0.9,), "10 % less far than said by version 1, in variance, on the newest 55 dates: chance explains that."),
        ((1.2, None, None), "in variance, on the newest 55 dates: too few to say whether that is chance."),
    ],
)  # fmt: skip
def test_the_champions_variance_is_said_in_words(figures, sentence):
    assert sentence in text_of(shown(*figures))


def test_a_version_without_a_ratio_and_a_champion_without_forecasts_are_said():
    page = text_of(realised_page(drift_run(realised=[SCORE])))
    assert "v1 5 330 55 - +0.8 % 91.2 % - - -" in page
    assert "No forecast of the champion has come due." in page


def test_what_is_left_out_stands_beside_its_figures():
    page = text_of(shown(left_out=(LeftOut("1", 5, 3, 1_200, 2), LeftOut("1", 1, 9, 0))))
    assert "v1 5 330 55 3 late, 1,200 learned, 2 ended +0.8 %" in page
    assert "9 late" not in page


def test_names_are_text():
    page = shown(dataset=EVIL, source=EVIL)
    assert EVIL not in page
    assert page.count("&lt;script&gt;") == 2


def test_the_short_span_is_said_too():
    recent = RealisedVariance("1", 5, 300, 50, 2.0, 0.6, 1.4)
    page = text_of(shown(1.1, recent_variances=(recent,)))
    assert (
        "100 % further than said by version 1, in variance, on the newest 50 dates: more than"
        in page
    )
    assert page.index("newest 55 dates") < page.index("newest 50 dates")
