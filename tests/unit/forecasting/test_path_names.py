"""What may become part of a path: nothing that leads elsewhere, and all that was ever written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.adapters.registry.records import ModelVersion
from forecasting.errors import BundleRejected
from forecasting.path_names import is_digest, is_number, is_plain_name, require_digest
from forecasting.settings import Settings
from tests.hostile_names import HOSTILE_NAMES

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(HOSTILE_NAMES)
def test_no_hostile_name_is_taken(name):
    assert not is_digest(name)
    assert not is_plain_name(name)
    assert not is_number(name)
    with pytest.raises(BundleRejected, match="64 lower-case hexadecimal digits: a tag is"):
        require_digest(name, "a tag")


@given(DIGESTS)
def test_every_sha_256_is_a_digest_and_a_plain_name(digest):
    assert require_digest(digest, "a tag") == digest
    assert is_plain_name(digest)


@given(DIGESTS.filter(lambda digest: digest != digest.upper()))
def test_a_digest_is_written_in_one_way(digest):
    for other in (digest.upper(), f"sha256:{digest}", f" {digest}", f"{digest}\n", digest[:-1]):
        assert not is_digest(other)


@pytest.mark.parametrize("value", [None, 5, b"a" * 64, ["a" * 64]])
def test_what_is_no_text_is_no_name(value):
    assert not is_digest(value)
    assert not is_plain_name(value)
    assert not is_number(value)


@pytest.mark.parametrize("name", ["default", "sample-1d", "yahoo-1h", "random_walk", "model.onnx"])
def test_names_in_use_are_plain(name):
    assert is_plain_name(name)


@given(HOSTILE_NAMES)
def test_a_registrys_tag_is_checked_before_a_bundle_is_looked_for(name):
    version = ModelVersion("3", "run", {"bundle_digest": name}, (), 0)
    with pytest.raises(BundleRejected, match="the tag bundle_digest of version 3"):
        assert version.checked_digest


@given(HOSTILE_NAMES.filter(bool))
def test_a_setting_that_is_no_digest_is_refused_by_its_variables_name(name):
    with pytest.raises(BundleRejected, match="BELLWETHER_BUNDLE_DIGEST is"):
        Settings(bundle_digest=name)
