"""A calibration in the ledger is taken up without a restart, and nothing but a sound one is."""

import shutil
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy

from forecasting.adapters.registry.calibrations import Calibrations
from forecasting.bundle.calibration import Calibration
from forecasting.bundle.signature import Signer, Statement, new_key
from forecasting.settings import Settings
from serving.loader import Loader
from serving.state import ServingState

MODEL, VERSION = "bellwether", "7"


@pytest.fixture
def settings(served, tmp_path):
    shutil.copytree(served.folder, tmp_path, dirs_exist_ok=True)
    return Settings(
        state_dir=tmp_path,
        registered_model=MODEL,
        bundle_url=f"file://{tmp_path / 'bundle'}",
        bundle_digest=served.digest,
        model_version=VERSION,
    )


@pytest.fixture
def loader(settings):
    reports = []
    loader = Loader(settings, lambda *what: reports.append(what))
    loader.reports = reports
    yield loader
    loader.close()


def recalibrate(settings, digest, *, stretch=1.5, signer=None):
    with closing(Calibrations(settings.prediction_log)) as table:
        return table.add(
            lambda number: Calibration(
                model=MODEL,
                number=number,
                version=VERSION,
                bundle_digest=digest,
                dataset="default",
                data_snapshot="5" * 16,
                until="2026-01-02T21:00:00+00:00",
                log_stretch=(float(np.log(stretch)),) * 30,
                baseline_log_stretch=(0.0,) * 30,
            ),
            model=MODEL,
            who="me",
            why="due",
            signer=signer,
        )


def width(state):
    bundle = state.find().fitted()[0]
    x = np.zeros((1, len(bundle.spec.names)), np.float32)
    prices = bundle.forecast(x, np.array([0.01]), np.ones(1)).quantiles[0, 0]
    return float(np.log(prices[-1] / prices[0]))


def test_it_is_in_force_at_the_next_look_and_every_answer_names_it(settings, loader, served):
    state = loader.next_state(ServingState())
    before = width(state)
    assert state.find().parameters["calibration"] == 0
    recalibrate(settings, served.digest)
    renewed = loader.next_state(state)
    assert width(renewed) == pytest.approx(1.5 * before)
    assert renewed.find().parameters["calibration"] == 1
    assert loader.reports[-1][:2] == ("calibration", "loaded")
    assert loader.next_state(renewed) is renewed
    recalibrate(settings, served.digest, stretch=0.8)
    assert width(loader.next_state(renewed)) == pytest.approx(0.8 * before)


def test_a_fresh_server_begins_with_what_is_in_force(settings, loader, served):
    recalibrate(settings, served.digest)
    assert loader.next_state(ServingState()).find().parameters["calibration"] == 1


def test_a_rollback_is_taken_up_likewise(settings, loader, served):
    state = loader.next_state(ServingState())
    before = width(state)
    recalibrate(settings, served.digest)
    renewed = loader.next_state(state)
    with closing(Calibrations(settings.prediction_log)) as table:
        table.roll_back(MODEL, VERSION, to=0, who="ann", why="too wide")
    rolled_back = loader.next_state(renewed)
    assert (width(rolled_back), rolled_back.find().parameters["calibration"]) == (before, 0)


def test_what_is_damaged_or_another_bundles_leaves_what_was_in_force(settings, loader, served):
    recalibrate(settings, served.digest)
    state = loader.next_state(ServingState())
    recalibrate(settings, "e" * 64)
    assert loader.next_state(state) is state
    assert "is of eeee" in loader.reports[-1][2]
    engine = sqlalchemy.create_engine(settings.prediction_log)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE calibrations SET content = '{}'"))
    engine.dispose()
    assert loader.next_state(state) is state
    assert loader.reports[-1][:2] == ("calibration", "failed")


def test_a_ledger_that_is_away_leaves_what_was_in_force(settings, loader, served):
    recalibrate(settings, served.digest)
    state = loader.next_state(ServingState())
    log = settings.state_dir / "predictions.sqlite"
    log.rename(log.with_name("away"))
    log.mkdir()
    assert loader.next_state(state) is state
    assert loader.reports[-1][:2] == ("calibration", "failed")
    log.rmdir()
    log.with_name("away").rename(log)
    assert loader.next_state(state) is state


def test_an_unsigned_one_is_not_taken_where_signatures_are_asked_for(settings, served):
    signer = Signer(new_key())
    statement = Statement(MODEL, VERSION, served.digest, "default", "5" * 16, "run")
    strict = settings.model_copy(
        update={
            "trusted_keys": signer.public_pem().decode(),
            "bundle_signature": signer.sign(statement).to_text(),
        }
    )
    recalibrate(settings, served.digest)
    said = []
    with closing(Loader(strict, lambda *what: said.append(what))) as loader:
        state = loader.next_state(ServingState())
        assert state.find().parameters["calibration"] == 0
        assert any("calibration 1 is signed by nobody" in sentence for *_, sentence in said)
        recalibrate(settings, served.digest, signer=signer)
        assert loader.next_state(state).find().parameters["calibration"] == 2


def test_calibrations_of_other_versions_do_not_matter(settings, loader, served):
    state = loader.next_state(ServingState())
    with closing(Calibrations(settings.prediction_log)) as table:
        made = recalibrate(settings, served.digest)
        other = replace(made, version="8")
        table.add(lambda n: replace(other, number=n), model=MODEL, who="me", why="due")
    assert loader.next_state(state).find().parameters["calibration"] == 1
