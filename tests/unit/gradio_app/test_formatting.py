"""Numbers, instants and time spans as the page writes them."""

import pytest

from gradio_app import formatting


@pytest.mark.parametrize(
    ("value", "written"),
    [(1234.5, "1,234.50"), (173.93, "173.93"), (1.08512, "1.0851"), (0.0345, "0.034500"),
     (float("nan"), formatting.NOTHING)],
)  # fmt: skip
def test_a_price_is_written_with_the_digits_that_matter(value, written):
    assert formatting.price(value) == written


def test_a_negative_share_has_a_true_minus_and_zero_has_no_sign():
    assert formatting.percent(-0.0042, 2, signed=True) == f"{formatting.MINUS}0.42 %"
    assert formatting.percent(-0.000001, signed=True) == "0.0 %"
    assert formatting.percent(None) == formatting.NOTHING


def test_a_probability_never_claims_more_than_the_grid_knows():
    assert formatting.chance(0.01) == "at most 1 %"
    assert formatting.chance(0.99) == "at least 99 %"
    assert formatting.chance(0.534) == "53 %"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.00042, "0.4 ms"), (3.21, "3.2 s"), (75, "75 s"), (600, "10 minutes"), (7_300, "2 hours"),
     (4 * 86_400, "4 days")],
)  # fmt: skip
def test_a_time_span_is_written_in_its_natural_unit(seconds, written):
    assert formatting.duration(seconds) == written
