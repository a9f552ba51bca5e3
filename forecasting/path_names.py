"""Which words from outside may become part of a path: digests, plain names and version numbers.

A registry's tag, a manifest, a pointer in the lake or a request may hold anything: "..", an absolute
path, a separator, a NUL. What becomes a folder's or a file's name is checked here first.
"""

import re
from typing import Final

from forecasting.errors import BundleRejected

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


def is_digest(text: object) -> bool:
    """Whether it is a SHA-256: 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def is_plain_name(text: object) -> bool:
    """Whether it is letters, digits, dots, dashes and underscores, at most 100, no dot first."""
    return isinstance(text, str) and _PLAIN.fullmatch(text) is not None


def is_number(text: object) -> bool:
    """Whether it is a version's number: ASCII digits, at most 18."""
    return isinstance(text, str) and _NUMBER.fullmatch(text) is not None


def require_digest(text: str, whose: str) -> str:
    """The digest of a bundle.

    Args:
        text: what stands where a digest should.
        whose: whose digest it is, e.g. "version 3's tag bundle_digest".

    Raises:
        BundleRejected: it is no digest.
    """
    if not is_digest(text):
        raise BundleRejected(
            "a bundle's digest is 64 lower-case hexadecimal digits",
            f"{whose} is {text[:80]!r}" if text else f"{whose} is missing",
            "Register the version again: bellwether train",
        )
    return text
