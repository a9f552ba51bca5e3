"""Decides whether a canary gets more requests, by rules on what was observed of it.

Evidence comes from two sides. Users' requests, counted by Prometheus, tell errors, latency and
the split; a few questions of our own, asked through the route, tell that answers are valid and
that the route splits as wanted even where nobody asks. A rule has one of three results: go on,
hold (it cannot be told yet), withdraw.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Final

from forecasting.errors import InvalidSettings

_NORMAL_FROM: Final = 500.0
"""Variance from which the normal law stands in for the binomial one."""


class Outcome(IntEnum):
    """What follows from a rule; the highest of all rules counts."""

    GO_ON = 0
    HOLD = 1
    WITHDRAW = 2


@dataclass(frozen=True)
class Policy:
    """What a canary has to show before it gets more.

    Attributes:
        min_requests: requests of users to the canary below which they prove nothing.
        require_traffic: whether too few requests hold the canary; otherwise it is judged on our
            own questions, and the reason says so.
        alpha: chance with which pure luck may break a binomial rule.
        error_slack: how much larger its share of 5xx or stale answers may be than stable's.
        latency_ratio: how many times stable's p99 its own may be.
        latency_floor: p99 in seconds that is always good enough.
        split_slack: how far the share of users' requests may be off beside luck: requests that
            pin a version are counted, too.
    """

    min_requests: int = 50
    require_traffic: bool = False
    alpha: float = 0.001
    error_slack: float = 0.01
    latency_ratio: float = 2.0
    latency_floor: float = 0.05
    split_slack: float = 0.05


@dataclass(frozen=True)
class Counts:
    """Users' requests to one version, or to several together, during a step.

    Attributes:
        requests: how many were answered.
        failed: of them, with a status of 500 and above.
        stale: answers given from, or refused because of, old features.
        p99: seconds, or None when unknown.
    """

    requests: float = 0.0
    failed: float = 0.0
    stale: float = 0.0
    p99: float | None = None


@dataclass(frozen=True)
class Probes:
    """Our own questions during a step.

    Attributes:
        asked: forecasts asked of the canary by its number.
        failed: of them, without an answer.
        invalid: of them, answered with prices that cannot be.
        problem: what was wrong with the last bad one.
        routed: questions sent without a number.
        to_canary: of them, answered by the canary.
    """

    asked: int = 0
    failed: int = 0
    invalid: int = 0
    problem: str = ""
    routed: int = 0
    to_canary: int = 0


@dataclass(frozen=True)
class Observation:
    """What was observed of a canary during one step.

    Attributes:
        wanted: its weight, 1..100.
        ready: whether it has ready endpoints.
        restarts: restarts of its containers during the step.
        probes: our own questions.
        canary: users' requests to it; None when Prometheus could not be asked.
        stable: users' requests to the others.
        blind: why Prometheus could not be asked.
        watched: whether there is a Prometheus to ask at all.
    """

    wanted: int
    ready: bool
    restarts: int
    probes: Probes
    canary: Counts | None = None
    stable: Counts = Counts()
    blind: str = ""
    watched: bool = True


@dataclass(frozen=True)
class Finding:
    """One rule and what was there.

    Attributes:
        name: short name, e.g. "errors".
        outcome: what follows.
        rule: what has to hold, in words.
        found: what was there.
    """

    name: str
    outcome: Outcome
    rule: str
    found: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.found}"


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
    findings = [*_health(observation), *_probed(observation, rules)]
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


def _probed(observation: Observation, rules: Policy) -> list[Finding]:
    probes = observation.probes
    findings = []
    if probes.asked:
        wrong = probes.failed + probes.invalid
        bad = probes.invalid > 0 or (
            probes.failed > 1
            and at_least(probes.failed, probes.asked, rules.error_slack) < rules.alpha
        )
        found = f"{probes.asked - wrong} of {probes.asked} probes answered well"
        if probes.problem:
            found = f"{found}; {probes.problem}"
        findings.append(
            Finding(
                "answers",
                Outcome.WITHDRAW if bad else Outcome.GO_ON,
                "it must answer our own questions with valid prices",
                found,
            )
        )
    if probes.routed:
        fits = within(probes.to_canary, probes.routed, observation.wanted / 100, rules.alpha)
        findings.append(
            Finding(
                "route",
                Outcome.GO_ON if fits else Outcome.HOLD,
                f"the route must give it {observation.wanted} % of our questions, luck aside",
                f"{probes.to_canary} of {probes.routed} routed",
            )
        )
    return findings


def _used(observation: Observation, canary: Counts, rules: Policy) -> list[Finding]:
    if canary.requests < rules.min_requests:
        little = f"{canary.requests:.0f} of {rules.min_requests} requests"
        return [
            Finding(
                "traffic",
                Outcome.HOLD if rules.require_traffic else Outcome.GO_ON,
                f"users' requests tell something from {rules.min_requests} on",
                f"too few of users to judge by ({little})",
            )
        ]
    return [
        _share("errors", "answers with a status of 500 and above", observation, canary, rules),
        _share("stale", "stale answers", observation, canary, rules),
        _latency(observation, canary, rules),
        _split(observation, canary, rules),
    ]


def _share(
    name: str, what: str, observation: Observation, canary: Counts, rules: Policy
) -> Finding:
    stable = observation.stable
    bad, usual = (
        (canary.failed, stable.failed) if name == "errors" else (canary.stale, stable.stale)
    )
    allowed = min(1.0, (usual / stable.requests if stable.requests else 0.0) + rules.error_slack)
    chance = at_least(round(bad), round(canary.requests), allowed)
    return Finding(
        name,
        Outcome.WITHDRAW if chance < rules.alpha else Outcome.GO_ON,
        f"its share of {what} must not exceed stable's by more than {rules.error_slack:.0%}",
        f"{bad:.0f} of {canary.requests:.0f} {what}, stable {usual:.0f} of {stable.requests:.0f}",
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
    total = canary.requests + observation.stable.requests
    wanted, share = observation.wanted / 100, canary.requests / total
    off = max(0.0, abs(share - wanted) - rules.split_slack)
    nearest = wanted + math.copysign(off, share - wanted)
    fits = within(round(nearest * total), round(total), wanted, rules.alpha)
    return Finding(
        "split",
        Outcome.GO_ON if fits else Outcome.HOLD,
        f"{observation.wanted} % of users' requests should reach it (requests that pin a version count)",
        f"{canary.requests:.0f} of users' {total:.0f} requests reached it, {share:.1%}",
    )


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1_000:.1f} ms"


def within(hits: int, trials: int, share: float, alpha: float) -> bool:
    """Whether so many hits are no surprise when each trial hits with this chance, two-sided."""
    above = at_least(hits, trials, share)
    below = at_least(trials - hits, trials, 1 - share)
    return min(above, below) >= alpha / 2


def at_least(hits: int, trials: int, share: float) -> float:
    """Chance of so many hits or more, by the binomial law: scipy's binom.sf(hits - 1, ...).

    The server that steers rollouts carries no scipy.
    """
    if hits <= 0:
        return 1.0
    if share <= 0 or hits > trials:
        return 0.0
    if share >= 1:
        return 1.0
    variance = trials * share * (1 - share)
    if variance > _NORMAL_FROM:
        return 0.5 * math.erfc((hits - 0.5 - trials * share) / math.sqrt(2 * variance))
    log, other = math.log(share), math.log1p(-share)
    whole = math.lgamma(trials + 1)
    terms = (
        whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * log + (trials - k) * other
        for k in range(hits, trials + 1)
    )
    return min(1.0, math.fsum(math.exp(term) for term in terms))
