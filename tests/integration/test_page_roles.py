"""Roles on a real page over HTTP: what its events do for whoever sends them, buttons or not."""

import asyncio
import json
import threading
from types import SimpleNamespace

import httpx
import pytest
import uvicorn

from forecasting.settings import Settings
from gradio_app.access import Access
from gradio_app.app import build_app
from gradio_app.routes import build_server
from tests.ports import free_port
from tests.time_limits import seconds, wait_until

pytestmark = pytest.mark.integration

HEADER = "x-bellwether-user"
BEHIND_A_LOGIN = Settings(
    page_host="0.0.0.0",
    page_login=True,
    page_user_header=HEADER,
    page_readers="rita",
    page_trainers="tom",
    page_operators="olga",
)


class Trainer:
    """In the place of what trains: keeps who asked for what."""

    sources = ("sample", "yahoo")

    def __init__(self):
        self.started = []

    def start(self, symbols, source, who):
        self.started.append((who, source, [s for s in symbols if s.strip()]))

    def current(self):
        return None


@pytest.fixture(scope="module")
def page():
    """A page behind a login, its address, and what was started from it."""
    trainer, port = Trainer(), free_port()
    data = SimpleNamespace(prefix="")
    access = Access.of(BEHIND_A_LOGIN)

    async def serve():
        app = build_server(data, build_app(data, trainer, access), access)
        config = uvicorn.Config(app, port=port, log_level="warning", lifespan="on")
        made.append(uvicorn.Server(config))
        await made[0].serve()

    made = []
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    wait_until(lambda: made and made[0].started, 60)
    yield SimpleNamespace(url=f"http://127.0.0.1:{port}", trainer=trainer)
    made[0].should_exit = True
    thread.join(seconds(20))


def client(page, *names):
    return httpx.Client(
        base_url=page.url, headers=[(HEADER, name) for name in names], timeout=seconds(20)
    )


def event(config, inputs):
    """The event of the button that starts trainings: a click with two inputs and three outputs."""
    return next(
        one["id"]
        for one in config["dependencies"]
        if len(one["inputs"]) == inputs and len(one["outputs"]) == 3
    )


def press(page, *names, symbols="", source="sample"):
    """Send what the button sends, as this user; the status, and what the page shows."""
    with client(page, "olga") as known:
        number = event(known.get("/config").json(), 2)
    session = f"s{len(page.trainer.started)}{''.join(names)}"
    body = {"fn_index": number, "data": [symbols, source], "session_hash": session}
    with client(page, *names) as caller:
        joined = caller.post("/gradio_api/queue/join", json=body)
        if not joined.is_success:
            return joined.status_code, ""
        with caller.stream(
            "GET", "/gradio_api/queue/data", params={"session_hash": session}
        ) as stream:
            for line in stream.iter_lines():
                told = json.loads(line.removeprefix("data: ") or "{}")
                if told.get("msg") == "process_completed":
                    return 200, str(told["output"])
    raise AssertionError("the event did not end")


@pytest.mark.parametrize(
    ("name", "status"),
    [("rita", 200), ("tom", 200), ("olga", 200), ("bob", 403), ("", 403), ("*", 403)],
)
def test_only_who_has_a_role_sees_the_page(page, name, status):
    with client(page, *filter(None, [name])) as caller:
        assert caller.get("/").status_code == status
        assert caller.get("/config").status_code == status
        assert caller.get("/live").status_code == 200


@pytest.mark.parametrize(
    ("name", "symbols", "source", "started"),
    [
        ("rita", "", "sample", None),
        ("tom", "", "sample", ("tom", "sample", [])),
        ("tom", "AAPL", "sample", None),
        ("tom", "", "yahoo", None),
        ("olga", "AAPL", "yahoo", ("olga", "yahoo", ["AAPL"])),
    ],
)
def test_a_training_starts_for_those_who_may_and_in_their_name(
    page, name, symbols, source, started
):
    page.trainer.started.clear()
    status, shown = press(page, name, symbols=symbols, source=source)
    assert status == 200
    assert page.trainer.started == ([started] if started else [])
    assert ("You may not do this here" in shown) is (started is None)


@pytest.mark.parametrize("names", [(), ("bob",), ("rita", "olga"), ("olga", "olga")])
def test_who_is_nobody_or_claims_to_be_two_sends_no_event(page, names):
    page.trainer.started.clear()
    assert press(page, *names)[0] == 403
    assert page.trainer.started == []


@pytest.mark.parametrize("way", ["run", "api", "call", "call/v2"])
def test_no_handler_can_be_called_by_its_name(page, way):
    page.trainer.started.clear()
    with client(page, "olga") as caller:
        for name in ("_start_training", "start_training", "predict"):
            answer = caller.post(f"/gradio_api/{way}/{name}", json={"data": ["", "sample"]})
            assert answer.status_code == 404
    assert page.trainer.started == []
