"""What a canary has to show, and what follows when it does not: test_canary.py and test_pairs.py judge by it."""

from dataclasses import dataclass
from enum import IntEnum


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
        require_traffic: whether too few requests hold the canary; otherwise it is judged on the
            rollout's own questions, and the reason says so.
        alpha: chance with which pure luck may break a rule about users' requests, at one look.
        error_slack: how much larger its share of refused, failed or stale answers may be than
            stable's.
        latency_ratio: how many times stable's p99 its own may be.
        latency_floor: p99 in seconds that is always good enough.
        split_slack: how far the share of users' requests may be off beside luck: requests that
            pin a version are counted, too.
        paired_alpha: chance with which pure luck may ever break a rule about questions asked of
            both versions, over all such rules and all looks of one step.
        slower_seconds: how much longer than stable an answer must take to count as slower.
        close_tolerance: relative difference of two last closes from which they differ.
        scale_tolerance: the same for the width of the random walk's interval.
    """

    min_requests: int = 50
    require_traffic: bool = False
    alpha: float = 0.001
    error_slack: float = 0.01
    latency_ratio: float = 2.0
    latency_floor: float = 0.05
    split_slack: float = 0.05
    paired_alpha: float = 0.01
    slower_seconds: float = 0.02
    close_tolerance: float = 1e-6
    scale_tolerance: float = 0.15


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
