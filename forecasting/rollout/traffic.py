"""Splits requests over model versions: weights that sum to 100, former stable versions, and a shadow.

Pure: a `Traffic` is read from the route, a new one is worked out here and written in one go. No
version that is not ready is ever given weight, and a version with weight is never a shadow.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from forecasting.errors import InvalidSettings, NotReady, RolloutConflict, UnknownVersion

ALL = 100


@dataclass(frozen=True)
class Shadow:
    """A version that gets copies of users' requests; nobody hears its answers.

    Attributes:
        version: who gets the copies.
        percent: share of the requests that are copied, 1 to 100.
        since: when it began, aware UTC; None where the route does not say.
        until: when it should end; None likewise.
        who: who began it; "" likewise.
    """

    version: int
    percent: int
    since: datetime | None = None
    until: datetime | None = None
    who: str = ""

    def overdue(self, now: datetime) -> bool:
        """Whether its time is over: whoever began it did not live to end it."""
        return self.until is not None and now > self.until

    def in_words(self) -> str:
        """E.g. "version 4 gets copies of 25 % of the requests, until 2026-11-30T10:00:00+00:00"."""
        end = f", until {self.until.isoformat(timespec='seconds')}" if self.until else ""
        by = f", begun by {self.who}" if self.who else ""
        return f"version {self.version} gets copies of {self.percent} % of the requests{end}{by}"


@dataclass(frozen=True)
class Traffic:
    """The split as the route has it.

    Attributes:
        weights: per cent of the requests by version; they sum to 100, or are all 0 before the
            first version serves. A version in it can be asked by its number.
        stable_history: versions that held all requests, the latest first.
        shadow: who gets copies of the requests; None for nobody.
    """

    weights: Mapping[int, int] = field(default_factory=dict)
    stable_history: tuple[int, ...] = ()
    shadow: Shadow | None = None

    @property
    def serving(self) -> tuple[int, ...]:
        """Versions with weight, the heaviest first."""
        some = [version for version, weight in self.weights.items() if weight > 0]
        return tuple(sorted(some, key=lambda version: (-self.weights[version], -version)))

    @property
    def stable(self) -> int | None:
        """The version that last held all requests; else the heaviest; None when nothing serves."""
        serving = self.serving
        return next(
            (version for version in self.stable_history if version in serving),
            serving[0] if serving else None,
        )

    @property
    def canaries(self) -> tuple[int, ...]:
        """Versions with weight beside the stable one."""
        return tuple(version for version in self.serving if version != self.stable)

    def joined(self, version: int) -> "Traffic":
        """With this version, that can be asked by its number and has no weight yet."""
        return self if version in self.weights else self._with({**self.weights, version: 0})

    def without(self, version: int) -> "Traffic":
        """Without this version.

        Raises:
            InvalidSettings: it has weight.
        """
        weight = self.weights.get(version, 0)
        if weight:
            raise InvalidSettings(
                "a version may be taken off the route when no requests go to it",
                f"version {version} has {weight} %",
                "Promote another version first, or roll back",
            )
        return self._with({other: w for other, w in self.weights.items() if other != version})

    def mirrored(self, shadow: Shadow, ready: Collection[int]) -> "Traffic":
        """With copies of the requests to a version; the weights stay as they are.

        Args:
            shadow: who gets them, and how many.
            ready: versions whose endpoints are ready.

        Raises:
            InvalidSettings: the share makes no sense, or the version has weight.
            UnknownVersion: it is not on the route.
            RolloutConflict: there is a shadow, or more than one version gets requests.
            NotReady: it is not ready.
        """
        version = shadow.version
        if not 1 <= shadow.percent <= ALL:
            raise InvalidSettings("a shadow gets copies of 1 to 100 %", f"{shadow.percent}")
        if version not in self.weights:
            raise UnknownVersion(
                "a shadow must be on the route",
                f"version {version} is not",
                f"bellwether rollout start {version} --weight 0",
            )
        if self.weights[version]:
            raise InvalidSettings(
                "a shadow has no requests of its own",
                f"version {version} has {self.weights[version]} %",
                "Take them from it first: bellwether rollout rollback",
            )
        if self.shadow is not None:
            raise RolloutConflict(
                "one version is a shadow at a time",
                self.shadow.in_words(),
                "Wait for its end, or end it: bellwether rollout shadow --stop",
            )
        if len(self.serving) != 1:
            raise RolloutConflict(
                "a shadow is compared with the one version that users get",
                self.in_words() or "no version has requests",
                "Promote a version, or withdraw the canary: bellwether rollout rollback",
            )
        if version not in ready:
            raise NotReady(
                "only a version with ready endpoints may get copies of the requests",
                f"version {version} has none",
                "Wait for it: bellwether rollout status",
            )
        return Traffic(self.weights, self.stable_history, shadow)

    def unmirrored(self) -> "Traffic":
        """Without copies to anybody; the weights stay as they are."""
        return Traffic(self.weights, self.stable_history)

    def give(self, version: int, percent: int, ready: Collection[int]) -> "Traffic":
        """Give a version its share; the others keep theirs in proportion, and a shadow its copies.

        When no other version has weight, the rest goes to the one that held all requests before.

        Args:
            version: who gets it.
            percent: 0..100.
            ready: versions whose endpoints are ready.

        Raises:
            InvalidSettings: the share makes no sense, or nobody could take the rest.
            NotReady: a version would get weight and is not ready.
        """
        if not 0 <= percent <= ALL:
            raise InvalidSettings("a weight is a share of 0 to 100", f"{percent}")
        others = {other: w for other, w in self.weights.items() if other != version and w > 0}
        rest = ALL - percent
        if rest and not others:
            before = next((other for other in self.stable_history if other != version), None)
            if before is None:
                raise InvalidSettings(
                    "the weights must sum to 100",
                    f"{percent} % for version {version}, and no other version serves",
                    "Give it 100, or start another version first",
                )
            others = {before: 1}
        shares = _apportioned(rest, others)
        return self._decided({**shares, version: percent}, ready)

    def back(self, ready: Collection[int], to: int | None = None) -> "Traffic":
        """All requests back to one version; those it is taken from are forgotten as a way back.

        Copies end, too: where something is wrong, nothing more than the answers is worked for.

        Args:
            ready: versions whose endpoints are ready.
            to: the version; None for the stable one, or, when that has everything, for the one
                that held all requests before it.

        Raises:
            InvalidSettings: there is nothing to go back to.
            UnknownVersion: the version is not on the route.
            NotReady: it is not ready.
        """
        target = to if to is not None else self._before()
        if target is None:
            raise InvalidSettings(
                "a rollback needs a version that served before",
                f"on the route: {self.in_words() or 'nothing'}",
                "Start an older version, or name one with --to",
            )
        if target not in self.weights:
            raise UnknownVersion(
                "a rollback goes to a version on the route",
                f"version {target}; there are {', '.join(map(str, sorted(self.weights))) or 'none'}",
                f"Start it first: bellwether rollout start {target} --weight 0",
            )
        withdrawn = [version for version in self.serving if version != target]
        earlier = tuple(version for version in self.stable_history if version not in withdrawn)
        back = self._decided({target: ALL}, ready)
        return Traffic(back.weights, tuple(dict.fromkeys([target, *earlier])))

    def in_words(self) -> str:
        """The weights in words: "version 3 90 %, version 4 10 %"."""
        return ", ".join(f"version {version} {self.weights[version]} %" for version in self.serving)

    def _before(self) -> int | None:
        if self.canaries:
            return self.stable
        return next((version for version in self.stable_history if version != self.stable), None)

    def _decided(self, shares: Mapping[int, int], ready: Collection[int]) -> "Traffic":
        unready = sorted(
            version for version, share in shares.items() if share and version not in ready
        )
        if unready:
            raise NotReady(
                "only a version with ready endpoints may get requests",
                f"{', '.join(f'version {version} would get {shares[version]} %' for version in unready)}, "
                "and has none",
                "Wait for it, or give all requests to a version that is ready: "
                "bellwether rollout promote VERSION",
            )
        return self._with({**dict.fromkeys(self.weights, 0), **shares})

    def _with(self, weights: Mapping[int, int]) -> "Traffic":
        ordered = {version: weights[version] for version in sorted(weights, reverse=True)}
        whole = [version for version, weight in ordered.items() if weight == ALL]
        stable_history = tuple(
            version
            for version in dict.fromkeys([*whole, *self.stable_history])
            if version in ordered
        )
        shadow = self.shadow
        if shadow is not None and ordered.get(shadow.version) != 0:
            shadow = None  # it has requests now, or is gone
        return Traffic(ordered, stable_history, shadow)


def _apportioned(total: int, shares: Mapping[int, int]) -> dict[int, int]:
    """`total` split in proportion to `shares`, whole numbers by the largest remainder."""
    whole = sum(shares.values())
    if not total or not whole:
        return dict.fromkeys(shares, 0)
    parts = {version: divmod(total * share, whole) for version, share in shares.items()}
    apportioned = {version: part for version, (part, _) in parts.items()}
    by_remainder = sorted(parts, key=lambda version: (-parts[version][1], -version))
    for version in by_remainder[: total - sum(apportioned.values())]:
        apportioned[version] += 1
    return apportioned
