"""The V2 protocol over REST, on the real application with a real bundle and real features."""

import asyncio
import gzip
import shutil
import zlib
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecasting.bundle.bundle import load_bundle
from forecasting.errors import NotReady
from forecasting.features.build import FeatureSpec, build_features, features_of_bars
from forecasting.features.variance import WINDOWS
from forecasting.inference_protocol.messages import (
    DEFAULT_OUTPUTS,
    HEADER_LENGTH,
    INPUTS,
    MAX_BODY_BYTES,
    OUTPUTS,
)
from forecasting.inference_protocol.tensors import pack_texts, unpack_texts
from forecasting.instants import to_milliseconds
from forecasting.settings import Settings
from serving.v2_rest import V2Application
from serving.work_queue import WorkQueue
from tests import served_models
from tests.clock import machine_now
from tests.served_models import SPEC, SYMBOLS, make_bundle, make_features, own_bars, publish
from tests.unit.forecasting.inference_protocol.test_messages import REQUEST

INFER = "/v2/models/bellwether/infer"


async def elsewhere(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"elsewhere"})


class Server:
    """The application, called in this process as Uvicorn would call it."""

    def __init__(self, folder, **changes):
        self.settings = Settings(
            state_dir=folder,
            bundle_url=str(folder / "bundle"),
            model_version="3",
            **changes,
        )
        self.predictor = served_models.make_predictor(self.settings)
        self.application = V2Application(self.predictor, "9", elsewhere)

    def ask(self, method, path, **request):
        async def call():
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **request)

        return asyncio.run(call())

    def infer(self, *inputs, path=INFER, **fields):
        return self.ask("POST", path, json={"inputs": list(inputs), **fields})

    def outputs(self, *inputs, **fields):
        answer = self.infer(*inputs, **fields)
        assert answer.status_code == 200, answer.text
        return {
            one["name"]: np.array(one["data"]).reshape(one["shape"])
            for one in answer.json()["outputs"]
        }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    make_bundle(folder / "bundle")
    publish(folder / "lake", make_features())
    return folder


@pytest.fixture(scope="module")
def server(folder):
    return Server(folder)


def symbols(*names):
    return {"name": "symbols", "datatype": "BYTES", "shape": [len(names)], "data": list(names)}


def horizon(bars):
    return {"name": "horizon", "datatype": "INT64", "shape": [1], "data": [bars]}


def as_of(text):
    return {"name": "as_of", "datatype": "BYTES", "shape": [1], "data": [text]}


def bars_inputs(millis, ohlcv):
    return (
        {
            "name": "bars",
            "datatype": "FP64",
            "shape": list(ohlcv.shape),
            "data": ohlcv.reshape(-1).tolist(),
        },
        {
            "name": "timestamps",
            "datatype": "INT64",
            "shape": [len(millis)],
            "data": millis.tolist(),
        },
    )


# telling the truth about itself


def test_the_server_is_live_and_ready(server):
    assert server.ask("GET", "/v2/health/live").json() == {"live": True}
    assert server.ask("GET", "/v2/health/ready").json() == {"ready": True}
    assert server.ask("GET", "/v2").json()["extensions"] == ["binary_tensor_data"]
    assert server.ask("GET", "/v2/models").json() == {"models": ["bellwether"]}


def test_metadata_lists_inputs_outputs_versions_and_symbols(server):
    about = server.ask("GET", "/v2/models/bellwether").json()
    assert about["versions"] == ["3"]
    assert {one["name"]: one["datatype"] for one in about["inputs"]} == {
        name: spec.datatype for name, spec in INPUTS.items()
    }
    assert {one["name"] for one in about["outputs"]} == set(OUTPUTS)
    assert about["symbols"] == list(SYMBOLS)
    assert about["max_horizon"] == 30
    assert server.ask("GET", "/v2/models/bellwether/versions/3").json()["versions"] == ["3"]


def test_a_version_is_ready_by_name_and_an_unknown_one_is_not_found(server):
    ready = server.ask("GET", "/v2/models/bellwether/versions/3/ready")
    assert ready.json() == {"name": "bellwether", "version": "3", "ready": True}
    for path in ("", "/ready"):
        missing = server.ask("GET", f"/v2/models/bellwether/versions/4{path}")
        assert missing.status_code == 404
        assert "Loaded: 3" in missing.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/other",
        "/v2/models/other/infer",
        "/v2/models/bellwether/",
        "/v2/models/bellwether/versions",
        "/v2/models/bellwether/versions/3/other",
        "/v2/models/bellwether/versions/",
        "/v2/models/bellwether/versions//",
        "/v2/models/bellwether/versions//infer",
        "/v2/models/bellwether/versions//ready",
        "/v2/models//infer",
        "/v2/models/bellwether%2Finfer",
        "/v2/models/bellwether/versions%2F3/infer",
        "/v2%2Fmodels",
        "/v2/models/bellwether/infer/more",
        "/v2/repository/models/bellwether/unload",
        "/v2/health",
        "/v2/",
        "/v2x/models",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_not_found(server, path, method):
    answer = server.ask(method, path)
    if path.startswith(("/v2x", "/v2%2F")):
        assert answer.status_code == 299
    else:
        assert answer.status_code == 404
        assert "there is no" in answer.json()["error"]


@pytest.mark.parametrize("version", ["3%2Finfer", "9", "%00", "%0A", "%FF", "../3", "3?x=/"])
def test_a_version_with_odd_characters_is_unknown_or_no_path(server, version):
    answer = server.infer(symbols("AAPL"), path=f"/v2/models/bellwether/versions/{version}/infer")
    assert answer.status_code in {404, 405}
    assert answer.json()["error"].isprintable()


def test_a_path_may_be_percent_encoded(server):
    answer = server.infer(symbols("AAPL"), path="/v2/models/bell%77ether/versions/%33/infer")
    assert answer.status_code == 200


def test_a_wrong_method_is_told_the_right_one(server):
    answer = server.ask("GET", INFER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = server.ask("POST", "/v2/health/ready")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_other_paths_go_to_the_application_behind(server):
    assert server.ask("GET", "/metrics").text == "elsewhere"


# forecasts


def test_a_forecast_is_what_bundle_and_features_say(server, folder):
    served = make_features()
    bundle = load_bundle(folder / "bundle")
    rows = [served.last_row(symbol) for symbol in SYMBOLS]
    expected = bundle.forecast(served.values[rows], served.scale[rows], served.close[rows], 12)
    answer = server.infer(symbols(*SYMBOLS), horizon(12), id="q1").json()
    outputs = {one["name"]: one for one in answer["outputs"]}
    assert (answer["id"], answer["model_name"], answer["model_version"]) == (
        "q1",
        "bellwether",
        "3",
    )
    assert list(outputs) == list(DEFAULT_OUTPUTS)
    assert outputs["quantiles"]["shape"] == [3, 12, 5]
    np.testing.assert_allclose(
        outputs["quantiles"]["data"], expected.quantiles.reshape(-1), rtol=1e-6
    )
    np.testing.assert_allclose(
        outputs["probability_of_rise"]["data"], expected.probability_of_rise.reshape(-1), atol=1e-6
    )
    assert outputs["signal"]["data"] == expected.signals
    assert outputs["symbol"]["data"] == list(SYMBOLS)
    assert outputs["last_close"]["data"] == served.close[rows].tolist()
    assert outputs["as_of"]["data"] == (served.timestamps[rows] // 10**6).tolist()
    assert (
        outputs["target_time"]["data"]
        == (served.target_times[:3, :12].reshape(-1) // 10**6).tolist()
    )
    assert outputs["stale"]["data"] == [False] * 3
    about = answer["parameters"]
    assert about["model_kind"] == "ridge"
    assert about["quantile_levels"] == "0.05,0.25,0.5,0.75,0.95"
    assert (about["interval"], about["source"], about["replay"]) == ("1d", "test", True)


@pytest.mark.parametrize("bars", [1, 30])
def test_one_symbol_and_many_get_the_same_forecast(server, bars):
    together = server.outputs(symbols(*SYMBOLS), horizon(bars))
    for place, symbol in enumerate(SYMBOLS):
        alone = server.outputs(symbols(symbol), horizon(bars))
        for name, values in alone.items():
            if values.dtype.kind == "f":
                np.testing.assert_allclose(values[0], together[name][place], rtol=1e-6)
            else:
                np.testing.assert_array_equal(values[0], together[name][place])


def test_the_baseline_is_the_random_walk_around_the_last_close(server):
    outputs = server.outputs(
        symbols("AAPL"), outputs=[{"name": "baseline"}, {"name": "last_close"}]
    )
    assert list(outputs) == ["baseline", "last_close"]
    np.testing.assert_allclose(outputs["baseline"][0, :, 2], outputs["last_close"][0])
    assert (np.diff(outputs["baseline"][0], axis=1) > 0).all()


def test_a_past_instant_is_answered_from_what_was_known_then(server):
    served = make_features()
    row = served.last_row("AAPL") - 10
    closed = datetime.fromtimestamp(served.timestamps[row] / 1e9, UTC)
    for instant in (closed, closed + timedelta(hours=5)):
        outputs = server.outputs(symbols("AAPL"), as_of(instant.isoformat()))
        assert outputs["last_close"][0] == served.close[row]
        assert outputs["as_of"][0] == served.timestamps[row] // 10**6
        targets = served.target_times_at("AAPL", row) // 10**6
        assert outputs["target_time"][0].tolist() == targets.tolist()
        assert targets[0] == served.timestamps[row + 1] // 10**6
        assert not outputs["stale"][0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("yesterday", "ISO-8601"),
        ("2023-01-02T21:00:00", "with its zone"),
        ("2199-01-01T00:00:00Z", "in the future"),
        ("2999-01-01T00:00:00Z", "1900 to 2199"),
        ("2200-01-01T00:00:00Z", "1900 to 2199"),
        ("1999-01-01T00:00:00Z", "before the oldest row"),
        ("0001-01-01T00:00:00Z", "1900 to 2199"),
        ("0001-01-01T00:00:00+14:00", "1900 to 2199"),
        ("9999-12-31T23:59:59-14:00", "1900 to 2199"),
        ("0001-01-01", "with its zone"),
        ("0000-01-01T00:00:00Z", "ISO-8601"),
    ],
)
def test_an_instant_that_cannot_be_answered_is_refused(server, text, sentence):
    answer = server.infer(symbols("AAPL"), as_of(text))
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


def test_own_bars_get_the_forecast_their_features_give(server, folder):
    millis, ohlcv = own_bars()
    bundle = load_bundle(folder / "bundle")
    row, scale, close = features_of_bars(millis * 10**6, ohlcv, bundle.spec, "OWN")
    expected = bundle.forecast(row[None], np.array([scale]), np.array([close]), 30)
    outputs = server.outputs(*bars_inputs(millis, ohlcv), symbols("OWN"))
    np.testing.assert_allclose(outputs["quantiles"], expected.quantiles, rtol=1e-6)
    assert outputs["symbol"].tolist() == ["OWN"]
    assert outputs["last_close"][0] == ohlcv[-1, 3]
    assert outputs["as_of"][0] == millis[-1]
    days = [datetime.fromtimestamp(one / 1000, UTC) for one in outputs["target_time"][0]]
    assert all(day.weekday() < 5 for day in days)
    assert outputs["target_time"][0][0] > millis[-1]


def test_own_bars_of_an_unseen_symbol_get_a_width_of_their_own(tmp_path):
    spec = FeatureSpec(symbols=SYMBOLS, variance=WINDOWS)
    make_bundle(tmp_path / "bundle", kind="har", spec=spec)
    publish(tmp_path / "lake", make_features(spec=spec))
    server, bundle = Server(tmp_path), load_bundle(tmp_path / "bundle")
    millis, ohlcv = own_bars()
    row, scale, close = features_of_bars(millis * 10**6, ohlcv, spec, "UNSEEN")
    _, log_width = bundle.predict(row[None])
    assert (np.abs(log_width) > 1e-3).all()
    outputs = server.outputs(*bars_inputs(millis, ohlcv), symbols("UNSEEN"))
    assert outputs["symbol"].tolist() == ["UNSEEN"]
    knots, levels = bundle.table.knots, bundle.calibration[:, [5, 25, 50, 75, 95]]
    steps = np.arange(1, 31)
    unit = scale * np.sqrt(steps) * np.exp(np.interp(steps, knots, log_width[0]))
    expected = close * np.exp(unit[:, None] * levels)
    np.testing.assert_allclose(outputs["quantiles"][0], expected, rtol=1e-9)
    unlearned = close * np.exp((scale * np.sqrt(steps))[:, None] * levels)
    spread = np.log(outputs["quantiles"][0, :, -1] / unlearned[:, -1])
    assert (np.abs(spread) > 1e-5).all()


def test_unnamed_own_bars_are_answered(server):
    assert server.outputs(*bars_inputs(*own_bars()), horizon(1))["symbol"].tolist() == [""]


def damaged(change):
    millis, ohlcv = own_bars()
    change(millis, ohlcv)
    return bars_inputs(millis, ohlcv)


def in_three_months():
    """Milliseconds since 1970."""
    return to_milliseconds(machine_now() + timedelta(days=90))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t, b: b.__setitem__((5, 3), -1.0), "a price must be positive"),
        (lambda t, b: b.__setitem__((5, 0), 0.0), "a price must be positive"),
        (lambda t, b: b.__setitem__((5, 4), -1.0), "volume must not be negative"),
        (lambda t, b: b.__setitem__((5, 1), b[5, 2] / 2), "must not be below its low"),
        (lambda t, b: b.__setitem__((5, 2), b[5, 3] * 1.01), "enclose"),
        (lambda t, b: b.__setitem__((5, 1), 1e300), "below 1e15"),
        (lambda t, b: b.__setitem__((slice(None), slice(0, 4)), 7.0), "prices that move"),
        (lambda t, b: t.__setitem__(9, t[8]), "rise strictly"),
        (lambda t, b: t.__setitem__(slice(None), t[::-1].copy()), "rise strictly"),
        (lambda t, b: t.__setitem__(-1, in_three_months()), "must have closed"),
        (lambda t, b: t.__setitem__(slice(None), t // 1000), "interval"),
        (lambda t, b: t.__setitem__(slice(None), t * 1000), "milliseconds"),
        (lambda t, b: t.__setitem__(0, 2_524_608_000_000 - 2**63), "milliseconds"),
        (
            lambda t, b: t.__setitem__(slice(None), t[-1] + 3_600_000 * np.arange(-len(t), 0)),
            "interval, 1d",
        ),
    ],
)
def test_own_bars_no_market_could_print_are_refused(server, change, sentence):
    answer = server.infer(*damaged(change))
    assert answer.status_code == 400, answer.text
    assert sentence in answer.json()["error"]


def test_own_bars_with_not_a_number_in_them_are_refused(server):
    millis, ohlcv = own_bars()
    ohlcv[7, 2] = np.nan
    head = {
        "inputs": [
            {
                "name": name,
                "datatype": datatype,
                "shape": list(data.shape),
                "parameters": {"binary_data_size": data.nbytes},
            }
            for name, datatype, data in (("bars", "FP64", ohlcv), ("timestamps", "INT64", millis))
        ]
    }
    text = orjson.dumps(head)
    answer = server.ask(
        "POST",
        INFER,
        content=text + ohlcv.tobytes() + millis.tobytes(),
        headers={HEADER_LENGTH: str(len(text))},
    )
    assert answer.status_code == 400
    assert "finite: 1 of 320 bars" in answer.json()["error"]
    assert "first bar 7" in answer.json()["error"]


def test_too_few_own_bars_are_a_short_history(server):
    answer = server.infer(*bars_inputs(*own_bars(100)))
    assert answer.status_code == 422
    assert "got 100" in answer.json()["error"]


@pytest.mark.parametrize(
    ("inputs", "status", "sentence"),
    [
        ([symbols("XXXX")], 404, "Known: AAPL, BTC-USD, MSFT"),
        ([symbols("YYYY", "XXXX")], 404, "'YYYY'"),
        ([symbols("NEW")], 422, "too few bars"),
        ([symbols("AAPL", "AAPL")], 400, "comes twice"),
        ([symbols("AAPL"), horizon(0)], 400, "1..30"),
        ([symbols("AAPL"), horizon(31)], 400, "1..30"),
        ([horizon(5)], 400, "only horizon"),
        ([bars_inputs(*own_bars())[0]], 400, "'bars' alone"),
        ([bars_inputs(*own_bars())[1]], 400, "'timestamps' alone"),
        ([bars_inputs(*own_bars(300))[0], bars_inputs(*own_bars())[1]], 400, "same length"),
        ([*bars_inputs(*own_bars()), symbols("A", "B")], 400, "one symbol"),
        ([*bars_inputs(*own_bars()), as_of("2023-01-02T00:00:00Z")], 400, "beside own bars"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(server, inputs, status, sentence):
    answer = server.infer(*inputs)
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["error"]


# the binary extension


def test_tensors_may_go_and_come_as_binary_data(server):
    plain = server.outputs(symbols("AAPL", "MSFT"), horizon(4))
    blob = pack_texts(["AAPL", "MSFT"]) + (4).to_bytes(8, "little")
    inputs = [
        symbols("AAPL", "MSFT") | {"parameters": {"binary_data_size": len(blob) - 8}},
        horizon(4) | {"parameters": {"binary_data_size": 8}},
    ]
    for one in inputs:
        del one["data"]
    text = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    answer = server.ask("POST", INFER, content=text + blob, headers={HEADER_LENGTH: str(len(text))})
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers[HEADER_LENGTH])
    rest = answer.content[length:]
    dtypes = {"FP64": "<f8", "INT64": "<i8", "BOOL": "?"}
    for one in orjson.loads(answer.content[:length])["outputs"]:
        size = one["parameters"]["binary_data_size"]
        raw, rest = rest[:size], rest[size:]
        expected = plain[one["name"]]
        if one["datatype"] == "BYTES":
            assert unpack_texts(raw, "") == expected.tolist()
        else:
            found = np.frombuffer(raw, dtypes[one["datatype"]]).reshape(one["shape"])
            np.testing.assert_array_equal(found, expected)
    assert rest == b""


# limits


def test_a_body_that_is_too_long_is_refused_before_it_is_read_and_counted(server, monkeypatch):
    reasons = []
    monkeypatch.setattr(server.predictor, "turn_away", reasons.append)
    declared = {"content-length": str(10**9)}
    answer = server.ask("POST", INFER, content=b"{}", headers=declared)
    assert answer.status_code == 413

    async def pieces():
        for _ in range(MAX_BODY_BYTES // 65_536 + 2):
            yield b" " * 65_536

    answer = server.ask("POST", INFER, content=pieces())
    assert answer.status_code == 413
    assert reasons == ["body_too_long"] * 2


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_body_gets_the_answer_of_the_plain_one(server, pack):
    encoding = {"content-encoding": "gzip" if pack is gzip.compress else "deflate"}
    body = orjson.dumps({"inputs": [symbols("AAPL"), horizon(4)]})
    answer = server.ask("POST", INFER, content=pack(body), headers=encoding)
    assert answer.status_code == 200, answer.text
    assert answer.json() == server.infer(symbols("AAPL"), horizon(4)).json()


def packed(body):
    return gzip.compress(body, mtime=0)  # in test names: the same in every process


@pytest.mark.parametrize(
    ("content", "encoding", "status", "sentence"),
    [
        (b"{}", "gzip", 400, "must be gzip data"),
        (packed(b"{}")[:-3], "gzip", 400, "must be complete"),
        (packed(b"{}") + b"x", "gzip", 400, "1 bytes follow its end"),
        (packed(b"[]"), "gzip", 400, "must be a JSON object"),
        (packed(b" " * (MAX_BODY_BYTES + 1)), "gzip", 413, "when unpacked"),
        (b"{}", "br", 415, "gzip or deflate"),
    ],
)
def test_a_packed_body_that_is_wrong_is_refused_in_words(
    server, content, encoding, status, sentence
):
    headers = {"content-encoding": encoding}
    answer = server.ask("POST", INFER, content=content, headers=headers)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize("text", ["\0", "a\nb", "\x7f", "\u202e", "\ufdd0", "x" * 257])
def test_an_id_that_could_not_be_stored_is_refused(server, text):
    answer = server.infer(symbols("AAPL"), id=text)
    assert answer.status_code == 400
    assert "'id' must be printable" in answer.json()["error"]


def test_more_long_requests_than_may_wait_are_told_when_to_ask_again(server, monkeypatch):
    monkeypatch.setattr(server.predictor, "work", WorkQueue(limit=0))
    answer = server.infer(*bars_inputs(*own_bars()))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["kind"] == "Busy"
    assert server.infer(symbols("AAPL")).status_code == 200
    assert server.ask("GET", "/v2/health/live").status_code == 200


def test_a_server_whose_work_never_ends_is_not_live(server, monkeypatch):
    def stuck():
        raise NotReady("work ends", "some does not", "Restart the server")

    monkeypatch.setattr(server.predictor.work, "check_moving", stuck)
    answer = server.ask("GET", "/v2/health/live")
    assert (answer.status_code, answer.json()["kind"]) == (503, "NotReady")


def test_a_header_length_that_is_no_number_is_refused(server):
    for value in ("x", "-1", "9" * 30):
        answer = server.ask("POST", INFER, content=b"{}", headers={HEADER_LENGTH: value})
        assert answer.status_code == 400


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=REQUEST, version=st.sampled_from(["", "/versions/3", "/versions/9"]))
def test_no_made_up_request_makes_the_server_fail(server, document, version):
    body = (
        orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS, default=str)
        if _plain(document)
        else b"{"
    )
    answer = server.ask("POST", f"/v2/models/bellwether{version}/infer", content=body)
    assert answer.status_code in {200, 400, 404, 422}
    if answer.status_code != 200:
        assert answer.json()["error"]


def _plain(value):
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    if isinstance(value, list):
        return all(map(_plain, value))
    return not isinstance(value, int) or -(2**63) <= value < 2**64


# old data


@pytest.mark.parametrize("replay", [True, False])
def test_old_features_say_so_and_past_the_second_limit_refuse(folder, tmp_path, replay):
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    for days, status, stale in ((1, 200, False), (5, 200, True), (15, 424, None)):
        publish(tmp_path / "lake", make_features(age=timedelta(days=days), replay=replay))
        server = Server(tmp_path)
        answer = server.infer(symbols("AAPL"))
        assert answer.status_code == status, answer.text
        ready = server.ask("GET", "/v2/models/bellwether/ready")
        assert ready.status_code == status
        # The pod stays in service, to say why.
        assert server.ask("GET", "/v2/health/ready").status_code == 200
        if status == 200:
            assert server.outputs(symbols("AAPL"))["stale"].tolist() == [stale]
        else:
            assert "15.0 days old" in answer.json()["error"]
            assert answer.json()["kind"] == "StaleData"
            assert "run the refresh pipeline" in ready.json()["error"]


# what is loaded


def test_without_a_bundle_the_server_is_live_but_not_ready(tmp_path):
    server = Server(tmp_path)
    assert server.ask("GET", "/v2/health/live").status_code == 200
    for path in ("/v2/health/ready", "/v2/models/bellwether/ready"):
        answer = server.ask("GET", path)
        assert answer.status_code == 503
    assert "manifest.json" in answer.json()["error"]
    assert server.infer(symbols("AAPL")).status_code == 503
    assert server.ask("GET", "/v2/models/bellwether").status_code == 200


def test_without_features_the_server_is_not_ready_and_says_why(folder, tmp_path):
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    server = Server(tmp_path)
    answer = server.infer(symbols("AAPL"))
    assert answer.status_code == 503
    needed = f"holds no features of specification {SPEC.digest} of data set 'default'"
    assert needed in answer.json()["error"]
    assert str(tmp_path) not in answer.json()["error"]
    publish(tmp_path / "lake", make_features())
    served_models.load_into(server.predictor, server.settings)
    assert server.infer(symbols("AAPL")).status_code == 200


def test_features_of_another_specification_are_not_served(folder, tmp_path):
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    other = FeatureSpec(symbols=("AAPL",))
    publish(tmp_path / "lake", make_features(spec=other))
    answer = Server(tmp_path).infer(symbols("AAPL"))
    assert answer.status_code == 503
    assert f"no features of specification {SPEC.digest}" in answer.json()["error"]


def test_a_bundle_with_another_digest_than_promised_is_never_ready(folder):
    server = Server(folder, bundle_digest="0" * 64)
    answer = server.infer(symbols("AAPL"))
    assert answer.status_code == 503
    assert "SHA-256" in answer.json()["error"]


def test_a_flipped_byte_in_a_bundle_is_never_ready(folder, tmp_path):
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    publish(tmp_path / "lake", make_features())
    model = tmp_path / "bundle" / "model.onnx"
    raw = bytearray(model.read_bytes())
    raw[len(raw) // 2] ^= 1
    model.write_bytes(raw)
    assert Server(tmp_path).ask("GET", "/v2/health/ready").status_code == 503


def test_a_stopping_server_is_not_ready_but_answers_what_comes(folder):
    server = Server(folder)
    server.predictor.draining = True
    assert server.ask("GET", "/v2/health/ready").status_code == 503
    answer = server.infer(symbols("AAPL"))
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


def test_the_served_row_is_the_one_training_would_see():
    frame = served_models.prices()
    table = build_features(frame, served_models.SPEC)
    served = make_features()
    for symbol in SYMBOLS:
        last = np.flatnonzero(table.codes == table.symbols.index(symbol))[-1]
        row = served.last_row(symbol)
        np.testing.assert_array_equal(served.values[row], table.values[last])
        assert served.timestamps[row] == table.timestamps[last]
