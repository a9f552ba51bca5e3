"""How often a rollout's judge withdraws healthy canaries, and how soon it withdraws sick ones.

Rounds of questions are drawn as both versions would answer them and given to the product's own
rules, round by round, as `rollout run` does at the chart's pace: before the canary has weight, then
at each step. Latencies are lognormal, and one
answer in a hundred is late by up to 200 ms on either side; one request in 500 is lost on either
side. Prometheus is away in it, so that the questions alone decide.
"""

import argparse
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from benchmarks.results import add_option, machine, markdown, write
from forecasting.rollout.canary import Observation, judge
from forecasting.rollout.pairs import Pair, Pairs, Question, Reply
from forecasting.rollout.rules import Outcome, Policy
from serving.rollout.evidence import PAIRS
from serving.rollout.progress import FIRST_ROUNDS
from serving.rollout.questions import rotation

BEFORE: Final = 0
STEPS: Final = (BEFORE, 10, 25, 50)
ROUNDS: Final = 30
"""Looks at a step: five minutes, one every ten seconds."""
SYMBOLS: Final = tuple(f"S{number:02}" for number in range(12))
AS_OF: Final = datetime(2026, 11, 27, 21, tzinfo=UTC)
HEALTHY: Final = 200
SICK: Final = 40

Rng = np.random.Generator


def answer(rng: Rng) -> Reply:
    """What a sound version replies."""
    late = rng.uniform(0.02, 0.2) if rng.random() < 0.01 else 0.0
    if rng.random() < 0.002:
        return Reply(0.003, refused="the model server must be reachable")
    seconds = 0.003 * math.exp(0.5 * rng.standard_normal()) + late
    return Reply(seconds, as_of=AS_OF, snapshot="s", last_close=180.0, scale=math.log(0.08))


@dataclass(frozen=True)
class Sickness:
    """A way to be worse.

    Attributes:
        name: in words.
        changes: what it makes of a sound reply to a question, at a size: 1 as named, 0.5 half of it.
        restarts: chance of a restart within a step, at size 1.
    """

    name: str
    changes: Callable[[Reply, Question, float, Rng], Reply]
    restarts: float = 0.0


def _stalls(reply: Reply, _: Question, size: float, rng: Rng) -> Reply:
    stalled = rng.random() < 0.9 * size
    return replace(reply, seconds=reply.seconds + rng.uniform(0, 0.9)) if stalled else reply


def _later(reply: Reply, _: Question, size: float, _rng: Rng) -> Reply:
    return replace(reply, seconds=reply.seconds + 0.05 * size)


def _unknown(reply: Reply, question: Question, size: float, _rng: Rng) -> Reply:
    lost = SYMBOLS[: round(2 * size)]
    return Reply(0.002, refused="unknown symbol") if question.symbol in lost else reply


def _fails(reply: Reply, _: Question, size: float, rng: Rng) -> Reply:
    return Reply(0.002, refused="503") if rng.random() < 0.05 * size else reply


def _impossible(reply: Reply, _: Question, size: float, rng: Rng) -> Reply:
    broken = rng.random() < 0.05 * size
    return replace(reply, invalid="quantiles that do not rise") if broken else reply


def _older(reply: Reply, _: Question, size: float, rng: Rng) -> Reply:
    old = rng.random() < size
    return replace(reply, as_of=AS_OF - timedelta(days=1), snapshot="r") if old else reply


def _other_close(reply: Reply, _: Question, size: float, _rng: Rng) -> Reply:
    return replace(reply, last_close=reply.last_close * (1 + 0.01 * size))


def _other_scale(reply: Reply, _: Question, size: float, _rng: Rng) -> Reply:
    return replace(reply, scale=reply.scale + math.log(1 + 0.5 * size))


def _sound(reply: Reply, _: Question, _size: float, _rng: Rng) -> Reply:
    return reply


SOUND: Final = Sickness("healthy", _sound)
SICKNESSES: Final = (
    Sickness("still for 900 of every 1,000 ms", _stalls),
    Sickness("50 ms later", _later),
    Sickness("404 for 2 of 12 symbols", _unknown),
    Sickness("503 for 5 % of the requests", _fails),
    Sickness("impossible quantiles in 5 % of the answers", _impossible),
    Sickness("data of the day before", _older),
    Sickness("last close off by 1 %", _other_close),
    Sickness("scale times 1.5", _other_scale),
    Sickness("restarts", _sound, restarts=1.0),
)


def withdrawn_at(sickness: Sickness, size: float, rng: Rng) -> tuple[int, int] | None:
    """Step (per cent) and round in which a rollout ends; None when it reaches 100 %."""
    policy, pairs = Policy(), Pairs()
    questions = rotation([Question("S00", 5), Question("S07", 30), Question("S07", 30)], SYMBOLS)
    for step in STEPS:
        rounds = ROUNDS if step else FIRST_ROUNDS
        restarted = step and rng.random() < sickness.restarts * size
        restart = int(rng.integers(ROUNDS)) if restarted else ROUNDS
        for number in range(rounds):
            pairs = pairs.after(list(_round(questions, sickness, size, rng)), policy)
            restarts = int(number >= restart)
            seen = Observation(
                max(step, 1), ready=True, restarts=restarts, pairs=pairs, watched=False
            )
            if judge(seen, policy).outcome is Outcome.WITHDRAW:
                return step, number
    return None


def _round(
    questions: Iterator[Question], sickness: Sickness, size: float, rng: Rng
) -> Iterator[Pair]:
    for question in itertools.islice(questions, PAIRS):
        canary = sickness.changes(answer(rng), question, size, rng)
        yield Pair(question, canary, answer(rng))


def table(healthy: int = HEALTHY, sick: int = SICK, seed: int = 15) -> list[list[str]]:
    """Rows: canary, size, rollouts, withdrawn at all, before any weight, before more than 10 %."""
    rows = []
    cases = [(SOUND, 1.0, healthy), *((s, size, sick) for s in SICKNESSES for size in (1.0, 0.5))]
    for number, (sickness, size, count) in enumerate(cases):
        rngs = [np.random.default_rng([seed, number, rollout]) for rollout in range(count)]
        ends = [withdrawn_at(sickness, size, rng) for rng in rngs]
        first = [end for end in ends if end and end[0] == BEFORE]
        early = [end for end in ends if end and end[0] in STEPS[:2]]
        rows.append(
            [
                sickness.name,
                "" if sickness is SOUND else f"{size:g}",
                str(count),
                str(sum(end is not None for end in ends)),
                str(len(first)),
                str(len(early)),
            ]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_option(parser)
    arguments = parser.parse_args()
    heads = ("canary", ">size", ">rollouts", ">withdrawn", ">without weight", f">by {STEPS[1]} %")
    rows = table()
    text = "\n\n".join(
        ["# The judge of a rollout", machine(), __doc__ or "", markdown(heads, rows)]
    )
    data = [dict(zip((head.removeprefix(">") for head in heads), row, strict=True)) for row in rows]
    write("canary", text, data, arguments.out)


if __name__ == "__main__":
    main()
