"""Decides whether a canary gets more requests, by rules on what was observed of it.

Evidence comes from two sides. Questions asked of both versions through the gateway tell what users
would see of either; users' requests, counted by Prometheus, tell errors, latency and the split. A
request is what the model server's histogram counts, whatever it asked for, and one that is
answered with a status of 400 and above has failed. A rule has one of three results: go on, hold
(it cannot be told yet), withdraw.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from forecasting.errors import InvalidSettings
from forecasting.rollout.binomial import at_least, within
from forecasting.rollout.pairs import Pairs
from forecasting.rollout.pairs import findings as paired
from forecasting.rollout.rules import Finding, Outcome, Policy


@dataclass(frozen=True)
class Counts:
    """Users' requests to one version, or to several together, during a step.

    Attributes:
        requests: how many there were.
        refused: of them, with a status of 400 to 499.
        failed: of them, with a status of 500 and above.
        stale: answers given from, or refused because of, old features.
        p99: seconds, or None when unknown.
    """

    requests: float = 0.0
    refused: float = 0.0
    failed: float = 0.0
    stale: float = 0.0
    p99: float | None = None


@dataclass(frozen=True)
class Routed:
    """Requests of ours that name no version, and how many of them the canary answered."""

    sent: int = 0
    to_canary: int = 0


@dataclass(frozen=True)
class Observation:
    """What was observed of a canary during one step.

    Attributes:
        weight: its weight, 1..100.
        ready: whether it has ready endpoints.
        restarts: restarts of its containers during the step.
        pairs: questions asked of it and of the stable version, since the rollout began.
        asked: of these questions, during the step; the counts of either version hold them, too.
        routed: requests that tell how the route splits.
        canary: users' requests to it; None when Prometheus could not be asked.
        stable: users' requests to the others.
        blind: why Prometheus could not be asked.
        watched: whether there is a Prometheus to ask at all.
    """

    weight: int
    ready: bool
    restarts: int
    pairs: Pairs = field(default_factory=Pairs)
    asked: int = 0
    routed: Routed = Routed()
    canary: Counts | None = None
    stable: Counts = Counts()
    blind: str = ""
    watched: bool = True


@dataclass(frozen=True)
class Judgement:
    """All findings of one look."""

    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> Outcome:
        """The gravest of all findings."""
        return max((finding.outcome for finding in self.findings), default=Outcome.GO_ON)

    @property
    def reason(self) -> str:
        """The findings that decided, or, when all is well, what was found."""
        decisive = [finding for finding in self.findings if finding.outcome is self.outcome]
        if self.outcome is Outcome.GO_ON:
            return "; ".join(finding.found for finding in decisive)
        return "; ".join(map(str, decisive))


def check_steps(steps: Sequence[int]) -> tuple[int, ...]:
    """The steps, if they make sense.

    Raises:
        InvalidSettings: they do not rise from 1 to 100.
    """
    rising = all(a < b for a, b in pairwise(steps))
    if not steps or not rising or steps[0] < 1 or steps[-1] != 100:
        raise InvalidSettings(
            "the steps of a rollout rise and end at 100", f"{list(steps)}", "Give e.g. 10,25,50,100"
        )
    return tuple(steps)


def next_step(steps: Sequence[int], weight: int) -> int | None:
    """The first step above this weight; None at the end."""
    return next((step for step in steps if step > weight), None)


def judge(observation: Observation, policy: Policy | None = None) -> Judgement:
    """Compare a canary with the stable version."""
    rules = policy or Policy()
    findings = [
        *_health(observation),
        *paired(observation.pairs, rules),
        *_routed(observation, rules),
    ]
    if not observation.watched:
        findings.append(
            Finding(
                "traffic",
                Outcome.GO_ON,
                "users' requests should be watched",
                "no Prometheus is set; judged on our own questions",
            )
        )
    elif observation.canary is None:
        findings.append(
            Finding("sight", Outcome.HOLD, "Prometheus must tell how users fare", observation.blind)
        )
    else:
        findings += _used(observation, observation.canary, rules)
    return Judgement(tuple(findings))


def _health(observation: Observation) -> list[Finding]:
    bad, good = Outcome.WITHDRAW, Outcome.GO_ON
    restarts = f"{observation.restarts} restart{'' if observation.restarts == 1 else 's'}"
    return [
        Finding(
            "ready",
            good if observation.ready else bad,
            "a canary must keep ready endpoints",
            "ready" if observation.ready else "none is ready",
        ),
        Finding(
            "restarts", bad if observation.restarts else good, "its pods must not restart", restarts
        ),
    ]


def _routed(observation: Observation, rules: Policy) -> list[Finding]:
    routed = observation.routed
    if not routed.sent:
        return []
    fits = within(routed.to_canary, routed.sent, observation.weight / 100, rules.alpha)
    return [
        Finding(
            "route",
            Outcome.GO_ON if fits else Outcome.HOLD,
            f"the route must give it {observation.weight} % of our questions, luck aside",
            f"{routed.to_canary} of {routed.sent} routed",
        )
    ]


def _used(observation: Observation, canary: Counts, rules: Policy) -> list[Finding]:
    users = _users(canary, observation)
    if users < rules.min_requests:
        little = f"{users:.0f} of {rules.min_requests} requests"
        return [
            Finding(
                "traffic",
                Outcome.HOLD if rules.require_traffic else Outcome.GO_ON,
                f"users' requests tell something from {rules.min_requests} on",
                f"too few of users to judge by ({little})",
            )
        ]
    usual = observation.stable
    return [
        _share(
            "refusals", "refused requests (4xx)", canary.refused, usual.refused, observation, rules
        ),
        _share("errors", "failed requests (5xx)", canary.failed, usual.failed, observation, rules),
        _share("stale", "stale answers", canary.stale, usual.stale, observation, rules),
        _latency(observation, canary, rules),
        _split(observation, canary, rules),
    ]


def _share(
    name: str, what: str, bad: float, usual: float, observation: Observation, rules: Policy
) -> Finding:
    assert observation.canary is not None
    requests, others = observation.canary.requests, observation.stable.requests
    allowed = min(1.0, (usual / others if others else 0.0) + rules.error_slack)
    chance = at_least(round(bad), round(requests), allowed)
    return Finding(
        name,
        Outcome.WITHDRAW if chance < rules.alpha else Outcome.GO_ON,
        f"its share of {what} must not exceed stable's by more than {rules.error_slack:.0%}",
        f"{bad:.0f} of {requests:.0f} {what}, stable {usual:.0f} of {others:.0f}",
    )


def _latency(observation: Observation, canary: Counts, rules: Policy) -> Finding:
    usual = observation.stable.p99
    limit = max(rules.latency_floor, rules.latency_ratio * usual if usual else 0.0)
    slow = canary.p99 is not None and canary.p99 > limit
    return Finding(
        "latency",
        Outcome.WITHDRAW if slow else Outcome.GO_ON,
        f"its p99 must not exceed {limit * 1_000:.0f} ms",
        f"p99 {_ms(canary.p99)}, stable {_ms(usual)}",
    )


def _split(observation: Observation, canary: Counts, rules: Policy) -> Finding:
    users = _users(canary, observation)
    total = users + _users(observation.stable, observation)
    weight, share = observation.weight / 100, users / total
    off = max(0.0, abs(share - weight) - rules.split_slack)
    nearest = weight + math.copysign(off, share - weight)
    fits = within(round(nearest * total), round(total), weight, rules.alpha)
    return Finding(
        "split",
        Outcome.GO_ON if fits else Outcome.HOLD,
        f"{observation.weight} % of users' requests should reach it (requests that pin a version count)",
        f"{users:.0f} of users' {total:.0f} requests reached it, {share:.1%}",
    )


def _users(counts: Counts, observation: Observation) -> float:
    """Requests without those that the rollout itself made."""
    return max(0.0, counts.requests - observation.asked)


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1_000:.1f} ms"
