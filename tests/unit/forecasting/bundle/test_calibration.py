"""A calibration beside a bundle stretches its intervals and nothing else, and is refused if it is another's."""

from dataclasses import replace

import numpy as np
import orjson
import pytest

from forecasting.bundle.bundle import load_bundle
from forecasting.bundle.calibration import Calibration, applied
from forecasting.errors import BundleRejected
from forecasting.models.conformal import MOST_STRETCH
from tests.served_models import make_bundle

H = 30


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "it"
    make_bundle(folder)
    return load_bundle(folder)


def calibration_of(bundle, *, stretch=1.2, baseline=0.9, **changed):
    return replace(
        Calibration(
            model="m",
            number=4,
            version="2",
            bundle_digest=bundle.digest,
            dataset="default",
            data_snapshot="5" * 16,
            until="2026-01-02T21:00:00+00:00",
            log_stretch=(float(np.log(stretch)),) * H,
            baseline_log_stretch=(float(np.log(baseline)),) * H,
        ),
        **changed,
    )


def test_intervals_are_stretched_around_the_same_median(bundle):
    renewed = applied(bundle, calibration_of(bundle))
    x, scale, close = (
        np.zeros((2, len(bundle.spec.names)), np.float32),
        np.full(2, 0.01),
        np.ones(2),
    )
    before, after = bundle.forecast(x, scale, close), renewed.forecast(x, scale, close)
    middle = before.quantiles.shape[2] // 2
    np.testing.assert_array_equal(before.quantiles[..., middle], after.quantiles[..., middle])
    centre = np.log(before.quantiles[..., [middle]])
    np.testing.assert_allclose(
        np.log(after.quantiles) - centre, 1.2 * (np.log(before.quantiles) - centre), atol=1e-12
    )
    np.testing.assert_allclose(
        np.log(renewed.baseline_prices(scale, close)),
        0.9 * np.log(bundle.baseline_prices(scale, close)),
        atol=1e-12,
    )
    assert (bundle.calibrated, renewed.calibrated) == (0, 4)
    assert renewed.session is bundle.session


def test_it_is_read_back_as_it_was_written(bundle):
    written = calibration_of(bundle, reference_run="abc")
    assert Calibration.from_payload(written.payload()) == written
    assert written.digest != calibration_of(bundle, number=5).digest


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"bundle_digest": "e" * 64}, "is of eeee"),
        ({"log_stretch": (0.0,) * 7}, "calibration 4 has 7"),
        ({"baseline_log_stretch": (float("nan"),) * H}, "of them 30 beyond"),
        ({"log_stretch": (float(np.log(2 * MOST_STRETCH)),) * H}, "of them 30 beyond"),
    ],
)
def test_what_is_not_this_bundles_or_goes_too_far_is_refused(bundle, changed, found):
    with pytest.raises(BundleRejected, match=found):
        applied(bundle, calibration_of(bundle, **changed))


def test_what_cannot_be_read_is_refused_in_words(bundle):
    whole = orjson.loads(calibration_of(bundle).payload())
    damaged = [
        b"no json",
        b"[]",
        b"x" * 30_000,
        orjson.dumps({**whole, "format": "other/1"}),
        orjson.dumps({**whole, "log_stretch": ["wide"]}),
        orjson.dumps({key: value for key, value in whole.items() if key != "until"}),
        orjson.dumps({**whole, "extra": 1}),
        orjson.dumps({**whole, "until": "soon"}),
        orjson.dumps({**whole, "until": "2026-01-02T21:00:00"}),
    ]
    for payload in damaged:
        with pytest.raises(BundleRejected, match="a calibration must be readable"):
            Calibration.from_payload(payload)
