"""Publishes features for the versions in use, each specification's own, and removes what none needs.

A training publishes for its own specification alone. A refresh publishes for every specification
that a version in use needs or that is still kept, so that all of them stay fresh. A specification
is kept `KEPT_IDLE` longer than any version in use needs it, and features that a newer publication
replaced `KEPT_SUPERSEDED` longer than that: see docs/lake.md.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from forecasting.adapters.lake.describe import describe_prices
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.snapshot import Snapshot
from forecasting.adapters.registry.in_use import InUse, VersionInUse
from forecasting.clock import utc_now
from forecasting.errors import (
    BellwetherError,
    NotReady,
    SnapshotCorrupted,
    Unavailable,
    UnknownSymbol,
)
from forecasting.features.online import ServedFeatures, serve_features
from forecasting.features.spec import FeatureSpec
from forecasting.leakage.findings import refuse_leaks
from forecasting.prices.calendar import horizon_times

if TYPE_CHECKING:
    from forecasting.features.build import FeatureTable

KEPT_IDLE: Final = timedelta(days=30)
"""How long a specification is kept, and kept fresh, that no version in use needs any more."""

KEPT_SUPERSEDED: Final = timedelta(days=1)
"""How old features must be to be removed once no pointer names them."""

Describe = Callable[[Lake, Snapshot, FeatureSpec], ServedFeatures]
"""Makes the features of a snapshot for one specification."""

Tell = Callable[[str], None]
"""Called with a sentence about what a reader should know."""


@dataclass(frozen=True)
class World:
    """Who says which versions are in use.

    Attributes:
        in_use: called with numbers of versions that were seen to answer.
        answered_since: numbers of versions that answered since an instant; may raise `Unavailable`.
    """

    in_use: Callable[[Iterable[str]], InUse]
    answered_since: Callable[[datetime], Iterable[str]]


@dataclass(frozen=True)
class Published:
    """What a refresh published.

    Attributes:
        ids: of the features, by specification; those for the versions in use first.
        failures: what kept a specification that is needed from being published.
        champion: the champion, if it is known and reads this data set.
    """

    ids: Mapping[str, str]
    failures: Sequence[BellwetherError]
    champion: VersionInUse | None


def served_of(
    lake: Lake, snapshot: Snapshot, table: "FeatureTable", spec: FeatureSpec
) -> ServedFeatures:
    """The newest rows of a described snapshot, as they are served.

    Raises:
        ShortHistory: no symbol has a usable row.
    """
    record = lake.last_fetch(snapshot.dataset)
    newest = lake.latest(snapshot.dataset).id == snapshot.id
    return serve_features(
        table,
        spec,
        snapshot_id=snapshot.id,
        dataset=snapshot.dataset,
        source=snapshot.source,
        replay=snapshot.replay,
        synthetic=snapshot.synthetic,
        fetched_at=snapshot.fetched_at,
        created_at=utc_now(),
        fallback=record.sentence if record and newest else "",
        horizon_times=lambda symbol, last: horizon_times(symbol, last, snapshot.interval),
    )


def described_for(lake: Lake, snapshot: Snapshot, spec: FeatureSpec) -> ServedFeatures:
    """Features of a snapshot for one specification, checked for leaks.

    How the specification's symbols were chosen was judged when it was trained with; here a symbol
    that ended since, or that nobody asks for any more, keeps its place.

    Raises:
        LeakFound: a check found a leak.
        UnknownSymbol: the snapshot holds none of its symbols.
        ShortHistory: none has a usable row.
    """
    symbols = [symbol for symbol in spec.symbols if symbol in snapshot.symbols]
    if spec.symbols and not symbols:
        raise UnknownSymbol(
            "the snapshot must hold symbols of the specification",
            f"none of {', '.join(spec.symbols[:20])}",
            "Ingest them: bellwether refresh --symbols ...",
        )
    described = describe_prices(lake, snapshot, lake.read(snapshot, symbols), spec)
    refuse_leaks(described.leaks)
    return served_of(lake, snapshot, described.features, spec)


def publish_own(lake: Lake, dataset: str, served: ServedFeatures) -> str:
    """Publish a training's features for its own specification, unless newer ones are there.

    Returns:
        Id of what versions of the specification are served from now on.
    """
    held = _held(lake, dataset, served.spec_digest)
    if held is not None and held.fetched_at >= served.fetched_at:
        return held.id
    return lake.publish_features(dataset, served)


def refresh_published(
    lake: Lake,
    snapshot: Snapshot,
    asked: FeatureSpec,
    world: World,
    tell: Tell,
    describe: Describe = described_for,
) -> Published:
    """Publish a snapshot's features for every specification in use, then remove what none needs.

    Args:
        lake: where the snapshot is kept.
        snapshot: the newest prices of a data set.
        asked: published where neither a version in use nor the lake names any specification.
        world: who says which versions are in use.
        tell: called with what a reader should know.
        describe: makes the features of one specification.
    """
    dataset = snapshot.dataset
    in_use = world.in_use(())
    for sentence in in_use.unseen:
        tell(f"not seen: {sentence}")
    for version in in_use.versions:
        if version.dataset != dataset:
            name = f"version {version.version} ({version.role})"
            tell(f"{name} reads data set {version.dataset}, which this refresh does not keep fresh")
    try:
        lake.adopt_features_of_before(dataset)
    except SnapshotCorrupted as error:
        tell(f"the features of before are not kept: {error}")
    published = publish_all(lake, snapshot, in_use, asked, tell, describe)
    idle = removal_is_due(lake, dataset, in_use)
    if idle is not None:
        # Before anything is removed: whoever answered is in use, whatever the registry says.
        try:
            in_use = world.in_use(world.answered_since(idle))
        except Unavailable as error:
            in_use = InUse(unseen=(f"prediction log: {error.found or error.rule}",))
    retire(lake, dataset, in_use, tell)
    return published


def publish_all(
    lake: Lake,
    snapshot: Snapshot,
    in_use: InUse,
    asked: FeatureSpec,
    tell: Tell,
    describe: Describe = described_for,
) -> Published:
    """Publish a snapshot's features for every specification that is needed or kept.

    One that fails does not keep the others from being published.

    Args:
        lake: where the snapshot is kept.
        snapshot: the prices.
        in_use: which versions are in use.
        asked: published where neither a version in use nor the lake names any specification.
        tell: called with what a reader should know.
        describe: makes the features of one specification.
    """
    dataset = snapshot.dataset
    needed = {version.spec.digest: version.spec for version in in_use.of(dataset)}
    kept = lake.specifications(dataset)
    wanted = {**needed, **{digest: kept[digest] for digest in kept if digest not in needed}}
    ids: dict[str, str] = {}
    failures: list[BellwetherError] = []
    for digest, spec in (wanted or {asked.digest: asked}).items():
        try:
            ids[digest] = _publish(lake, snapshot, spec, describe)
        except BellwetherError as error:
            tell(f"features of specification {digest} stay as they were: {error}")
            if digest in needed or not needed:
                failures.append(error)
    champion = in_use.champion(dataset)
    if champion is not None and champion.spec.digest in ids:
        lake.point_servers_of_before(dataset, champion.spec.digest)
    return Published(ids, failures, champion)


def retire(lake: Lake, dataset: str, in_use: InUse, tell: Tell) -> tuple[str, ...]:
    """Remove specifications that no version in use has needed for `KEPT_IDLE`.

    Where it is not known which versions are in use, nothing is removed. A specification is first
    noted as idle; it is removed by a later run that finds it idle still, so that a version which
    is started meanwhile keeps its features.

    Args:
        lake: where the features are.
        dataset: their data set.
        in_use: which versions are in use.
        tell: called with what a reader should know.

    Returns:
        The specifications that were removed.
    """
    if in_use.unseen:
        tell(f"nothing is removed, for not all is known: {'; '.join(in_use.unseen)}")
        return ()
    now = utc_now()
    needed = {version.spec.digest for version in in_use.of(dataset)}
    removed = []
    for digest in lake.specifications(dataset):
        since = lake.idle_since(dataset, digest)
        if digest in needed:
            if since is not None:
                lake.mark_needed(dataset, digest)
        elif since is None:
            lake.mark_idle(dataset, digest, now)
        elif now - since >= KEPT_IDLE:
            lake.remove_specification(dataset, digest)
            removed.append(digest)
            tell(f"specification {digest} was removed: no version has needed it since {since:%F}")
    lake.remove_superseded(dataset, now - KEPT_SUPERSEDED)
    return tuple(removed)


def removal_is_due(lake: Lake, dataset: str, in_use: InUse) -> datetime | None:
    """Since when the longest idle specification is idle, if one is to be removed now."""
    needed = {version.spec.digest for version in in_use.of(dataset)}
    idle = [
        since
        for digest in lake.specifications(dataset)
        if digest not in needed and (since := lake.idle_since(dataset, digest)) is not None
    ]
    oldest = min(idle, default=None)
    return oldest if oldest is not None and utc_now() - oldest >= KEPT_IDLE else None


def _publish(lake: Lake, snapshot: Snapshot, spec: FeatureSpec, describe: Describe) -> str:
    """Publish for one specification; never features that lack a symbol which is served now.

    Raises:
        NotReady: the snapshot lacks one, because another fetch replaced it meanwhile.
    """
    dataset = snapshot.dataset
    held = _held(lake, dataset, spec.digest)
    lost = sorted(set(held.symbols) - set(snapshot.symbols)) if held is not None else []
    if lost:
        raise NotReady(
            "a refresh keeps every symbol that is served",
            f"snapshot {snapshot.id} of {dataset!r} lacks {', '.join(lost[:20])}",
            "Refresh again: another fetch came in between",
        )
    if held is not None and held.fetched_at > snapshot.fetched_at:
        return held.id  # another refresh was faster
    return lake.publish_features(dataset, describe(lake, snapshot, spec))


def _held(lake: Lake, dataset: str, specification: str) -> ServedFeatures | None:
    """What is published of a specification; None where nothing is, or it is damaged."""
    try:
        return lake.served_features(dataset, specification)
    except BellwetherError:
        return None
