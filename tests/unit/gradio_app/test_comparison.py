"""The comparison asks each version the same question, and says which gave no answer and why."""

from types import SimpleNamespace

import pytest

from forecasting.adapters.registry.records import ModelVersion
from forecasting.errors import BundleRejected, RegistryUnavailable, ServerUnavailable
from gradio_app.comparison import MAX_VERSIONS, Comparison
from gradio_app.handlers import _with_notice
from tests.unit.gradio_app.page_records import forecast, history, text_of


class Data:
    """Versions 1 to 10; an answer that is an error is raised."""

    def __init__(self, registry=None, **failures):
        self.asked, self.failures = [], failures
        self.client = SimpleNamespace(metadata=lambda: {"versions": [str(n) for n in range(1, 11)]})
        records = [ModelVersion("10", "", {"kind": "ridge"}, (), 0)]
        self.registry = registry or SimpleNamespace(
            aliases=lambda: {"champion": "3", "challenger": "9"}, versions=lambda: records
        )

    def symbols(self):
        return ["AAPL", "MSFT"]

    def max_horizon(self):
        return 250

    def history(self, _):
        return history()

    def forecast(self, symbol, days, version):
        self.asked.append((symbol, days, version))
        if error := self.failures.get(f"v{version}"):
            raise error
        return forecast(days, symbol=symbol, model_version=version)


def comparison(**answers):
    return Comparison(Data(**answers), _with_notice)


def test_all_versions_of_the_server_are_offered_the_newest_first():
    symbol, days, versions = comparison().offer(None, [])
    assert (symbol["value"], days["maximum"]) == ("AAPL", 250)
    assert [number for _, number in versions["choices"]][:3] == ["10", "9", "8"]
    assert versions["choices"][0][0] == "v10 ridge"
    assert versions["choices"][1][0] == "v9 \N{MIDDLE DOT} challenger"
    assert versions["value"] == ["3", "9"]


def test_what_a_reader_chose_stays_chosen():
    symbol, _, versions = comparison().offer("MSFT", ["4", "77", "5"])
    assert (symbol["value"], versions["value"]) == ("MSFT", ["4", "5"])


def test_without_a_registry_versions_are_offered_by_number():
    def away():
        raise RegistryUnavailable("gone")

    registry = SimpleNamespace(aliases=away, versions=away)
    versions = comparison(registry=registry).offer(None, [])[2]
    assert versions["choices"][0] == ("v10", "10")
    assert versions["value"] == ["10", "9"]


def test_each_version_is_asked_once_and_stands_in_chart_and_table():
    shown = comparison()
    title, trouble, figure, table = shown.compare("AAPL", 3.0, ["2", "1", "2"])
    assert shown._data.asked == [("AAPL", 3, "2"), ("AAPL", 3, "1")]
    assert trouble == ""
    assert {line.name for line in figure.data} >= {"Close", "v1", "v2"}
    assert "v2" in title
    assert text_of(table).index("v2 ridge") < text_of(table).index("v1 ridge")
    assert table.count("<tr>") == 2 + 2 + 3


def test_a_refused_version_is_named_and_the_others_are_shown():
    refused = BundleRejected("a digest must fit", "it does not")
    _, trouble, figure, table = comparison(v2=refused).compare("AAPL", 3, ["1", "2", "3"])
    assert "v2: " in trouble
    assert "A digest must fit" in trouble
    assert figure is not None
    assert "v2" not in text_of(table)


def test_one_version_is_nothing_to_compare():
    assert "Choose two or more versions" in comparison().compare("AAPL", 3, ["1"])[1]


def test_no_more_versions_are_asked_than_can_be_told_apart():
    shown = comparison()
    shown.compare("AAPL", 3, [str(n) for n in range(1, 11)])
    assert len(shown._data.asked) == MAX_VERSIONS


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_server_that_is_away_is_said_once(number):
    gone = {f"v{number}": ServerUnavailable("the model server must be reachable", "gone")}
    _, trouble, figure, table = comparison(**gone).compare("AAPL", 3, ["1", "2"])
    assert trouble.count("The model server does not answer") == 1
    assert (figure, table) == (None, "")
