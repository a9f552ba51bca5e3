"""The style sheet names every colour it uses, in both schemes, and fetches nothing."""

import re

from forecasting.report.style import METHODS, STYLE


def test_every_colour_is_defined_for_both_schemes():
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    defined = [set(re.findall(r"(--[a-z]+):", block)) for block in (light, dark)]
    assert defined[0] == defined[1]
    assert set(re.findall(r"var\((--[a-z]+)\)", STYLE)) - {"--w"} == defined[0]


def test_braces_and_tags_are_balanced_and_nothing_is_fetched():
    assert STYLE.count("{") == STYLE.count("}")
    assert METHODS.count("<p>") == METHODS.count("</p>")
    for text in (STYLE, METHODS):
        assert not re.search(r"url\(|@import|https?:", text)
