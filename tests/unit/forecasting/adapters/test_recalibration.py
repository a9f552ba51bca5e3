"""A bundle's own forecasts of what came after its training move its stretch, and its random walk's.

Versions of a real registry are recalibrated in tests/integration/test_training_pipeline.py.
"""

from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy

from forecasting.adapters.recalibration import (
    Reference,
    Renewal,
    VersionRecalibrated,
    recalibrated,
)
from forecasting.adapters.registry.calibrations import Calibrations
from forecasting.bundle.bundle import load_bundle, write_bundle
from forecasting.errors import BundleRejected
from forecasting.features.build import build_features
from forecasting.features.targets import SignalRule, horizon_returns
from forecasting.instants import to_datetime
from forecasting.models.conformal import STEP
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.schema import MAX_HORIZON
from tests.served_models import SPEC, prices

LATER = 100


def examples(frame):
    returns = horizon_returns(frame, range(1, MAX_HORIZON + 1)).astype(np.float32)
    return Examples.of(build_features(frame, SPEC), returns)


@pytest.fixture(scope="module")
def whole():
    return examples(prices())


@pytest.fixture(scope="module", params=["ridge", "random_walk"])
def bundle(request, whole, tmp_path_factory):
    """Trained on all bars but the last hundred."""
    frame = prices()
    last = np.unique(whole.timestamps)[-LATER - 1]
    known = frame[frame["timestamp"].astype("int64") <= last].reset_index(drop=True)
    trained = train_on_examples(request.param, examples(known), TrainingConfig(folds=3))
    folder = tmp_path_factory.mktemp("bundle") / "it"
    training = {"last": to_datetime(int(last)).isoformat()}
    write_bundle(folder, trained, SPEC, training=training, signal=SignalRule())
    return load_bundle(folder)


def test_every_outcome_after_the_training_counts_once(bundle, whole):
    own, null = recalibrated(bundle, whole, [])
    for one in (own, null):
        assert one.outcomes.tolist() == [3 * (LATER - h) for h in range(1, MAX_HORIZON + 1)]
    assert np.isfinite(own.path).all()
    if bundle.kind == "random_walk":
        np.testing.assert_array_equal(own.path, null.path)


def test_one_bar_ahead_the_stretch_is_what_the_misses_say(bundle, whole):
    own, _ = recalibrated(bundle, whole, [])
    breadth = 3.0
    expected = STEP / breadth * (own.misses[0] / 2 - 0.05 * own.outcomes[0])
    assert own.log_stretch[0] == pytest.approx(expected, abs=1e-12)
    assert own.misses[0] > 0


def test_earlier_recalibrations_are_gone_through_again(bundle, whole):
    stamps = np.unique(whole.timestamps)
    own, _ = recalibrated(bundle, whole, [int(stamps[-LATER + 4])])
    assert own.instants[:2] == (int(stamps[-LATER - 1]), int(stamps[-LATER + 4]))
    assert own.instants[-1] == int(stamps[-1])


def test_right_after_the_training_there_is_nothing_to_learn(bundle, whole):
    last = np.unique(whole.timestamps)[-LATER - 1]
    own, null = recalibrated(bundle, whole.rows(np.flatnonzero(whole.timestamps <= last)), [])
    assert not own.log_stretch.any()
    assert not null.outcomes.any()


@pytest.fixture
def ledger(tmp_path):
    with closing(Calibrations(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as table:
        yield table


@pytest.fixture
def renew(ledger, bundle):
    """Recalibrates version 1 by examples, as a run of a training where one is named."""

    def once(rows, run=""):
        return Renewal(
            lake=None,
            snapshot=SimpleNamespace(dataset="default", id="5" * 16),
            calibrations=ledger,
            model="m",
            who="me",
            why="due",
            tell=lambda _: None,
            days=0,
            signer=None,
            keys=None,
            reference=Reference(run, bundle.spec.digest) if run else None,
            examples={bundle.spec.digest: rows},
        ).of("1", bundle)

    return once


def until(rows, bars_less):
    """The rows as a snapshot that ends some bars earlier would have them."""
    stamps = np.unique(rows.timestamps)
    frame = prices()
    known = frame["timestamp"].astype("int64") <= stamps[-1 - bars_less]
    return examples(frame[known].reset_index(drop=True))


def in_force(ledger):
    row = ledger.current("m", "1")
    return None if row is None else row.calibration()


def test_a_training_on_older_prices_renews_the_reference_and_no_interval(renew, ledger, whole):
    renew(whole)
    newest = in_force(ledger)
    assert renew(until(whole, 20), run="slow").made
    assert in_force(ledger) == replace(newest, number=2, reference_run="slow")
    assert not renew(until(whole, 20), run="slow").made


def test_a_rollback_holds_until_there_are_newer_prices(renew, ledger, whole):
    renew(until(whole, 20))
    renew(until(whole, 10))
    ledger.roll_back("m", "1", to=1, who="ann", why="too wide")
    before = in_force(ledger)
    renew(until(whole, 10), run="next")
    assert in_force(ledger) == replace(before, number=4, reference_run="next")
    ledger.roll_back("m", "1", to=0, who="ann", why="still")
    renew(until(whole, 10), run="another")
    own = in_force(ledger)
    assert not any(own.log_stretch + own.baseline_log_stretch)
    assert own.reference_run == "another"
    assert renew(whole).made
    assert all(in_force(ledger).log_stretch)


def test_one_that_is_damaged_is_made_again_alike_from_the_same_prices(
    renew, ledger, whole, tmp_path
):
    renew(until(whole, 10))
    renew(whole)
    sound = in_force(ledger)
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    damage = (
        "INSERT INTO calibrations SELECT model, 3, version, '{}', seal, restores, who, why, at "
    )
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(damage + "FROM calibrations WHERE number = 2"))
    engine.dispose()
    assert renew(whole).made
    assert in_force(ledger) == replace(sound, number=4)


@pytest.mark.parametrize("fault", ["no training.last", "more horizons than outcomes"])
def test_a_bundle_that_cannot_be_recalibrated_is_refused_in_words(bundle, whole, fault):
    if fault == "no training.last":
        bundle = replace(bundle, manifest={**bundle.manifest, "training": {}})
    else:
        whole = replace(whole, returns=whole.returns[:, :-1])
    with pytest.raises(
        BundleRejected, match=r"up to (29|30) bars ahead.*training\.last (None|'20)"
    ):
        recalibrated(bundle, whole, [])


def test_what_came_of_it_is_told_in_words():
    done = VersionRecalibrated("3", 7, True, "2026-01-02", 200, 30, 1.25)
    assert done.in_words == (
        "version 3: calibration 7; 90 % interval covered 85.0% of 200 outcomes one bar ahead since "
        "its training and is 1.250 times as wide as then"
    )
    nothing = VersionRecalibrated("3", 0, False, "2026-01-02", 0, 0, 1.0)
    assert "no outcome since its training" in nothing.in_words
