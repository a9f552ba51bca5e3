"""Which versions that run need not any more: the rule by which old ones are retired.

Kept are, whatever their age: versions with requests; the one that a rollback would go to; and those
that somebody needs by name (champion and challenger, the ledger's, a pinned one). Of the others the
newest are kept until so many run as the rule says, and those that were used within so many days.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from forecasting.rollout.traffic import Traffic


@dataclass(frozen=True)
class KeepRule:
    """What is kept beside the versions that are needed.

    Attributes:
        versions: how many run at least, the needed ones included, if there are so many.
        days: how long a version runs on after it was last used.
    """

    versions: int = 3
    days: float = 7.0


def retired(
    used: Mapping[int, datetime],
    traffic: Traffic,
    needed: Collection[int],
    rule: KeepRule,
    now: datetime,
) -> tuple[int, ...]:
    """Versions that may end now, the one that was used longest ago first.

    Args:
        used: versions that run, and when each had requests last or was started, aware UTC.
        traffic: the split as the route has it.
        needed: versions that are kept for another reason.
        rule: what else is kept.
        now: aware UTC.
    """
    kept = {*traffic.serving, *needed, *traffic.stable_history[:2]} & set(used)
    others = sorted(set(used) - kept, key=lambda version: (used[version], version), reverse=True)
    spare = max(0, rule.versions - len(kept))
    recently = now - timedelta(days=rule.days)
    ended = [version for version in others[spare:] if used[version] < recently]
    return tuple(reversed(ended))
