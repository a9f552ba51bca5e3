"""What both versions are asked: as users ask, and every symbol of the stable version."""

from itertools import islice
from types import SimpleNamespace

from forecasting.errors import Unavailable
from forecasting.rollout.pairs import Question
from serving.rollout.questions import rotation, users_questions


def logged(symbol, horizon, request_id=""):
    return SimpleNamespace(symbol=symbol, horizon=horizon, request_id=request_id)


def test_users_symbols_and_horizons_are_taken_from_the_log_and_the_rollouts_own_are_not(lines):
    rows = [logged("MSFT", 30), logged("AAPL", 5, "rollout-2"), logged("MSFT", 30, "mine")]
    log = SimpleNamespace(recent=lambda limit: rows)
    assert users_questions(log, lines.append) == [Question("MSFT", 30)] * 2


def test_a_log_that_cannot_be_read_is_said_and_stops_nothing(lines):
    def away(limit):
        raise Unavailable("the prediction log must be readable", "it is away")

    assert users_questions(SimpleNamespace(recent=away), lines.append) == []
    assert "it is away" in lines[0]
    assert users_questions(None, lines.append) == []


def test_what_users_ask_alternates_with_each_symbol_of_the_stable_version():
    asked = list(islice(rotation([Question("B", 7)], ["A", "B"]), 12))
    assert asked[::2] == [Question("B", 7)] * 6
    assert asked[1::2] == [Question(symbol, horizon) for horizon in (1, 5, 30) for symbol in "AB"]


def test_where_nobody_asked_every_symbol_comes_up_and_without_symbols_nothing_does():
    assert {question.symbol for question in islice(rotation([], ["A", "B"]), 4)} == {"A", "B"}
    assert list(rotation([], [])) == []
