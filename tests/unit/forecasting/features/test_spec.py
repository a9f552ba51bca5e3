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


@pytest.mark.parametrize(
    ("count", "digest"),
    [(0, "f28c9e0cbb0b40b5"), (2, "7c51dc6c319d3ff6"), (32, "ada6ac0b5964bf01")],
)
def test_up_to_32_symbols_the_digest_is_that_of_older_specifications(count, digest):
    spec = FeatureSpec(symbols=tuple(f"S{i:02d}" for i in range(count)))
    assert spec.digest == digest
    assert spec.identity == tuple(f"symbol_S{i:02d}" for i in range(count))
    assert FeatureSpec.from_dict(spec.to_dict()) == spec


def test_more_than_32_symbols_are_anonymous_and_the_digest_says_so():
    spec = FeatureSpec(symbols=tuple(f"S{i:02d}" for i in range(33)))
    older = FeatureSpec.from_dict(
        {name: value for name, value in spec.to_dict().items() if name != "anonymous"}
    )
    assert spec.identity == ()
    assert older.identity == ("symbol_code",)
    assert spec.digest != older.digest == "6a5e30517f8018db"
    assert FeatureSpec.from_dict(spec.to_dict()) == spec
    assert FeatureSpec.from_dict(older.to_dict()) == older


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
        ({"variance": (1,), "decays": (1.0,)}, "between 0 and 1"),
        ({"decays": (0.9,)}, "beside windows of variance"),
    ],
)
def test_a_specification_that_makes_no_sense_is_refused(change, rule):
    with pytest.raises(InvalidSettings, match=rule):
        FeatureSpec(**change)
