"""Compares a canary with the stable version on the same questions, asked of both at one time.

The questions are users' own: their symbols and horizons, through the gateway. So what a user would
see counts, wherever it comes from: a 404 for a symbol that the stable version knows, a pod that
stalls before it reads, a forecast made from other prices. What both versions do alike is nobody's
fault. Each rule counts the pairs that tell the versions apart and is tested at every look; see
`log_evidence`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from forecasting.rollout.binomial import log_evidence
from forecasting.rollout.rules import Finding, Outcome, Policy

RULES: Final = 5
"""Rules that share `Policy.paired_alpha`."""

FAIR: Final = 0.5
"""Chance that it is the canary which is worse in a pair that differs, when both are alike."""

RARE: Final = 0.05
"""Chance with which two sound versions may tell different prices from the same data."""

MOST_IN_A_ROUND: Final = 3
"""Pairs of one round that may count for a rule: one hiccup of a pod is one event, not twenty."""

KEPT: Final = 2_000
"""Latencies kept for the quantiles that are told."""


@dataclass(frozen=True)
class Question:
    """What is asked of both: a symbol and how many bars to look ahead."""

    symbol: str
    horizon: int

    def __str__(self) -> str:
        return f"{self.symbol}, {self.horizon} bar{'' if self.horizon == 1 else 's'}"


@dataclass(frozen=True)
class Reply:
    """One version's answer to a question, or why there is none.

    Attributes:
        seconds: until it was there, from the asker's side.
        refused: the server's or the client's sentence when there is no answer; else "".
        invalid: what is wrong with the answer's prices; else "".
        as_of: close of the last bar used.
        snapshot: of the data it answered from.
        last_close: price at `as_of`.
        scale: width of the random walk's interval, as a logarithm; NaN when it was not given.
    """

    seconds: float
    refused: str = ""
    invalid: str = ""
    as_of: datetime | None = None
    snapshot: str = ""
    last_close: float = math.nan
    scale: float = math.nan


@dataclass(frozen=True)
class Pair:
    """A question with both answers."""

    question: Question
    canary: Reply
    stable: Reply


@dataclass(frozen=True)
class Pairs:
    """What the pairs of one step say so far.

    Attributes:
        asked: pairs.
        refused: of them, answered by stable and not by the canary; `refused_stable`: the reverse.
        slower, faster: answered by both, the canary clearly later or clearly earlier.
        older, newer: rounds in which the canary's data were older, or newer, than stable's.
        closes_differ, closes_agree: from the same data, with another last close or the same one.
        scales_differ, scales_agree: the same for the random walk's width.
        invalid: canary's answers with prices that cannot be.
        problem: what was wrong with the last bad one.
        canary_seconds, stable_seconds: latencies of the newest pairs answered by both.
    """

    asked: int = 0
    refused: int = 0
    refused_stable: int = 0
    slower: int = 0
    faster: int = 0
    older: int = 0
    newer: int = 0
    closes_differ: int = 0
    closes_agree: int = 0
    scales_differ: int = 0
    scales_agree: int = 0
    invalid: int = 0
    problem: str = ""
    canary_seconds: tuple[float, ...] = ()
    stable_seconds: tuple[float, ...] = ()

    def after(self, round_of_pairs: Sequence[Pair], policy: Policy) -> "Pairs":
        """With one more round of pairs, asked within a few seconds of each other."""
        answered = [
            pair for pair in round_of_pairs if not (pair.canary.refused or pair.stable.refused)
        ]
        broken = [pair for pair in round_of_pairs if pair.canary.invalid]
        refused = _first(_refusals(round_of_pairs))
        slower = _first(_delays(answered, policy.slower_seconds))
        age = sum(_age(pair) for pair in answered)
        closes = _first(_differences(answered, policy.close_tolerance, _close))
        scales = _first(_differences(answered, policy.scale_tolerance, _scale))
        return replace(
            self,
            asked=self.asked + len(round_of_pairs),
            refused=self.refused + refused.count(True),
            refused_stable=self.refused_stable + refused.count(False),
            slower=self.slower + slower.count(True),
            faster=self.faster + slower.count(False),
            older=self.older + (age > 0),
            newer=self.newer + (age < 0),
            closes_differ=self.closes_differ + closes.count(True),
            closes_agree=self.closes_agree + closes.count(False),
            scales_differ=self.scales_differ + scales.count(True),
            scales_agree=self.scales_agree + scales.count(False),
            invalid=self.invalid + len(broken),
            problem=_problem(round_of_pairs) or self.problem,
            canary_seconds=(*self.canary_seconds, *(p.canary.seconds for p in answered))[-KEPT:],
            stable_seconds=(*self.stable_seconds, *(p.stable.seconds for p in answered))[-KEPT:],
        )


def findings(pairs: Pairs, policy: Policy) -> list[Finding]:
    """What follows from the pairs so far; nobody can be told apart without any."""
    if not pairs.asked:
        rule, found = "both versions must be asked the same questions", "no question could be asked"
        return [Finding("answers", Outcome.HOLD, rule, found)]
    canary, stable = _latencies(pairs.canary_seconds), _latencies(pairs.stable_seconds)
    told = f"; {pairs.problem}" if pairs.problem else ""
    enough = -math.log(policy.paired_alpha / RULES)

    def finding(name: str, rule: str, found: str, worse: int, better: int, share: float) -> Finding:
        shown = log_evidence(worse, better, share) >= enough
        return Finding(name, Outcome.WITHDRAW if shown else Outcome.GO_ON, rule, found)

    return [
        Finding(
            "valid",
            Outcome.WITHDRAW if pairs.invalid else Outcome.GO_ON,
            "every price of it must be one that can be",
            f"{pairs.invalid} of {pairs.asked} answers had prices that cannot be{told}"
            if pairs.invalid
            else f"{pairs.asked} questions asked of both versions, no impossible price",
        ),
        finding(
            "answers",
            "it must answer what the stable version answers",
            f"{pairs.refused} questions only stable answered, {pairs.refused_stable} only it"
            f"{told if pairs.refused else ''}",
            *(pairs.refused, pairs.refused_stable, FAIR),
        ),
        finding(
            "response",
            f"it must not answer later than stable, by more than {1000 * policy.slower_seconds:.0f} ms",
            f"later {pairs.slower} times, earlier {pairs.faster} times; p50 and p99 {canary}, stable {stable}",
            *(pairs.slower, pairs.faster, FAIR),
        ),
        finding(
            "data",
            "it must not answer from older data than stable",
            f"older in {pairs.older} rounds, newer in {pairs.newer}",
            *(pairs.older, pairs.newer, FAIR),
        ),
        finding(
            "close",
            "from the same data both must tell the same last close",
            f"another one in {pairs.closes_differ} of {pairs.closes_differ + pairs.closes_agree}",
            *(pairs.closes_differ, pairs.closes_agree, RARE),
        ),
        finding(
            "scale",
            "from the same data the random walk must be as wide, "
            f"within {policy.scale_tolerance:.0%}",
            f"wider or narrower in {pairs.scales_differ} of "
            f"{pairs.scales_differ + pairs.scales_agree}",
            *(pairs.scales_differ, pairs.scales_agree, RARE),
        ),
    ]


def _first(events: Iterator[bool]) -> list[bool]:
    """The first of a round's events, as many as may count."""
    return [event for _, event in zip(range(MOST_IN_A_ROUND), events, strict=False)]


def _refusals(pairs: Sequence[Pair]) -> Iterator[bool]:
    for pair in pairs:
        if bool(pair.canary.refused) != bool(pair.stable.refused):
            yield bool(pair.canary.refused)


def _delays(pairs: Sequence[Pair], margin: float) -> Iterator[bool]:
    for pair in pairs:
        later = pair.canary.seconds - pair.stable.seconds
        if abs(later) > margin:
            yield later > 0


def _age(pair: Pair) -> int:
    canary, stable = pair.canary.as_of, pair.stable.as_of
    if canary is None or stable is None:
        return 0
    return (canary < stable) - (canary > stable)


def _close(reply: Reply) -> float:
    return math.log(reply.last_close) if reply.last_close > 0 else math.nan


def _scale(reply: Reply) -> float:
    return reply.scale


def _differences(
    pairs: Sequence[Pair], tolerance: float, logarithm: Callable[[Reply], float]
) -> Iterator[bool]:
    for pair in pairs:
        canary, stable = pair.canary, pair.stable
        if (canary.as_of, canary.snapshot) != (stable.as_of, stable.snapshot):
            continue
        difference = abs(logarithm(canary) - logarithm(stable))
        if not math.isnan(difference):
            yield difference > tolerance


def _problem(pairs: Sequence[Pair]) -> str:
    for pair in reversed(pairs):
        wrong = pair.canary.invalid or ("" if pair.stable.refused else pair.canary.refused)
        if wrong:
            return f"{pair.question}: {wrong}"
    return ""


def _latencies(seconds: Sequence[float]) -> str:
    if not seconds:
        return "unknown"
    ordered = sorted(seconds)
    middle, late = (
        ordered[min(len(ordered) - 1, int(level * len(ordered)))] for level in (0.5, 0.99)
    )
    return f"{1000 * middle:.1f} and {1000 * late:.1f} ms"
