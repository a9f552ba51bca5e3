"""The questions that a canary and the stable version are asked: those that users asked last."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.errors import Unavailable
from forecasting.rollout.pairs import Question
from forecasting.schema import MAX_HORIZON
from serving.rollout.evidence import REQUEST_ID, Log

LOGGED: Final = 2_000
"""Newest forecasts of the prediction log that are looked at."""

HORIZONS: Final = (1, 5, MAX_HORIZON)
"""Bars ahead that are asked for where nobody has asked yet."""


def users_questions(log: PredictionLog | None, say: Log) -> list[Question]:
    """Symbols and horizons that users asked for, as often as they did; empty where nobody knows.

    Args:
        log: the prediction log; None where its database is not known.
        say: told when the log cannot be read.
    """
    if log is None:
        return []
    try:
        logged = log.recent(LOGGED)
    except Unavailable as error:
        say(f"users' questions are not known: {error.rule}: {error.found}")
        return []
    return [
        Question(forecast.symbol, forecast.horizon)
        for forecast in logged
        if not forecast.request_id.startswith(REQUEST_ID)
    ]


def rotation(users: Sequence[Question], symbols: Sequence[str]) -> Iterator[Question]:
    """Questions without end: users' own by how often they ask, then each symbol of the stable version.

    Every symbol comes up, for a version that lost one nobody asked for lately is worse as well.

    Args:
        users: what users asked.
        symbols: that the stable version holds.
    """
    often = [question for question, _ in Counter(users).most_common()]
    each = [Question(symbol, horizon) for horizon in HORIZONS for symbol in symbols]
    lists = [itertools.cycle(questions) for questions in (often, each) if questions]
    while lists:
        yield from map(next, lists)
