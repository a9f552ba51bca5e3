"""A signature is of one version and one bundle, and nothing else passes for it."""

import base64
import hashlib
from dataclasses import asdict, replace

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from forecasting.bundle.signature import Signed, Signer, Statement, TrustedKeys, new_key
from forecasting.errors import BundleRejected, InvalidSettings
from tests.hostile_names import HOSTILE_NAMES

STATEMENT = Statement("bellwether", "7", "d" * 64, "default", "0123456789abcdef", "a" * 32)
SIGNER, OTHER = Signer(new_key()), Signer(new_key())
KEY_OF_ZEROS = "339e2ff917630507b6a423b5ce084e285d1fa65d93b3e27a6195d3bbebc9ae23"
SIGNED_WITH_ZEROS = (
    "a40989f92e2cbcf467e6828caca9b892fcc8a5dbe2e41946d961ae0d72584265"
    "cf037df6bba8e3c1696d80a460743d9a8691631afd75c8f131ebfcdc76c0760f"
)

KEYS = TrustedKeys(SIGNER.public_pem())
TEXT = SIGNER.sign(STATEMENT).to_text()


def verified(text, keys=KEYS, **expected):
    return keys.verified(text, **({"model": "bellwether", "version": "7"} | expected))


def written(**changes):
    return orjson.dumps(orjson.loads(TEXT) | changes).decode()


@given(
    st.builds(
        Statement,
        model=st.text(min_size=1, max_size=40),
        version=st.integers(1, 10**9).map(str),
        bundle_digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
        dataset=st.just("sample-1d"),
        data_snapshot=st.text(max_size=40),
        run_id=st.text(max_size=40),
    )
)
def test_what_is_signed_is_what_is_verified(statement):
    text = SIGNER.sign(statement).to_text()
    assert Signed.from_text(text, "it").statement == statement
    for digest in (statement.bundle_digest, ""):
        found = KEYS.verified(text, model=statement.model, version=statement.version, digest=digest)
        assert found == statement


def test_the_format_is_pinned_as_signatures_outlive_releases():
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    signer = Signer(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert STATEMENT.payload() == (
        b'{"bundle_digest":"' + b"d" * 64 + b'","data_snapshot":"0123456789abcdef",'
        b'"dataset":"default","format":"bellwether-signature/1","model":"bellwether",'
        b'"run_id":"' + b"a" * 32 + b'","version":"7"}'
    )
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert signer.key == hashlib.sha256(der).hexdigest() == KEY_OF_ZEROS
    assert signer.sign(STATEMENT).signature.hex() == SIGNED_WITH_ZEROS


@pytest.mark.parametrize("field", asdict(STATEMENT))
def test_a_statement_that_was_changed_is_refused(field):
    change = {"version": "8", "bundle_digest": "e" * 64}.get(field, "other")
    changed = replace(STATEMENT, **{field: change})
    text = replace(SIGNER.sign(STATEMENT), statement=changed).to_text()
    with pytest.raises(BundleRejected, match="it was changed after it was signed"):
        KEYS.verified(text, model=changed.model, version=changed.version)


@given(st.integers(0, 511))
def test_one_bit_of_the_signature_decides(bit):
    signature = bytearray(SIGNER.sign(STATEMENT).signature)
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BundleRejected, match="it was changed after it was signed"):
        verified(written(signature=base64.b64encode(signature).decode()))


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        ({"model": "another"}, "of the model"),
        ({"version": "8"}, "of the version"),
        ({"digest": "e" * 64}, "of the bundle_digest"),
    ],
)
def test_a_signature_of_something_else_is_refused(expected, sentence):
    with pytest.raises(BundleRejected, match=sentence):
        verified(TEXT, **expected)


def test_a_bundle_without_a_number_takes_the_signed_one():
    assert verified(TEXT, version="") == STATEMENT


def test_an_unsigned_version_is_refused_with_the_way_out():
    with pytest.raises(BundleRejected, match=r"version 7 is not\. .*bellwether rollout adopt"):
        verified("")


def test_a_key_that_is_not_trusted_is_named():
    text = OTHER.sign(STATEMENT).to_text()
    with pytest.raises(
        BundleRejected, match=f"signed by {OTHER.key[:16]}, trusted: {SIGNER.key[:16]}"
    ):
        verified(text)
    with pytest.raises(BundleRejected, match="changed after it was signed"):
        verified(orjson.dumps(orjson.loads(text) | {"key": SIGNER.key}).decode())


def test_while_keys_change_both_count():
    both = TrustedKeys(SIGNER.public_pem() + b"\n\n" + OTHER.public_pem())
    assert both.ids == tuple(sorted((SIGNER.key, OTHER.key)))
    for signer in (SIGNER, OTHER):
        assert verified(signer.sign(STATEMENT).to_text(), both) == STATEMENT


@given(HOSTILE_NAMES.filter(bool) | st.text(min_size=1) | st.binary().map(repr))
def test_words_that_are_no_signature_are_refused(text):
    with pytest.raises(BundleRejected, match="must be readable"):
        verified(text)


@given(st.sampled_from(["dataset", "version", "bundle_digest", "key"]), HOSTILE_NAMES)
def test_a_signature_that_names_no_version_is_refused(field, name):
    with pytest.raises(BundleRejected, match="must be readable"):
        verified(written(**{field: name}))


@pytest.mark.parametrize(
    "change",
    [{"signature": "ä"}, {"signature": 5}, {"more": "1"}, {"version": None}, {"key": None}],
)
def test_a_signature_of_another_form_is_refused(change):
    with pytest.raises(BundleRejected, match="must be readable"):
        verified(written(**change))


def rsa():
    return generate_private_key(public_exponent=65537, key_size=2048)


def test_a_private_key_that_is_none_of_ours_is_refused():
    pem = rsa().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for wrong in (b"", b"words", pem, SIGNER.public_pem()):
        with pytest.raises(
            InvalidSettings, match="BELLWETHER_SIGNING_KEY must be an Ed25519 private"
        ):
            Signer(wrong)


def test_public_keys_that_are_none_of_ours_are_refused():
    pem = rsa().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for wrong in (b"", b"words", pem, SIGNER.public_pem() + b"words", new_key()):
        with pytest.raises(
            InvalidSettings, match="BELLWETHER_TRUSTED_KEYS must be an Ed25519 public"
        ):
            TrustedKeys(wrong)


def test_a_private_key_is_not_shown():
    assert "PRIVATE" not in repr(SIGNER) + repr(SIGNER.sign(STATEMENT))
