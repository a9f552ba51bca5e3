"""A kept forecast is the forecast: same bytes, gone with its features, as stale as they are."""

from datetime import timedelta

import pytest

from tests import served_models
from tests.contract.test_v2_rest import Server, horizon, symbols
from tests.served_models import make_bundle, make_features, publish


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    make_bundle(folder / "bundle")
    publish(folder / "lake", make_features())
    return folder


@pytest.mark.parametrize("bars", [1, 7, 30])
def test_the_first_the_second_and_the_computed_answer_are_the_same_bytes(folder, bars):
    keeping = Server(folder)
    computing = Server(folder, keep_forecasts=False)
    asked = {"outputs": [{"name": "quantiles"}, {"name": "signal"}, {"name": "as_of"}]}
    for fields in ({}, asked):
        answers = [
            server.infer(symbols("AAPL"), horizon(bars), **fields)
            for server in (keeping, keeping, computing)
        ]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1


def test_the_callers_id_is_not_kept(folder):
    server = Server(folder)
    assert server.infer(symbols("AAPL"), id="one").json()["id"] == "one"
    assert server.infer(symbols("AAPL"), id="two").json()["id"] == "two"
    assert "id" not in server.infer(symbols("AAPL")).json()


def test_new_features_are_answered_from_at_once(tmp_path):
    make_bundle(tmp_path / "bundle")
    publish(tmp_path / "lake", make_features())
    server = Server(tmp_path)
    before = server.infer(symbols("AAPL")).json()
    publish(tmp_path / "lake", make_features(snapshot_id="6" * 16))
    served_models.load_into(server.predictor, server.settings)
    after = server.infer(symbols("AAPL")).json()
    assert before["parameters"]["snapshot"] == "5" * 16
    assert after["parameters"]["snapshot"] == "6" * 16


def test_a_kept_answer_turns_stale_with_its_bar_and_is_refused_at_last(tmp_path, monkeypatch):
    make_bundle(tmp_path / "bundle")
    publish(tmp_path / "lake", make_features(age=timedelta(days=1)))
    server = Server(tmp_path)
    assert server.outputs(symbols("AAPL"))["stale"].tolist() == [False]
    limits = server.predictor._limits
    for changes, status, stale in (
        ({"stale_after": 60.0}, 200, [True]),
        ({}, 200, [False]),
        ({"refuse_after": 60.0}, 424, None),
    ):
        monkeypatch.setattr(
            server.predictor, "_limits", type(limits)(**{**vars(limits), **changes})
        )
        answer = server.infer(symbols("AAPL"))
        assert answer.status_code == status
        if stale is not None:
            assert server.outputs(symbols("AAPL"))["stale"].tolist() == stale


def test_no_more_answers_are_kept_than_the_limit(folder, monkeypatch):
    monkeypatch.setattr("serving.inference.CACHED_BARS", 5 * 30)
    server = Server(folder)
    for bars in range(1, 13):
        server.outputs(symbols("AAPL"), horizon(bars))
    (version,) = server.predictor.state.versions.values()
    assert 0 < len(version.answers) <= 5
