"""A version's bundle is taken as servers take it: its calibration too must be sound and signed.

Bundles of a real registry: tests/integration/test_training_pipeline.py.
"""

from contextlib import closing

import pytest

from forecasting.adapters.registry.calibrations import Calibrations
from forecasting.adapters.served_bundles import calibrated
from forecasting.bundle.bundle import load_bundle
from forecasting.bundle.signature import Signer, TrustedKeys, new_key
from forecasting.errors import BundleRejected
from tests.served_models import make_bundle
from tests.unit.forecasting.bundle.test_calibration import calibration_of


@pytest.fixture
def bundle(tmp_path):
    make_bundle(tmp_path / "it", kind="random_walk")
    return load_bundle(tmp_path / "it")


def test_the_one_in_force_is_applied_if_a_trusted_key_signed_it(bundle, tmp_path):
    signer = Signer(new_key())
    keys = TrustedKeys(signer.public_pem())
    with closing(Calibrations(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as calibrations:
        assert calibrated(bundle, calibrations, "m", "2", keys) is bundle
        for sign in (signer, None):
            calibrations.add(
                lambda number: calibration_of(bundle, number=number),
                model="m",
                who="me",
                why="due",
                signer=sign,
            )
            if sign is not None:
                assert calibrated(bundle, calibrations, "m", "2", keys).calibrated == 1
        with pytest.raises(BundleRejected, match="signed by nobody"):
            calibrated(bundle, calibrations, "m", "2", keys)
        assert calibrated(bundle, calibrations, "m", "2", None).calibrated == 2
