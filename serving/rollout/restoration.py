"""Gives users back what served last, when a release is installed again over the same data.

The weights end with the release's route; the rollout history does not. The version that held all
requests is started again and gets them all, if it still is what it was: in the registry, with the
digest that served, signed by a trusted key. A canary that was under way does not come back by itself.
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from forecasting.adapters.cluster.routes import Route
from forecasting.adapters.registry.rollout_history import Change, RolloutHistory
from forecasting.errors import (
    BundleRejected,
    InvalidSettings,
    NotReady,
    RolloutConflict,
    ServerUnavailable,
    Unavailable,
    UnknownVersion,
)
from forecasting.rollout.traffic import ALL, Traffic

if TYPE_CHECKING:
    from serving.rollout.rollout import Rollout

HISTORY: Final = 100
PAUSE_SECONDS: Final = 5.0
WAYS_BACK: Final = 2
"""Versions that run again: the one that served, and one to roll back to."""

_LOST = (BundleRejected, UnknownVersion, InvalidSettings, NotReady, ServerUnavailable)
"""What one version cannot help, and another may."""


def restore(rollout: "Rollout") -> str:
    """Restore the weights where the route has none and the history knows some; safe to repeat.

    Weights that the route has, and the history not, are recorded: somebody wrote them by hand, or
    a release before this one did.

    Args:
        rollout: of the release.

    Returns:
        What became of it, in words.

    Raises:
        NotReady: none of the versions that served can serve again.
        RolloutConflict: somebody else changes the weights meanwhile.
        Unavailable: cluster, registry or database is away.
    """
    if rollout.history is None:
        return "the rollout history's database is not known here: nothing is restored"
    route = rollout.weights.route()
    if route.traffic.serving:
        _record_found(rollout, rollout.history, route)
        return f"nothing to restore: {route.traffic.in_words()}"
    changes = rollout.history.changes(rollout.config.model, last=HISTORY)
    last = next((change for change in changes if change.traffic.serving), None)
    if last is None:
        return "nothing to restore: no version has served before"
    return _restored(rollout, last)


def restore_within(rollout: "Rollout", seconds: float) -> str:
    """As `restore`, while registry, database and route of a fresh installation come up.

    Args:
        rollout: of the release.
        seconds: how long they may take.

    Raises: as `restore`.
    """
    return _retried(lambda: restore(rollout), seconds, rollout.log)


def _record_found(rollout: "Rollout", history: RolloutHistory, route: Route) -> None:
    """Record weights that the history does not have."""
    changes = history.changes(rollout.config.model, last=1)
    if not changes or changes[0].traffic != route.traffic.unmirrored():
        rollout.weights.record(route.traffic, route.changed)


def _restored(rollout: "Rollout", last: Change) -> str:
    stable, lost = last.traffic.stable, list[str]()
    told = f"{last.traffic.in_words()} since {last.at:%Y-%m-%d %H:%M} UTC ({last.why})"
    rollout.log(f"the route has no weights; the last were: {told}")
    # Else what only the gateway lacks would be held against the versions.
    rollout.evidence.check_gateway()
    back: list[int] = []
    for version in _wanted(last.traffic):
        try:
            _again(rollout, version, last, back)
        except RolloutConflict:
            raise
        except _LOST as error:
            lost.append(f"version {version}: {error.rule}: {error.found}")
            rollout.log(f"version {version} is not restored: {error.rule}: {error.found}")
            continue
        back.append(version)
        if len(back) == WAYS_BACK:
            break
    if not back:
        raise NotReady(
            "a version that served must be there to serve again",
            "; ".join(lost),
            "Users get 503 until one serves. Train, or: bellwether rollout start VERSION",
        )
    words = [f"version {back[0]} has all requests again"]
    if back[0] != stable:
        words.append(f"version {stable}, which served last, cannot: {lost[0]}")
    words += [f"version {one} is there to roll back to" for one in back[1:]]
    words += [
        f"version {canary} was being rolled out at {last.traffic.weights[canary]} % and gets no "
        f"requests before it is judged anew: bellwether rollout run {canary}"
        for canary in last.traffic.canaries
    ]
    return "; ".join(words)


def _wanted(traffic: Traffic) -> Iterator[int]:
    """The version that served, then those that did before it, the latest first."""
    first = [traffic.stable] if traffic.stable is not None else []
    yield from dict.fromkeys([*first, *traffic.stable_history])


def _again(rollout: "Rollout", version: int, last: Change, back: list[int]) -> None:
    """Run a version again; the first gets all requests, another one stands by."""
    served = last.digests.get(version, "")
    promised = rollout.connections.registry().version(str(version)).bundle_digest
    if served and served != promised:
        raise BundleRejected(
            "a version never changes",
            f"version {version} served with digest {served[:16]}, and the registry promises "
            f"{promised[:16]}",
            "Find out who changed the registry",
        )
    rollout.prepare(str(version), evidence=False)
    rollout.evidence.answers(version)
    route = rollout.weights.route()
    if route.traffic.serving and not back:
        raise RolloutConflict(
            "only a route without weights is restored",
            f"somebody else wrote: {route.traffic.in_words()}",
            "Nothing is to be done",
        )
    weights = dict(route.traffic.weights)
    if not back:
        weights = {**dict.fromkeys(weights, 0), version: ALL}
    why = f"restored after a new installation, as of {last.at:%Y-%m-%d %H:%M} UTC"
    rollout.weights.write(route, Traffic(weights, (*back, version)), why)
    if not back:
        rollout.weights.tag(version, "serving", why)


def _retried(act: Callable[[], str], seconds: float, log: Callable[[str], None]) -> str:
    deadline, logged = time.monotonic() + seconds, ""
    while True:
        try:
            return act()
        except (Unavailable, InvalidSettings) as error:
            if isinstance(error, NotReady) or time.monotonic() + PAUSE_SECONDS > deadline:
                raise
            found = error.found or error.rule
            if found != logged:
                log(f"waiting, {seconds:.0f} s at most: {found}")
                logged = found
            time.sleep(PAUSE_SECONDS)
