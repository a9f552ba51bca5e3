"""Installs Debian's packages for the tests; no service of theirs starts by itself."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

POLICY: Final = Path("/usr/sbin/policy-rc.d")
"""What Debian asks before it starts a service."""

SECONDS: Final = 1_800


class AptFailed(Exception):
    """A package could not be installed; says what apt said, and what to do."""


def may() -> bool:
    """Whether packages can be installed here at all: by root, or through sudo."""
    return bool(shutil.which("apt-get")) and bool(os.geteuid() == 0 or shutil.which("sudo"))


def install(packages: Iterable[str], say: Callable[[str], None]) -> None:
    """Install packages.

    Args:
        packages: their names; ones that are there stay as they are.
        say: told in a sentence what did not work and does not matter yet.

    Raises:
        AptFailed: apt-get or sudo said no.
    """
    names = sorted(set(packages))
    with _no_service_starts():
        updated = _as_root("apt-get", "update", "-qq")
        if updated.returncode:
            # One broken source of somebody else need not stand in the way of the packages.
            say(f"apt-get update did not go well: {_end(updated)}")
        installed = _as_root(
            *("env", "DEBIAN_FRONTEND=noninteractive"),
            *("apt-get", "-o", "DPkg::Lock::Timeout=300"),
            *("install", "-y", "-qq", "--no-install-recommends", *names),
        )
    if installed.returncode:
        raise AptFailed(
            f"apt-get could not install {' '.join(names)}: {_end(installed)}\n"
            "Mend what it says (no network, an old list of packages, a lock that somebody holds), "
            f"then: apt-get update && apt-get install --no-install-recommends {' '.join(names)}"
        )


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian starts a service as soon as it is installed; the tests start their own, on free ports.

    A policy that is there already is somebody's and stays.
    """
    if POLICY.exists():
        yield
        return
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as draft:
        draft.write("#!/bin/sh\nexit 101\n")
        draft.flush()
        written = _as_root("install", "-m", "755", draft.name, str(POLICY))
    if written.returncode:
        raise AptFailed(
            f"{POLICY} could not be written, so services would start: {_end(written)}\n"
            "Run `make programs` as root, or as a user whom sudo lets"
        )
    try:
        yield
    finally:
        _as_root("rm", "-f", str(POLICY))


def _as_root(*command: str) -> subprocess.CompletedProcess[str]:
    # Without a terminal nobody could type sudo's password.
    sudo = ["sudo"] if sys.stdin.isatty() else ["sudo", "--non-interactive"]
    try:
        return subprocess.run(
            [*([] if os.geteuid() == 0 else sudo), *command],
            check=False,
            stdin=None if sys.stdin.isatty() else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise AptFailed(f"{' '.join(command)} took longer than {SECONDS} s") from error


def _end(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.stdout}{done.stderr}".strip()[-1_500:]
