"""Who trained a bundle: an Ed25519 signature over what a registered version is.

    statement   model, version, bundle_digest, dataset, data_snapshot, run_id
    payload     the statement and the format's name as JSON: keys sorted, no spaces
    signature   Ed25519 (RFC 8032) of the payload, made by the pipeline's register step

The bundle's digest covers every byte of the bundle. The name and number are signed with it, so that
an old bundle cannot pass for a newer version, nor one model's for another's; the data set, so that
a version reads the features it was made for. Keys are PEM: PKCS 8 and SubjectPublicKeyInfo. A key's
id is the SHA-256 of its public key in DER: `openssl pkey -pubout -outform DER | sha256sum`.
"""

import base64
import binascii
import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from forecasting.errors import BundleRejected, InvalidSettings
from forecasting.path_names import is_digest, is_number, is_plain_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT: Final = "bellwether-signature/1"
ADOPT: Final = (
    "If it is one you trust, sign it: bellwether rollout adopt VERSION; else find out who made it"
)
RESEAL: Final = (
    "Go back to one you trust: bellwether calibration rollback VERSION; and find out who wrote it"
)
_END: Final = b"-----END PUBLIC KEY-----"
_LONGEST: Final = 4_000


@dataclass(frozen=True)
class Statement:
    """What is signed of a registered version.

    Attributes:
        model: name of the registered model.
        version: its number, as the registry writes it.
        bundle_digest: SHA-256 of the bundle's manifest.
        dataset: data set in the lake whose features it reads.
        data_snapshot: snapshot of the prices it learned from.
        run_id: run of the registry that holds its files.
    """

    model: str
    version: str
    bundle_digest: str
    dataset: str
    data_snapshot: str
    run_id: str

    def payload(self) -> bytes:
        """The bytes that are signed."""
        written = {"format": FORMAT, **asdict(self)}
        return orjson.dumps(written, option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True)
class Signed:
    """A statement with its signature.

    Attributes:
        statement: what was signed.
        key: id of the key.
        signature: 64 bytes.
    """

    statement: Statement
    key: str
    signature: bytes

    def to_text(self) -> str:
        """As one line of JSON, for a registry's tag or a pod's variable."""
        written = {
            **asdict(self.statement),
            "key": self.key,
            "signature": base64.b64encode(self.signature).decode(),
        }
        return orjson.dumps(written, option=orjson.OPT_SORT_KEYS).decode()

    @classmethod
    def from_text(cls, text: str, whose: str) -> "Signed":
        """Read what `to_text` wrote; nothing is verified.

        Args:
            text: what stands where a signature should.
            whose: whose it is, e.g. "version 3".

        Raises:
            BundleRejected: there is none, or it is none.
        """
        if not text:
            raise BundleRejected("a version must be signed", f"{whose} is not", ADOPT)
        if len(text) > _LONGEST:
            raise _unreadable(whose, f"it has {len(text)} characters")
        try:
            read: dict[str, Any] = orjson.loads(text)
            key = str(read.pop("key"))
            signature = base64.b64decode(read.pop("signature"), validate=True)
            statement = Statement(**{name: str(value) for name, value in read.items()})
        except (AttributeError, KeyError, TypeError, ValueError, binascii.Error) as error:
            raise _unreadable(whose, error) from error
        plain = is_plain_name(statement.dataset) and is_number(statement.version)
        if not plain or not is_digest(statement.bundle_digest) or not is_digest(key):
            raise _unreadable(whose, "it names no version, data set, digest or key")
        return cls(statement, key, signature)


class Signer:
    """Signs statements with a private key.

    Args:
        pem: the key, PKCS 8 without a password.

    Raises:
        InvalidSettings: it is no Ed25519 key.
    """

    def __init__(self, pem: bytes) -> None:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _no_key("BELLWETHER_SIGNING_KEY", "private", error) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _no_key("BELLWETHER_SIGNING_KEY", "private", type(key).__name__)
        self._key = key
        self.key = key_id(key.public_key())

    def sign(self, statement: Statement) -> Signed:
        """Sign a statement."""
        return Signed(statement, self.key, self._key.sign(statement.payload()))

    def seal(self, payload: bytes) -> str:
        """Sign any bytes, for `TrustedKeys.unseal`: id of the key, colon, signature in base 64."""
        return f"{self.key}:{base64.b64encode(self._key.sign(payload)).decode()}"

    def public_pem(self) -> bytes:
        """The public key, as `TrustedKeys` reads it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class TrustedKeys:
    """Public keys whose signatures count; several while one takes another's place.

    Args:
        pem: one or more keys, one after the other.

    Raises:
        InvalidSettings: there is none, or one is no Ed25519 key.
    """

    def __init__(self, pem: bytes) -> None:
        self._keys = {key_id(key): key for key in _public_keys(pem)}
        if not self._keys:
            raise _no_key("BELLWETHER_TRUSTED_KEYS", "public", "there is none")

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the keys, sorted."""
        return tuple(sorted(self._keys))

    def verified(self, text: str, *, model: str, version: str, digest: str = "") -> Statement:
        """What was signed of a version, if one of these keys signed it.

        Args:
            text: the signature, as `Signed.to_text` wrote it.
            model: name of the registered model it must be of.
            version: number it must be of; "" takes the signed one, as a folder has no number.
            digest: SHA-256 of the manifest it must be of; "" takes the signed one.

        Raises:
            BundleRejected: it is not signed, by another key, wrongly, or of something else.
        """
        from cryptography.exceptions import InvalidSignature

        whose = f"version {version}" if version else "the bundle"
        signed = Signed.from_text(text, whose)
        key = self._keys.get(signed.key)
        if key is None:
            raise BundleRejected(
                "a version must be signed by a trusted key",
                f"{whose} is signed by {signed.key[:16]}, trusted: "
                f"{', '.join(one[:16] for one in self.ids)}",
                ADOPT,
            )
        statement = signed.statement
        try:
            key.verify(signed.signature, statement.payload())
        except InvalidSignature as error:
            raise BundleRejected(
                "a version's signature must be the one of its statement",
                f"that of {whose} is not: it was changed after it was signed",
                ADOPT,
            ) from error
        expected = {"model": model, "version": version, "bundle_digest": digest}
        for name, value in expected.items():
            found = getattr(statement, name)
            if value and found != value:
                raise BundleRejected(
                    f"a signature must be of the {name} that it is used for",
                    f"that of {whose} is of {name} {found!r}, not {value[:80]!r}",
                    ADOPT,
                )
        return statement

    def unseal(self, seal: str, payload: bytes, what: str) -> None:
        """Hold bytes against the seal that `Signer.seal` made of them.

        Args:
            seal: as it was written.
            payload: the bytes.
            what: they are, for the error, e.g. "calibration 3".

        Raises:
            BundleRejected: there is no seal, it is by another key, or of other bytes.
        """
        from cryptography.exceptions import InvalidSignature

        name, _, signature = seal.partition(":")
        key = self._keys.get(name)
        if key is None:
            raise BundleRejected(
                "what changes a version's intervals must be signed by a trusted key",
                f"{what} is signed by {name[:16] or 'nobody'}, trusted: "
                f"{', '.join(one[:16] for one in self.ids)}",
                RESEAL,
            )
        try:
            key.verify(base64.b64decode(signature, validate=True), payload)
        except (InvalidSignature, ValueError) as error:
            raise BundleRejected(
                "a signature must be of what it stands beside",
                f"that of {what} is not: it was changed after it was signed",
                RESEAL,
            ) from error


def new_key() -> bytes:
    """A new private key, PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_id(key: "Ed25519PublicKey") -> str:
    """SHA-256 of the public key in DER."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _public_keys(pem: bytes) -> "Iterable[Ed25519PublicKey]":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    *blocks, rest = pem.split(_END)
    if rest.strip():
        raise _no_key("BELLWETHER_TRUSTED_KEYS", "public", "words that are no key")
    for block in blocks:
        try:
            key = load_pem_public_key(block.strip() + b"\n" + _END + b"\n")
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _no_key("BELLWETHER_TRUSTED_KEYS", "public", error) from error
        if not isinstance(key, Ed25519PublicKey):
            raise _no_key("BELLWETHER_TRUSTED_KEYS", "public", type(key).__name__)
        yield key


def _unreadable(whose: str, why: object) -> BundleRejected:
    return BundleRejected("a version's signature must be readable", f"{whose}: {why}", ADOPT)


def _no_key(variable: str, kind: str, why: object) -> InvalidSettings:
    return InvalidSettings(
        f"{variable} must be an Ed25519 {kind} key in PEM, or a file that holds it",
        str(why).splitlines()[0],
        "Make one: bellwether key",
    )
