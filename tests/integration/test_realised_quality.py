"""Realised quality against real parts: prices of a lake, answers in a database, MLflow, the ledger."""

import uuid
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import make_url

from forecasting.adapters.databases import make_database
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.realised import read_realised
from forecasting.adapters.registry.calibrations import Calibrations
from forecasting.adapters.registry.ledger import DONE, Ledger
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.registry import CandidateRun, Registry
from forecasting.bundle.bundle import load_bundle
from forecasting.errors import NotReady
from forecasting.live.quality import QualityRules
from serving.rollout.quality import QualityWatch
from serving.rollout.rollout import Rollout
from tests.integration.test_drift_job import REPLAYED, answer_the_past, world
from tests.unit.serving.rollout.release import Cluster, Connections

__all__ = ["world"]

pytestmark = pytest.mark.integration

HORIZONS = tuple(QualityRules().horizons)


class Narrow:
    """A bundle whose intervals are too narrow."""

    def __init__(self, bundle):
        self.bundle, self.kind = bundle, bundle.kind

    def forecast(self, *inputs):
        said = self.bundle.forecast(*inputs)
        median = said.quantiles[..., 2:3]
        return replace(said, quantiles=median * (said.quantiles / median) ** 0.5)


@pytest.fixture
def log_url(request, tmp_path):
    """An empty database of this test alone: SQLite unless the test says PostgreSQL."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path / 'log.sqlite'}"
    server = make_url(request.getfixturevalue("postgres_url"))
    url = server.set(database=f"quality_{uuid.uuid4().hex[:12]}")
    made = url.render_as_string(hide_password=False)
    assert make_database(made)
    return made


@pytest.fixture
def release(world, log_url):
    """The drift test's version 1, of which a copy became champion; with log and ledger of its own."""
    settings, first = world
    bundle = settings.state_dir / "bundle"
    reader = RegistryReader(settings.registry_url, settings.registered_model)
    with (
        closing(Ledger(log_url)) as ledger,
        closing(reader),
        closing(PredictionLog(log_url)) as log,
    ):
        registry = Registry(settings.registry_url, settings.registered_model, ledger=ledger)
        run = registry.log_candidate(
            "quality",
            CandidateRun(
                name="ridge",
                params={},
                metrics={},
                tags={},
                files=((bundle, "bundle"),),
                dataset="default",
                snapshot=uuid.uuid4().hex,
            ),
        )
        second = registry.register(run, dict(reader.version(first).tags)).version
        settled = ledger.claim(
            settings.registered_model, expected="", to_version=first, who="test", why="first"
        )
        ledger.settle(settled)
        registry.promote(second, expected_champion=first, who="test", why="better")
        registry.close()
        yield Release(settings, bundle, log, ledger, reader, first, second, log_url)


class Release:
    """What a rollout would be run on, with a route in memory."""

    def __init__(self, settings, bundle, log, ledger, reader, first, second, url):
        self.lake, self.log, self.ledger = Lake(settings.lake), log, ledger
        self.calibrations = Calibrations(settings.prediction_log)
        self.reader, self.url, self.model = reader, url, settings.registered_model
        self.before, self.champion = int(first), int(second)
        digest = reader.version(first).bundle_digest
        self.bundle = load_bundle(bundle, expected_digest=digest)
        self.served = self.lake.served_features("default", self.bundle.spec.digest)
        numbers = (self.before, self.champion)
        self.cluster = Cluster(
            *numbers, weights={self.before: 0, self.champion: 100}, stable_history=numbers[::-1]
        )
        connections = Connections()
        connections.config.model = self.model
        connections.known = reader
        self.said = []
        rollout = Rollout(self.cluster, connections, self.said.append, ledger=ledger)
        self.watch = QualityWatch(rollout, log, self.lake, QualityRules(), self.calibrations)

    def answers(self, version, bundle=None):
        answer_the_past(self.url, bundle or self.bundle, self.served, str(version))

    def read(self, before=None, since=None):
        champion = str(self.champion)
        return read_realised(
            self.log,
            self.lake,
            self.reader,
            champion,
            before,
            since=since,
            horizons=HORIZONS,
            calibrations=self.calibrations,
        )


@pytest.mark.parametrize("log_url", ["sqlite", "postgresql"], indirect=True)
def test_a_champion_of_narrow_intervals_is_stepped_back_from_on_the_bars_of_the_past(release):
    release.answers(release.before)
    release.answers(release.champion, Narrow(release.bundle))
    state = release.watch.state()
    assert state.reference == f"version {release.before}"
    assert state.quality.bars == REPLAYED - 1  # less the last bar of the training
    assert state.unanswered == {release.champion: (), release.before: ()}
    assert state.quality.kind == "intervals too narrow"
    assert release.watch.step_back(state) == release.before

    head = release.ledger.head(release.model)
    versions = (str(release.champion), str(release.before))
    assert (head.from_version, head.to_version, head.state) == (*versions, DONE)
    assert head.for_quality
    assert "intervals too narrow" in head.why
    assert release.reader.aliases()["champion"] == versions[1]
    assert release.reader.version(versions[0]).tags["rollout"] == "rolled back"
    # Told again on the same log: the version before answered all this before it was champion again.
    again = release.watch.state()
    assert (again.version, again.quality.bars) == (release.before, 0)


def test_a_champion_that_does_as_its_training_said_stays(release):
    release.answers(release.champion)
    state = release.watch.state()
    assert state.reference == "the random walk"
    assert state.quality.degraded_at is None
    assert 0.8 < state.quality.coverage <= 1


def test_outcomes_are_total_returns_and_the_random_walk_is_the_bundles(release):
    release.answers(release.champion)
    realised = release.read()
    compared = realised.compared
    prices = release.lake.read(release.lake.latest("default"))
    adjusted = prices.assign(log=np.log(prices["close"]))
    one = adjusted[adjusted["symbol"] == "AMZN"]  # pays no dividends; its split is out of the span
    closes = dict(zip(one["timestamp"].astype("int64"), one["log"], strict=True))
    rows = np.flatnonzero((compared.symbols == "AMZN") & (compared.horizons == 5))
    assert len(rows) == REPLAYED - 1 - 4  # less the last bar of the training
    for row in rows:
        assert compared.realised[row] == pytest.approx(
            closes[compared.targets[row]] - closes[compared.as_of[row]], abs=1e-9
        )
    width = compared.reference[rows, -1] - compared.reference[rows, 0]
    spread = release.bundle.baseline.spread[4]
    scale = width / (spread[-1] - spread[0])
    served = {
        int(stamp): float(value)
        for stamp, value in zip(release.served.timestamps, release.served.scale, strict=True)
    }
    assert scale.min() > 0
    assert set(compared.as_of[rows].tolist()) <= set(served)


def test_the_version_befores_own_forecasts_are_the_reference_where_it_made_some(release):
    release.answers(release.champion)
    release.answers(release.before, Narrow(release.bundle))
    compared = release.read(str(release.before))
    assert compared.by_before == 1
    own, theirs = compared.compared.returns, compared.compared.reference
    assert (theirs[:, -1] - theirs[:, 0] < own[:, -1] - own[:, 0]).all()
    assert release.read().by_before == 0


def test_bars_that_the_version_learned_from_do_not_count(release):
    release.answers(release.champion)
    whole = release.read().compared
    middle = np.unique(whole.as_of)[19]
    instant = np.datetime64(int(middle), "ns").astype("datetime64[us]").item()
    release.reader.tag(str(release.champion), {"trained_until": f"{instant.isoformat()}+00:00"})
    rest = release.read().compared
    assert rest.as_of.min() > middle
    assert 0 < len(rest) < len(whole)


def test_symbols_whose_newest_bar_nobody_asked_about_are_told(release):
    symbols = set(release.bundle.spec.symbols)
    assert set(release.read().unanswered) == symbols
    release.answers(release.champion)
    assert release.read().unanswered == release.read().unanswered_before == ()
    assert set(release.read(str(release.before)).unanswered_before) == symbols


def test_a_data_set_without_the_versions_symbols_is_refused(release):
    release.reader.tag(str(release.champion), {"dataset": "never-fetched"})
    with pytest.raises(NotReady):
        release.read()
