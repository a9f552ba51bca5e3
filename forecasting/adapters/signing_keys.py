"""The keys that sign bundles and that say whose bundles are served, from settings and files.

keys/signing.pem in the state folder is private, keys/trusted.pem holds the public keys. Where no
public key is set or there, signatures are not asked for: a library's user has none.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from forecasting.errors import InvalidSettings

if TYPE_CHECKING:
    from forecasting.bundle.signature import Signer, TrustedKeys
    from forecasting.settings import Settings

FOLDER: Final = "keys"
SIGNING: Final = "signing.pem"
TRUSTED: Final = "trusted.pem"


def signer_of(settings: "Settings") -> "Signer | None":
    """What signs bundles; None where there is no key.

    Raises:
        InvalidSettings: the key cannot be read, or is none.
    """
    pem = signing_pem(settings)
    if pem is None:
        return None
    from forecasting.bundle.signature import Signer

    return Signer(pem)


def signing_pem(settings: "Settings") -> bytes | None:
    """The private key itself, PEM; None where there is none.

    Raises:
        InvalidSettings: its file cannot be read.
    """
    return _pem(settings.signing_key, settings.state_dir / FOLDER / SIGNING, "SIGNING_KEY")


def trusted_keys_of(settings: "Settings") -> "TrustedKeys | None":
    """The keys whose bundles are served; None where signatures are not asked for.

    Raises:
        InvalidSettings: they cannot be read, or are none.
    """
    pem = _pem(settings.trusted_keys, settings.state_dir / FOLDER / TRUSTED, "TRUSTED_KEYS")
    if pem is None:
        return None
    from forecasting.bundle.signature import TrustedKeys

    return TrustedKeys(pem)


def make_keys(folder: Path) -> bool:
    """Make a private key and trust it, unless there is one; whether it was made.

    Keys that were trusted stay trusted, so that what they signed is served on.

    Args:
        folder: where signing.pem and trusted.pem are, e.g. keys/ in the state folder.

    Raises:
        InvalidSettings: a key that is there cannot be read.
        OSError: the folder cannot be written.
    """
    from forecasting.bundle.signature import Signer, TrustedKeys, new_key

    signing, trusted = folder / SIGNING, folder / TRUSTED
    made = not signing.exists()
    if made:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        _write(signing, new_key(), 0o600)
    signer = Signer(signing.read_bytes())
    before = trusted.read_bytes() if trusted.exists() else b""
    if not before or signer.key not in TrustedKeys(before).ids:
        _write(trusted, before + signer.public_pem(), 0o644)
    return made


def _pem(setting: str, default: Path, variable: str) -> bytes | None:
    """The PEM that a setting is or names; that of the default file when it is empty."""
    if "-----BEGIN" in setting:
        return setting.encode()
    path = Path(setting) if setting else default
    if not setting and not path.is_file():
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidSettings(
            f"BELLWETHER_{variable} must be a key in PEM, or a file that can be read",
            str(error),
            "Make one: bellwether key",
        ) from error


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole, with these rights from its first byte on."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(path)
