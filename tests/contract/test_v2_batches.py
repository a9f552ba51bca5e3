"""A request for several symbols: those are answered that can be, and the others are named."""

import dataclasses
import shutil
from datetime import UTC, datetime

import orjson
import pytest

from tests.contract.test_v2_rest import Server, as_of, horizon, symbols
from tests.served_models import make_bundle, make_features, publish


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batches")
    make_bundle(folder / "bundle")
    return folder


@pytest.fixture
def halted(folder, tmp_path):
    """A server for which MSFT stopped trading 40 days ago."""
    served = make_features(replay=False)
    start, stop = int(served.offsets[1]), int(served.offsets[2])
    stamps = served.timestamps.copy()
    stamps[start:stop] -= 40 * 86_400 * 10**9
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    publish(tmp_path / "lake", dataclasses.replace(served, timestamps=stamps))
    return Server(tmp_path)


def test_a_symbol_that_stopped_trading_is_refused_and_the_others_of_its_batch_answered(halted):
    alone = halted.infer(symbols("MSFT"))
    assert (alone.status_code, "MSFT" in alone.json()["error"]) == (424, True)
    plain = halted.infer(symbols("AAPL"), horizon(3)).json()
    batch = halted.infer(symbols("MSFT", "AAPL", "NVDA"), horizon(3))
    assert batch.status_code == 200
    told = batch.json()
    assert told["outputs"] == plain["outputs"]
    refused = orjson.loads(told["parameters"].pop("refused"))
    assert [(row["symbol"], row["status"], row["kind"]) for row in refused] == [
        ("MSFT", 424, "StaleData"),
        ("NVDA", 404, "UnknownSymbol"),
    ]
    assert refused[0]["error"] == alone.json()["error"]
    assert told["parameters"] == plain["parameters"]


def test_a_batch_of_which_nothing_can_be_answered_gets_its_first_error(halted):
    answer = halted.infer(symbols("NVDA", "MSFT"))
    assert (answer.status_code, "NVDA" in answer.json()["error"]) == (404, True)


def test_who_wants_all_or_nothing_gets_nothing(halted):
    answer = halted.infer(symbols("AAPL", "MSFT"), parameters={"all_or_nothing": True})
    assert answer.status_code == 424
    wrong = halted.infer(symbols("AAPL", "MSFT"), parameters={"all_or_nothing": "yes"})
    assert (wrong.status_code, "true or false" in wrong.json()["error"]) == (400, True)


def test_a_past_instant_is_answered_for_the_symbols_that_traded_then(halted):
    (newest,) = halted.outputs(symbols("AAPL"))["as_of"]
    then = as_of(datetime.fromtimestamp(newest / 1000 - 20 * 86_400, UTC).isoformat())
    batch = halted.infer(symbols("AAPL", "MSFT"), then).json()
    assert batch["outputs"] == halted.infer(symbols("AAPL"), then).json()["outputs"]
    assert '"MSFT","status":424' in batch["parameters"]["refused"]
