"""The load that the end-to-end tests trust, against real servers that misbehave on purpose."""

import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from tests.e2e.load import Load, Target, ask
from tests.time_limits import seconds, wait_until

PATIENCE = seconds(2)
RATE = 100 / seconds(1)
CONNECTIONS = 8

GOOD = orjson.dumps(
    {"model_version": "7", "outputs": [{"name": "quantiles", "shape": [1], "data": [1.5]}]}
)
GAPS = orjson.dumps(
    {"model_version": "7", "outputs": [{"name": "quantiles", "shape": [1], "data": [None]}]}
)


@contextmanager
def server(behave):
    """A server on a free port; behave(handler, number) answers the n-th request."""
    numbers, lock = iter(range(1_000_000)), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            with lock:
                number = next(numbers)
            behave(self, number)

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield Target(httpd.server_port, "forecast.test", "/infer", "{}", patience=PATIENCE)
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def answer(handler, body=GOOD, status=200):
    handler.send_response(status)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()


def vanish(handler):
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def misbehave(handler, number):
    """Of ten requests: a 503, a broken connection, a page of text, gaps; six are answered."""
    match number % 10:
        case 1:
            answer(handler, b"no healthy upstream", 503)
        case 3:
            vanish(handler)
        case 5:
            answer(handler, b"<html>hello</html>")
        case 7:
            answer(handler, GAPS)
        case _:
            answer(handler)


def test_every_failure_is_counted_and_none_is_retried():
    with server(misbehave) as target:
        report = ask(target, 200, concurrency=1)
    assert report.sent == 200
    assert report.failed == 80
    kinds = Counter(answer.fault.split(" ")[0] for answer in report.answers if answer.failed)
    assert kinds == {"503": 20, "connection": 20, "no": 20, "the": 20}
    assert report.versions == {"7": 120}


def test_failures_are_counted_alike_when_many_are_under_way():
    with server(misbehave) as target:
        report = ask(target, 500, concurrency=16)
    assert (report.sent, report.failed) == (500, 200)


def test_nobody_listening_is_a_failure_each_time():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    report = ask(Target(port, "h", "/", "{}"), 20, concurrency=4)
    assert (report.sent, report.failed) == (20, 20)
    assert all("no connection" in fault for fault in report.faults)


def test_an_answer_that_never_comes_is_a_failure():
    never = threading.Event()

    def hang(handler, number):
        if number == 3:
            never.wait(seconds(10))
        answer(handler)

    with server(hang) as target:
        try:
            report = ask(target, 8, concurrency=2)
        finally:
            never.set()
    assert report.faults == {f"no answer within {PATIENCE:g} s": 1}


def test_the_rate_is_kept_and_a_stall_is_seen_by_all_it_delays():
    def stall_once(handler, number):
        if number == 20:
            time.sleep(seconds(0.5))
        answer(handler)

    with server(stall_once) as target, Load(target, rate=RATE, connections=1) as load:
        load.watch("all", seconds(1.5))
    report = load.report
    assert report.failed == 0
    assert report.sent == pytest.approx(RATE * report.seconds, abs=RATE * seconds(0.2))
    # One connection, half a second lost: what was due meanwhile waited, and says so.
    assert sum(answer.seconds > seconds(0.05) for answer in report.answers) > 30
    assert report.p99 > seconds(0.4)
    # What was due before the stall did not wait for it.
    assert report.answers[0].seconds < report.p99


def test_a_window_holds_the_requests_that_were_due_in_it():
    answered: Counter[bytes] = Counter()
    phase = {"body": GOOD}

    def by_phase(handler, _):
        body = phase["body"]
        answer(handler, body)
        answered[body] += 1

    begun = time.monotonic()
    with server(by_phase) as target, Load(target, rate=RATE, connections=CONNECTIONS) as load:
        load.watch("steady", seconds(0.5))
        # The oldest go first: what is due by now has its answer when enough later ones have theirs.
        due = RATE * (time.monotonic() - begun) + 1
        wait_until(lambda: answered[GOOD] > due + 2 * CONNECTIONS, limit=30)
        phase["body"] = GAPS
        load.watch("broken", seconds(0.5))
    steady, broken = load.report.within("steady"), load.report.within("broken")
    assert steady.sent >= 45
    assert steady.failed == 0
    assert broken.sent >= 45
    assert broken.failed == broken.sent


def test_versions_are_told_apart_and_pinned_by_a_header():
    seen = []

    def by_number(handler, number):
        seen.append(handler.headers["bellwether-model-version"])
        answer(handler, GOOD.replace(b'"7"', b'"8"') if number % 4 == 0 else GOOD)

    with server(by_number) as target:
        report = ask(target.pinned(8), 100, concurrency=4)
    assert report.share(8) == pytest.approx(25)
    assert set(seen) == {"8"}
    assert report.last_answer_of(8) > 0
    assert report.last_answer_of(9) == 0
