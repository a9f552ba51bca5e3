"""The demo's supervisor starts real processes and leaves none behind."""

import os
import socket
import sys

import pytest

from bellwether.demo.supervisor import RESTARTS, Supervisor, answers, free_port
from forecasting.errors import Unavailable
from tests.time_limits import expires, seconds, wait_until


def serve(port: int) -> list[str]:
    return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_started_server_is_awaited_and_stopped_at_the_end(tmp_path):
    port = free_port(18_500)
    with Supervisor(tmp_path) as supervisor:
        service = supervisor.start("files", f"http://127.0.0.1:{port}", serve(port))
        assert supervisor.wait_ready(service, "/", seconds(20)) >= 0
        assert answers(service.url + "/")
        assert supervisor.first_ended() is None
    assert not alive(service.process.pid)
    assert not answers(service.url + "/")


def test_a_server_that_ends_is_reported_with_its_last_words(tmp_path):
    command = [sys.executable, "-c", "import sys; sys.exit('the disk is full')"]
    with Supervisor(tmp_path) as supervisor:
        service = supervisor.start("broken", "http://127.0.0.1:9", command)
        with pytest.raises(Unavailable, match="the disk is full"):
            supervisor.wait_ready(service, "/", seconds(20))
        assert supervisor.first_ended() is service


def test_a_server_that_is_killed_is_started_again_with_its_command_and_log(tmp_path):
    port, said = free_port(18_520), []
    with Supervisor(tmp_path) as supervisor:
        service = supervisor.start("page", f"http://127.0.0.1:{port}", serve(port))
        supervisor.wait_ready(service, "/", seconds(20))
        killed = service.process
        killed.kill()
        killed.wait()
        supervisor.keep_up(said.append)
        assert said[0].startswith("The page is started again: it ended by SIGKILL")
        supervisor.wait_ready(service, "/", seconds(20))
        assert service.process.pid != killed.pid
        supervisor.keep_up(said.append)
        assert len(said) == 1


def test_a_server_that_ends_again_and_again_ends_the_demo_with_its_last_words(tmp_path):
    said = []
    with Supervisor(tmp_path) as supervisor:
        service = supervisor.start("page", "", [sys.executable, "-c", "exit('the disk is full')"])
        for _ in range(RESTARTS):
            service.process.wait()
            supervisor.keep_up(said.append)
        service.process.wait()
        with pytest.raises(Unavailable, match=r"(?s)started again 3 times; .*the disk is full"):
            supervisor.keep_up(said.append)
    assert len(said) == RESTARTS


def test_a_server_that_ends_without_a_word_is_not_quoted(tmp_path):
    with Supervisor(tmp_path) as supervisor:
        service = supervisor.start("page", "", [sys.executable, "-c", "exit(3)"])
        service.process.wait()
        assert service.how_it_ended() == "it ended with exit code 3, without a word"


def test_a_server_that_ignores_the_request_to_end_is_ended_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("bellwether.demo.supervisor.GRACE_SECONDS", expires(0.5))
    stubborn = (
        "import signal, time, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('up', flush=True); time.sleep(60)"
    )
    with Supervisor(tmp_path) as supervisor:
        service = supervisor.start("stubborn", "", [sys.executable, "-c", stubborn])
        wait_until(lambda: "up" in service.tail() or service.process.poll() is not None, 20)
        assert service.process.poll() is None
    assert not alive(service.process.pid)


def test_a_taken_port_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert free_port(taken.getsockname()[1]) > taken.getsockname()[1]
