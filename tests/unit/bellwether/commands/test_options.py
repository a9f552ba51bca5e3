"""Which symbols and which source a command means."""

import pytest

from bellwether.commands.options import DEFAULT_SAMPLE, chosen_symbols, source_options
from forecasting.errors import InvalidSettings


@pytest.mark.parametrize(
    ("text", "source", "symbols"),
    [
        ("", "sample", DEFAULT_SAMPLE),
        (" AAPL, META,AAPL ,", "yahoo", ("AAPL", "META")),
        ("", "synthetic", ()),
        ("", "files", ()),
    ],
)
def test_symbols_are_those_named_or_the_sources_own(text, source, symbols):
    assert chosen_symbols(text, source) == symbols


def test_a_live_source_needs_symbols_and_an_unknown_one_is_refused():
    with pytest.raises(InvalidSettings, match="a live source needs symbols"):
        chosen_symbols("", "yahoo")
    with pytest.raises(InvalidSettings, match="a source must be known"):
        chosen_symbols("AAPL", "nowhere")


def test_files_belong_to_the_source_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert source_options("files", "a.csv") == {"path": str(tmp_path / "a.csv")}
    assert source_options("sample", "") == {}
    with pytest.raises(InvalidSettings, match="needs a path"):
        source_options("files", "")
    with pytest.raises(InvalidSettings, match="belongs to"):
        source_options("sample", "a.csv")
