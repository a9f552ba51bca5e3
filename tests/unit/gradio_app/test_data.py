"""What the page asks for, joined from the adapters, over adapters that answer from memory."""

from datetime import timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from forecasting.adapters.registry.records import ModelVersion
from forecasting.errors import (
    InvalidSettings,
    NotReady,
    RegistryUnavailable,
    ServerUnavailable,
    UnknownSymbol,
)
from forecasting.evaluation.promotion_outcome import PromotionOutcome
from forecasting.features.spec import FeatureSpec
from forecasting.schema import MAX_HORIZON
from forecasting.settings import Settings
from gradio_app.data import PageData
from gradio_app.status import DataSource
from tests.unit.gradio_app.page_records import AS_OF, forecast

DEFAULT = {"kind": "random_walk", "verdict": "default", "kfp_run_id": "run-1", "dataset": "usual"}
REFUSED = {"kind": "ridge", "verdict": "refuse", "verdict_reason": "p 0.7", "kfp_run_id": "run-1"}
SPEC = FeatureSpec(symbols=("A", "B"))


class Registry:
    """A registry with a champion and a challenger."""

    def __init__(self, **versions):
        self.tags = versions
        self.aliased = {"champion": "v1", "challenger": "v2"}
        self.asked = 0
        self.error = None

    def aliases(self):
        self.asked += 1
        if self.error:
            raise self.error
        return self.aliased

    def version(self, version):
        return ModelVersion(version, f"run of {version}", self.tags[version], (), 0)

    def run(self, _):
        return None

    def specification(self, _):
        if self.error:
            raise self.error
        return SPEC


class Client:
    """A model server that serves, or fails."""

    error = None

    def why_not_ready(self):
        if isinstance(self.error, ServerUnavailable):
            raise self.error
        return self.error

    def symbols(self):
        if self.error:
            raise self.error
        return ["MSFT", "AAPL"]

    def max_horizon(self):
        if self.error:
            raise self.error
        return 250

    def forecast(self, symbols, **question):
        self.question = (symbols, question)
        return [forecast(symbol=symbols[0])]


class Lake:
    """A lake with one dataset, its snapshot and its served features."""

    served = SimpleNamespace(
        source="sample", replay=True, synthetic=False, fallback="", last_bar=AS_OF,
        symbols=("B", "A"), clock=SimpleNamespace(age_seconds=lambda: 60.0),
    )  # fmt: skip

    def __init__(self):
        self.reads = 0

    def served_id(self, dataset, specification):
        return "9f" if (dataset, specification) == ("usual", SPEC.digest) else None

    def served_features(self, *_):
        self.reads += 1
        return self.served

    def snapshot(self, dataset, identity):
        if dataset != "usual":
            raise InvalidSettings("no such dataset", dataset)
        return SimpleNamespace(dataset=dataset, id=identity)

    def read(self, _):
        self.reads += 1
        rows = [
            ("AAPL", AS_OF - timedelta(days=1), 10.0, 1.0),
            ("AAPL", AS_OF, 5.5, 2.0),
            ("AAPL", AS_OF + timedelta(days=1), 6.0, 1.0),
            ("MSFT", AS_OF, 99.0, 1.0),
        ]
        return pd.DataFrame(rows, columns=["symbol", "timestamp", "close", "split"])


@pytest.fixture
def data():
    registry = Registry(v1=DEFAULT, v2=REFUSED)
    return PageData(Settings(), Client(), registry, None, None, Lake(), None)


# the forecast


def test_a_forecast_is_asked_for_with_the_random_walk_beside_it(data):
    assert data.forecast(" AAPL ", 5).symbol == "AAPL"
    assert data.client.question == (["AAPL"], {"horizon": 5, "version": None, "baseline": True})
    with pytest.raises(UnknownSymbol, match="needs a symbol"):
        data.forecast("  ", 5)


def test_the_history_ends_where_the_forecast_begins_and_is_split_adjusted(data):
    history = data.history(forecast())
    assert history["close"].tolist() == [5.0, 5.5]
    assert history["timestamp"].tolist() == [AS_OF - timedelta(days=1), AS_OF]
    data.history(forecast())
    assert data.lake.reads == 1


def test_a_forecast_from_a_snapshot_that_the_lake_lacks_has_no_history(data):
    data.registry.error = RegistryUnavailable("gone")
    assert data.history(forecast()).empty


def test_the_symbols_are_the_servers_and_else_the_lakes(data):
    assert data.symbols() == ["AAPL", "MSFT"]
    data.forget()
    data.client.error = ServerUnavailable("gone")
    assert data.symbols() == ["A", "B"]


# the status


def test_the_longest_forecast_is_the_served_versions_and_else_the_usual_one(data):
    assert data.max_horizon() == 250
    data.client.error = NotReady("not yet")
    data.forget()
    assert data.max_horizon() == MAX_HORIZON


def test_the_status_names_the_champion_and_its_data(data):
    status = data.status()
    assert (status.ready, status.detail) == (True, "champion vv1 random walk")
    assert (status.last_bar, status.age_seconds) == (AS_OF, 60.0)
    assert status.data_source == DataSource("sample", True, False)


@pytest.mark.parametrize("error", [ServerUnavailable("gone"), NotReady("no bundle")])
def test_a_server_that_cannot_answer_is_not_ready_and_says_why(data, error):
    data.client.error = error
    assert not data.status().ready
    with pytest.raises(type(error)):
        data.require_ready()


def test_the_dataset_last_known_is_read_on_while_the_registry_is_away(data):
    assert data.served() is not None
    data.forget()
    data.registry.error = RegistryUnavailable("gone")
    assert data.status().detail == "registry not reachable"
    assert data.status().data_source is not None


# models


def test_a_version_that_is_champion_and_challenger_is_shown_once(data):
    assert [card.role for card in data.models()] == ["champion", "challenger"]
    data.forget()
    data.registry.aliased = {"champion": "v2", "challenger": "v2"}
    assert [(card.role, card.version) for card in data.models()] == [("champion", "v2")]


def test_the_registry_is_asked_once_for_what_it_answered_a_moment_ago(data):
    for _ in range(3):
        data.models()
    assert data.registry.asked == 1
    data.forget()
    data.models()
    assert data.registry.asked == 2


def test_a_registry_that_is_away_is_waited_for_once(data):
    data.registry.error = RegistryUnavailable("gone")
    for _ in range(3):
        with pytest.raises(RegistryUnavailable):
            data.models()
    assert data.registry.asked == 1


# what a pipeline run decided


def test_a_runs_outcome_is_that_of_the_version_its_gates_judged(data):
    assert data.outcome_of_run("run-1") == PromotionOutcome("refused", "v2", "p 0.7")
    data.registry.aliased = {"champion": "v2"}
    data.registry.tags["v2"] = {**REFUSED, "verdict": "promote", "kfp_run_id": "run-3"}
    assert data.outcome_of_run("run-3") == PromotionOutcome("promoted", "v2", "p 0.7")


def test_a_run_that_registered_neither_version_has_no_known_outcome(data):
    assert data.outcome_of_run("run-2") is None
    data.registry.error = RegistryUnavailable("gone")
    assert data.outcome_of_run("run-4") is None
