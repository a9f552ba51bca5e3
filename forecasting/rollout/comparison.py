"""Compares a shadow's answers with the stable version's to the same requests.

The two are joined by the gateway's id of the request and the symbol. Both used the same last bar, or
their difference would be that of their data; such rows are counted and left out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np

_LOW, _POINT, _HIGH = 0, 2, 4
"""Columns of p05, p50 and p95 in a forecast's quantiles."""

NO_SECONDS: Final = (float("nan"), float("nan"))


class Logged(NamedTuple):
    """One symbol's forecast in an answer that was logged.

    Attributes:
        gateway_id: of the request.
        symbol: what was forecast.
        version: which version answered.
        shadow: whether it answered a copy.
        as_of: close of the last bar used.
        quantiles: [h, 5] prices p05 p25 p50 p75 p95 of 1 to h bars ahead.
        seconds: from the request's last byte to the answer.
    """

    gateway_id: str
    symbol: str
    version: str
    shadow: bool
    as_of: datetime
    quantiles: Sequence[Sequence[float]]
    seconds: float


@dataclass(frozen=True)
class Difference:
    """How a shadow's forecasts of one symbol, so many bars ahead, differ from stable's.

    In units of the stable version's interval (p05 to p95): 0.1 is a tenth of its width. "Largest" is
    the one that is farthest from 0.

    Attributes:
        symbol: what was forecast.
        horizon: bars ahead.
        answers: pairs compared.
        point_median, point_largest: shadow's p50 - stable's.
        width_median, width_largest: width of the shadow's interval - stable's.
    """

    symbol: str
    horizon: int
    answers: int
    point_median: float
    point_largest: float
    width_median: float
    width_largest: float


@dataclass(frozen=True)
class Comparison:
    """A shadow's answers beside the stable version's.

    Attributes:
        versions: whose answers users got.
        joined: requests that both answered.
        only_users: requests of which the shadow has no answer: not copied, refused, failed, or its
            row was not kept.
        only_copies: copies whose request has no answer: refused, failed, or its row was not kept.
        refused_symbols: symbols in joined requests that only the shadow left out.
        other_bar: pairs left out because the two used different last bars.
        unusable: pairs left out because a price is no number, or stable's interval has no width.
        repeated: requests left out because their id came more than once.
        stable_seconds, shadow_seconds: (p50, p99) of the answers to joined requests, in the servers;
            NaN without any.
        differences: by symbol and horizon, sorted.
    """

    versions: tuple[str, ...] = ()
    joined: int = 0
    only_users: int = 0
    only_copies: int = 0
    refused_symbols: int = 0
    other_bar: int = 0
    unusable: int = 0
    repeated: int = 0
    stable_seconds: tuple[float, float] = NO_SECONDS
    shadow_seconds: tuple[float, float] = NO_SECONDS
    differences: tuple[Difference, ...] = ()


def compare(rows: Iterable[Logged]) -> Comparison:
    """Join the rows of both sides and say how they differ.

    Args:
        rows: of the time in which requests were copied, in any order.
    """
    users, copies, repeated = _by_request(rows)
    both = [key for key in users if key in copies]
    pairs = [
        (users[key][symbol], copies[key][symbol])
        for key in both
        for symbol in users[key]
        if symbol in copies[key]
    ]
    same = [(one, other) for one, other in pairs if one.as_of == other.as_of]
    differences, unusable = _differences(same)
    return Comparison(
        versions=tuple(sorted({row.version for kept in users.values() for row in kept.values()})),
        joined=len(both),
        only_users=len(users) - len(both),
        only_copies=len(copies) - len(both),
        refused_symbols=sum(len(users[key].keys() - copies[key].keys()) for key in both),
        other_bar=len(pairs) - len(same),
        unusable=unusable,
        repeated=len(repeated),
        stable_seconds=_quantiles([next(iter(users[key].values())).seconds for key in both]),
        shadow_seconds=_quantiles([next(iter(copies[key].values())).seconds for key in both]),
        differences=differences,
    )


_Requests = Mapping[str, dict[str, Logged]]


def _by_request(rows: Iterable[Logged]) -> tuple[_Requests, _Requests, set[str]]:
    """Users' answers and copies' answers by request and symbol, and ids that came more than once."""
    sides: tuple[dict[str, dict[str, Logged]], ...] = (defaultdict(dict), defaultdict(dict))
    seen: Counter[tuple[bool, str, str]] = Counter()
    for row in rows:
        seen[row.shadow, row.gateway_id, row.symbol] += 1
        sides[row.shadow][row.gateway_id][row.symbol] = row
    repeated = {key for (_, key, _), times in seen.items() if times > 1}
    users, copies = (
        {key: kept for key, kept in side.items() if key not in repeated} for side in sides
    )
    return users, copies, repeated


def _differences(pairs: Sequence[tuple[Logged, Logged]]) -> tuple[tuple[Difference, ...], int]:
    points: dict[tuple[str, int], list[float]] = defaultdict(list)
    widths: dict[tuple[str, int], list[float]] = defaultdict(list)
    unusable = 0
    for stable, shadow in pairs:
        one, other = (np.asarray(row.quantiles, dtype=np.float64) for row in (stable, shadow))
        common = min(len(one), len(other))
        one, other = one[:common], other[:common]
        width = one[:, _HIGH] - one[:, _LOW]
        if not (np.isfinite(one).all() and np.isfinite(other).all() and (width > 0).all()):
            unusable += 1
            continue
        point = (other[:, _POINT] - one[:, _POINT]) / width
        wider = (other[:, _HIGH] - other[:, _LOW]) / width - 1
        for row in range(common):
            key = (stable.symbol, row + 1)
            points[key].append(float(point[row]))
            widths[key].append(float(wider[row]))
    found = tuple(
        Difference(
            *key,
            len(points[key]),
            float(np.median(points[key])),
            max(points[key], key=abs),
            float(np.median(widths[key])),
            max(widths[key], key=abs),
        )
        for key in sorted(points)
    )
    return found, unusable


def _quantiles(seconds: Sequence[float]) -> tuple[float, float]:
    if not seconds:
        return NO_SECONDS
    p50, p99 = np.quantile(seconds, (0.5, 0.99))
    return float(p50), float(p99)
