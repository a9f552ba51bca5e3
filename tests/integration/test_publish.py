"""Whatever trainings, refreshes, rollouts and removals do, a fresh pod of a served version loads.

The lake is real, in memory. Registry, ledger and log are plain records: what reads the real ones is
tested in tests/unit/forecasting/adapters/registry/test_in_use.py.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from forecasting.adapters.lake import publish
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.publish import (
    KEPT_IDLE,
    World,
    publish_own,
    refresh_published,
)
from forecasting.adapters.registry.in_use import InUse, VersionInUse, roles_of
from forecasting.adapters.registry.ledger import Promotion
from forecasting.adapters.registry.records import RUNS, ModelVersion
from forecasting.errors import NotReady, ShortHistory, Unavailable
from forecasting.features.online import ServedFeatures
from forecasting.features.spec import FeatureSpec
from forecasting.schema import MAX_HORIZON
from tests.clock import machine_now
from tests.unit.forecasting.adapters.lake.test_snapshot import snapshot as a_snapshot

DATASET = "default"
SYMBOLS = ("A", "B", "C", "D")
SPECS = tuple(
    FeatureSpec(
        symbols=symbols,
        returns=returns,
        **dict.fromkeys(("sma", "ema", "extremes", "rsi", "bollinger", "atr"), ()),
        volatility=(5,),
        volume=(),
        ranked=(),
    )
    for symbols in (("A", "B", "C"), ("D",), ("A", "B"))
    for returns in ((1,), (1, 2))
)
"""What trainings ask for: three lists of symbols, two lists of features."""


def features(spec, fetched_at, symbols=None) -> ServedFeatures:
    """Two rows of each symbol: small, and of that specification."""
    names = tuple(symbols or spec.symbols)
    rows = 2 * len(names)
    closes = np.tile(np.array([1, 2], dtype=np.int64) * 10**18, len(names))
    ahead = 3 * 10**18 + np.arange(MAX_HORIZON, dtype=np.int64) * 10**9
    return ServedFeatures(
        spec=spec.to_dict(),
        spec_digest=spec.digest,
        snapshot_id="0123456789abcdef",
        dataset=DATASET,
        source="sample",
        interval="1d",
        replay=True,
        synthetic=False,
        fetched_at=fetched_at,
        last_bar=machine_now().fromtimestamp(2 * 10**9, fetched_at.tzinfo),
        created_at=fetched_at,
        symbols=names,
        offsets=np.arange(0, rows + 1, 2, dtype=np.int64),
        timestamps=closes,
        values=np.ones((rows, len(spec.names)), dtype=np.float32),
        close=np.ones(rows),
        scale=np.ones(rows),
        bars_held=np.full(len(names), 2, dtype=np.int64),
        target_times=np.tile(ahead, (len(names), 1)),
    )


def describe(_lake, snapshot, spec) -> ServedFeatures:
    symbols = [symbol for symbol in spec.symbols if symbol in snapshot.symbols]
    if not symbols:
        raise ShortHistory("a specification needs a symbol", "none")
    return features(spec, snapshot.fetched_at, symbols)


@dataclass
class Installation:
    """Versions as registry, ledger and log know them, and which of them run."""

    records: dict[str, ModelVersion] = field(default_factory=dict)
    specs: dict[str, FeatureSpec] = field(default_factory=dict)
    head: Promotion | None = None
    running: set[str] = field(default_factory=set)
    registry_is_there: bool = True

    def in_use(self, answered=()) -> InUse:
        if not self.registry_is_there:
            return InUse(unseen=("registry",))
        roles = roles_of(self.records, self.head, "", answered)
        gone = tuple(number for number in roles if number not in self.records)
        known = [
            VersionInUse(number, role, DATASET, self.specs[number])
            for number, role in roles.items()
            if number in self.records
        ]
        return InUse(tuple(known), gone)

    def answered_since(self, _) -> list[str]:
        if not self.registry_is_there:
            raise Unavailable("the log must be readable")
        return sorted(self.running)

    def alias(self, name, number) -> None:
        for record in self.records.values():
            left = tuple(alias for alias in record.aliases if alias != name)
            if record.version == number:
                left = (*left, name)
            self.records[record.version] = replace(record, aliases=left)

    def tag(self, number, **tags) -> None:
        if number in self.records:
            record = self.records[number]
            self.records[number] = replace(record, tags={**record.tags, **tags})

    def promote(self, number) -> None:
        before = self.head.to_version if self.head else ""
        at = machine_now()
        self.head = Promotion(1, "bellwether", before, number, "test", at, "", "done")
        self.alias("champion", number)

    def served(self) -> set[str]:
        """Those that run, and those that a server without a cluster loads."""
        aliased = {number for number, record in self.records.items() if record.aliases}
        return self.running | aliased


_READ = lru_cache(1_000)(ServedFeatures.from_bytes)
"""The same bytes give the same features: read once, for speed."""


class Installations(RuleBasedStateMachine):
    """Any sequence of what people, schedules and accidents do to an installation."""

    def __init__(self) -> None:
        super().__init__()
        self.lake = Lake(f"memory://{uuid4().hex}")
        self.world = Installation()
        self.now = machine_now()
        self.symbols: set[str] = set()
        self.moved_over = False
        self._clock = pytest.MonkeyPatch()
        self._clock.setattr(publish, "utc_now", lambda: self.now)
        self._clock.setattr(ServedFeatures, "from_bytes", staticmethod(_READ))

    def teardown(self) -> None:
        self._clock.undo()

    def snapshot(self, symbols=()):
        self.now += timedelta(minutes=1)
        names = tuple(sorted(symbols or self.symbols))
        return replace(a_snapshot(), symbols=names, fetched_at=self.now)

    @initialize(of_before=st.booleans(), spec=st.sampled_from(SPECS))
    def begin(self, of_before, spec) -> None:
        """With a champion: of this version, or of one that knew one pointer a data set."""
        self.symbols |= set(spec.symbols)
        if of_before:
            served = features(spec, self.now)
            digest = self.lake.publish_features(DATASET, served)
            self.lake.point_servers_of_before(DATASET, spec.digest)
            self.lake.remove_specification(DATASET, spec.digest)
            assert self.lake.served_id(DATASET, "none") == digest
        else:
            publish_own(self.lake, DATASET, describe(None, self.snapshot(), spec))
        self._register(spec)
        self.world.promote("1")
        self.world.tag("1", **({"rollout": "serving"} if of_before else {RUNS: "yes"}))
        self.world.running.add("1")

    def _register(self, spec) -> str:
        number = str(len(self.world.specs) + 1)
        self.world.specs[number] = spec
        self.world.records[number] = ModelVersion(number, "run", {}, (), 0)
        return number

    @rule(spec=st.sampled_from(SPECS), promoted=st.booleans(), dies=st.booleans())
    def train(self, spec, promoted, dies) -> None:
        self.symbols |= set(spec.symbols)
        publish_own(self.lake, DATASET, describe(None, self.snapshot(), spec))
        if dies:
            return
        number = self._register(spec)
        self.world.alias("challenger", number)
        if promoted:
            self.world.promote(number)

    @rule(spec=st.sampled_from(SPECS), registry=st.booleans(), lost=st.sampled_from(("", *SYMBOLS)))
    def refresh(self, spec, registry, lost) -> None:
        """With the values' symbols; sometimes a rival fetch has taken one out of the snapshot."""
        self.symbols |= set(spec.symbols)
        self.world.registry_is_there = registry
        world = World(self.world.in_use, self.world.answered_since)
        snapshot = self.snapshot(self.symbols - {lost} or self.symbols)
        refresh_published(self.lake, snapshot, spec, world, lambda _: None, describe)
        self.world.registry_is_there = True
        self.moved_over |= registry and self._loads(self.world.specs["1"], of_before=False)
        if registry and lost not in self.symbols:
            for version in self.world.in_use().versions:
                assert self._loads(version.spec), f"a refresh left {version} without features"

    @precondition(lambda self: self.moved_over)
    @rule(spec=st.sampled_from(SPECS))
    def refresh_of_before(self, spec) -> None:
        """A job that still runs the version before replaces the pointer of before."""
        data = features(spec, self.now)
        rival = Lake(self.lake.url)
        held = self.lake.specifications(DATASET)
        rival.publish_features(DATASET, data)
        rival.point_servers_of_before(DATASET, spec.digest)
        if spec.digest not in held:
            rival.remove_specification(DATASET, spec.digest)

    @rule(data=st.data())
    def start(self, data) -> None:
        """A rollout starts a version: the tag first; it serves once its pods have loaded."""
        number = data.draw(st.sampled_from(sorted(self.world.records)))
        self.world.tag(number, **{RUNS: "yes"})
        if self._loads(self.world.specs[number]):
            self.world.running.add(number)

    @rule(data=st.data())
    def promote_or_roll_back(self, data) -> None:
        able = [n for n in self.world.records if self._loads(self.world.specs[n])]
        if able:
            self.world.promote(data.draw(st.sampled_from(able)))

    @rule(data=st.data(), registry=st.booleans())
    def delete(self, data, registry) -> None:
        """A version stops; its tag is taken back afterwards, if the registry is there."""
        if self.world.running:
            number = data.draw(st.sampled_from(sorted(self.world.running)))
            self.world.running.discard(number)
            if registry:
                self.world.tag(number, **{RUNS: "no"})

    @rule(data=st.data())
    def delete_from_the_registry(self, data) -> None:
        """Even one that runs, which then goes on answering."""
        free = [n for n, record in self.world.records.items() if not record.aliases]
        if free:
            del self.world.records[data.draw(st.sampled_from(free))]

    @rule(days=st.sampled_from((2, 29, KEPT_IDLE.days + 1)))
    def time_passes(self, days) -> None:
        self.now += timedelta(days=days)

    def _loads(self, spec, *, of_before=True) -> bool:
        """Whether a fresh pod finds the features of a specification, with all symbols."""
        lake = Lake(self.lake.url)
        if not of_before and spec.digest not in lake.specifications(DATASET):
            return False
        try:
            served = lake.served_features(DATASET, spec.digest)
        except NotReady:
            return False
        return served.spec_digest == spec.digest and served.symbols == spec.symbols

    @invariant()
    def a_fresh_pod_of_every_served_version_loads(self) -> None:
        for number in self.world.served():
            spec = self.world.specs[number]
            assert self._loads(spec), f"version {number} is served, and its features are gone"


TestInstallations = Installations.TestCase
TestInstallations.settings = settings(
    max_examples=1_000,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
