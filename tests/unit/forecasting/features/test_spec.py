"""A specification of features is checked, named by its digest and survives JSON."""

import pytest

from forecasting.errors import InvalidSettings
from forecasting.features.build import (
    FeatureSpec,
)

SPEC = FeatureSpec()


def test_a_specification_survives_json_and_its_digest_names_it():
    spec = FeatureSpec(symbols=("AAA",), sma=(5, 10))
    assert FeatureSpec.from_dict(spec.to_dict()) == spec
    assert len(spec.digest) == 16
    assert spec.digest != FeatureSpec(symbols=("AAA",)).digest
    assert "close_to_sma_10" in spec.names


def test_a_specification_of_another_version_is_refused():
    values = SPEC.to_dict() | {"moon_phase": [28]}
    with pytest.raises(InvalidSettings, match="moon_phase"):
        FeatureSpec.from_dict(values)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"interval": "5m"}, "an interval is one of"),
        ({"symbols": ("AAA", "AAA")}, "named once"),
        ({"sma": (1,)}, "at least 2 bars"),
        ({"returns": (0,)}, "at least 2 bars"),
        ({"ranked": ("rsi_99",)}, "can be ranked"),
    ],
)
def test_a_specification_that_makes_no_sense_is_refused(change, rule):
    with pytest.raises(InvalidSettings, match=rule):
        FeatureSpec(**change)
