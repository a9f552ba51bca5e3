"""Gives a version copies of users' requests for a while, and takes them away again.

The copies are on the route, so they outlive a command that is killed; they say until when they
should last, and whoever writes the route or asks for the status after that sees it.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from forecasting.adapters.cluster.routes import Route
from forecasting.clock import utc_now
from forecasting.errors import ClusterUnavailable, InvalidSettings, NotReady, RolloutConflict
from forecasting.rollout.traffic import Shadow
from serving.rollout.evidence import RolloutPart
from serving.rollout.weights import RouteWeights

STOP: Final = "bellwether rollout shadow --stop"
"""What ends a shadow."""

LOOK_SECONDS: Final = 5.0
"""Pause between two looks at whether the copies are still on the route."""

_TRIES: Final = 5


@dataclass
class Shadowing(RolloutPart):
    """The actions of a shadow; none of them changes a weight."""

    @property
    def _weights(self) -> RouteWeights:
        return RouteWeights(self.cluster, self.connections, self.log)

    def begin(self, version: int, percent: int, minutes: float, who: str) -> Shadow:
        """Copy requests to a version that is on the route and has no weight.

        Args:
            version: who gets the copies.
            percent: share of the requests, 1 to 100.
            minutes: how long it is meant to last.
            who: begins it, for the record.

        Raises:
            InvalidSettings, UnknownVersion: the share makes no sense, the version has weight or is
                not on the route.
            NotReady: it is not ready, or the gateway does not copy requests.
            RolloutConflict: there is another shadow, or a rollout under way.
        """
        now = utc_now()
        shadow = Shadow(version, percent, now, now + timedelta(minutes=minutes), who)
        route = self._weights.route()
        left = route.traffic.shadow
        traffic = route.traffic
        if left is not None and left.overdue(now):
            self.log(f"an earlier shadow was not ended by its command: {left.in_words()}")
            traffic = traffic.unmirrored()
        mirrored = traffic.mirrored(shadow, self._weights.ready_versions())
        try:
            self._weights.write(route, mirrored, f"shadow: {shadow.in_words()}")
        except NotReady as error:
            self.end(shadow)
            raise NotReady(
                "the gateway must be able to copy requests (RequestMirror of the Gateway API)",
                error.found,
                "The copies are off the route again. Look at the route and the gateway's log",
            ) from error
        self.log(shadow.in_words())
        return shadow

    def wait(self, shadow: Shadow, minutes: float) -> str:
        """Wait until its time is over; why it ended before that, or ""."""
        deadline = time.monotonic() + 60 * minutes
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(LOOK_SECONDS, left))
            try:
                now = self._weights.route()
            except ClusterUnavailable as error:
                self.log(f"the route is not seen: {error.found or error.rule}")
                continue
            if now.traffic.shadow != shadow:
                return f"somebody else wrote the route: {now.changed.get('why', 'no reason given')}"
        return ""

    def end(self, shadow: Shadow | None = None) -> Shadow | None:
        """Stop copying requests.

        Args:
            shadow: the one to end; None for whichever there is.

        Returns:
            What was ended; None when there was nothing to end.

        Raises:
            RolloutConflict: somebody else keeps writing the route.
            ClusterUnavailable: the cluster cannot be asked; copies go on.
        """
        for left in range(_TRIES, 0, -1):
            route = self._weights.route()
            found = route.traffic.shadow
            if found is None or (shadow is not None and found != shadow):
                return None
            try:
                self._unmirror(route, found)
            except RolloutConflict:
                if left == 1:
                    raise
                continue
            return found
        raise AssertionError  # the last try returns or raises

    def end_overdue(self) -> None:
        """End a shadow whose command did not live to end it, and say so."""
        found = self._weights.route().traffic.shadow
        if found is not None and found.overdue(utc_now()):
            self.log(f"its command did not end it: {found.in_words()}")
            self.end(found)

    def _unmirror(self, route: Route, found: Shadow) -> None:
        why = f"the shadow of version {found.version} is over"
        self._weights.write(route, route.traffic.unmirrored(), why)


def check_minutes(minutes: float) -> None:
    """Refuse a time that is none.

    Raises:
        InvalidSettings: it is not positive, or longer than a week: copies cost as requests do.
    """
    if not 0 < minutes <= 7 * 24 * 60:
        raise InvalidSettings(
            "a shadow lasts more than 0 minutes and at most a week",
            f"{minutes:g} minutes",
            "Give e.g. --minutes 60",
        )
