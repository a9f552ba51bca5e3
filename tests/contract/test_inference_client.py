"""The client of the inference protocol against gateways and servers that are not what it expects."""

import pytest

from forecasting.adapters.inference import InferenceClient
from forecasting.errors import BellwetherError, RateLimited, ServerUnavailable
from tests.contract.replay_server import HTML, Answer, Replay, data
from tests.time_limits import seconds


def asked(server: Replay, answer: Answer) -> BellwetherError:
    """What a question to a server with this one answer raises."""
    server.answer = lambda _: answer
    with (
        InferenceClient(server.address, "bellwether", timeout=seconds(5)) as client,
        pytest.raises(BellwetherError) as caught,
    ):
        client.metadata()
    return caught.value


@pytest.mark.parametrize("body", [b"", b"no healthy upstream"])
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_with_nothing_behind_it_is_told_from_a_wrong_address(
    server: Replay, status: int, body: bytes
) -> None:
    error = asked(server, Answer(status, body))
    assert isinstance(error, ServerUnavailable)
    assert error.rule == "a model server must stand behind the gateway"
    assert f"status {status}" in error.found
    assert "bellwether rollout status" in error.remedy


def test_an_address_of_something_else_is_told_with_what_it_answered(server: Replay) -> None:
    error = asked(server, HTML)
    assert isinstance(error, ServerUnavailable)
    assert "must be that of a Bellwether model server" in error.rule
    assert "BELLWETHER_INFERENCE_URL" in error.remedy


def test_a_sentence_of_the_server_is_passed_on_whatever_its_status(server: Replay) -> None:
    busy = Answer(503, data({"error": "the server must have room: 9 wait"}).body)
    assert asked(server, busy).rule == "the server must have room: 9 wait"
    slower = asked(server, Answer(429, b"{}", {"Retry-After": "7"}))
    assert isinstance(slower, RateLimited)
    assert slower.retry_after == 7.0
