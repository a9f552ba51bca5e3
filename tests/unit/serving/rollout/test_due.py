"""A job that comes by every few minutes rolls a new champion out, once, and leaves others alone."""

from types import SimpleNamespace

import pytest

from forecasting.rollout.traffic import Traffic
from serving.rollout.due import nothing_to_do


def rollout(champion, weights, stable, tags=None):
    """A rollout that sees this champion and these weights."""
    registry = SimpleNamespace(
        aliases=lambda: {"champion": champion} if champion else {},
        version=lambda _: SimpleNamespace(tags=tags or {}),
    )
    route = SimpleNamespace(traffic=Traffic(weights, (stable,) if stable else ()))
    return SimpleNamespace(
        connections=SimpleNamespace(registry=lambda: registry),
        cluster=SimpleNamespace(route=lambda _: route),
        config=None,
        gate=SimpleNamespace(concerns=lambda *_: False),
    )


@pytest.mark.parametrize(
    ("champion", "weights", "stable"),
    [("1", {}, None), ("2", {1: 100}, 1), ("2", {1: 100, 2: 0}, 1), ("2", {1: 75, 2: 25}, 1)],
    ids=["the first", "a new one", "one that is ready", "one whose rollout was cut short"],
)
def test_a_champion_that_does_not_serve_everything_is_rolled_out(champion, weights, stable):
    assert nothing_to_do(rollout(champion, weights, stable)) == ""


@pytest.mark.parametrize(
    ("observation", "why"),
    [
        (rollout("", {1: 100}, 1), "no model was promoted yet"),
        (rollout("2", {1: 0, 2: 100}, 2), "version 2 serves everything"),
        (rollout("2", {1: 100, 2: 0}, 1, {"rollout": "rolled back"}), "version 2 was rolled back"),
        (rollout("2", {1: 90, 3: 10}, 1), "another version is being rolled out"),
    ],
)
def test_otherwise_nothing_is_done_and_it_is_said_why(observation, why):
    assert nothing_to_do(observation).startswith(why)
