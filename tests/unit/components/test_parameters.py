"""Parameters written as text: each name once, options as an object or refused."""

import pytest

from components.parameters import listed, read_options
from forecasting.errors import InvalidSettings


def test_names_keep_their_order_and_come_once():
    assert listed(" MSFT, AAPL ,,MSFT") == ("MSFT", "AAPL")
    assert listed("") == ()


def test_options_are_a_json_object_and_none_for_an_empty_text():
    assert read_options('{"path": "prices.csv"}') == {"path": "prices.csv"}
    assert read_options("") == {}


@pytest.mark.parametrize("text", ["[1]", "path=prices.csv", "3"])
def test_options_that_are_no_object_are_refused(text):
    with pytest.raises(InvalidSettings, match="is a JSON object"):
        read_options(text)
