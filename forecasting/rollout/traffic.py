"""Splits requests over model versions: weights that sum to 100, and former stable versions.

Pure: a `Traffic` is read from the route, a new one is worked out here and written in one go. No
version that is not ready is ever given weight.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from forecasting.errors import InvalidSettings, NotReady, UnknownVersion

ALL = 100


@dataclass(frozen=True)
class Traffic:
    """The split as the route has it.

    Attributes:
        weights: per cent of the requests by version; they sum to 100, or are all 0 before the
            first version serves. A version in it can be asked by its number.
        held: versions that held all requests, the latest first.
    """

    weights: Mapping[int, int] = field(default_factory=dict)
    held: tuple[int, ...] = ()

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
            (version for version in self.held if version in serving),
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

    def give(self, version: int, percent: int, ready: Collection[int]) -> "Traffic":
        """Give a version its share; the others keep theirs in proportion.

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
            before = next((other for other in self.held if other != version), None)
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
        earlier = tuple(version for version in self.held if version not in withdrawn)
        back = self._decided({target: ALL}, ready)
        return Traffic(back.weights, tuple(dict.fromkeys([target, *earlier])))

    def in_words(self) -> str:
        """The weights in words: "version 3 90 %, version 4 10 %"."""
        return ", ".join(f"version {version} {self.weights[version]} %" for version in self.serving)

    def _before(self) -> int | None:
        if self.canaries:
            return self.stable
        return next((version for version in self.held if version != self.stable), None)

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
        held = tuple(
            version for version in dict.fromkeys([*whole, *self.held]) if version in ordered
        )
        return Traffic(ordered, held)


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
