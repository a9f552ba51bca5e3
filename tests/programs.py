"""Programs of others that some tests need: found, or said to be missing; in CI never missing."""

import os
import shutil
from pathlib import Path

import pytest


def program(*names: str, package: str) -> str:
    """Path of the first of these programs that is installed.

    A developer without it is told what was not run and how to get it. CI has to run everything:
    there a missing program fails.
    """
    # Debian keeps the servers of several PostgreSQL versions side by side, off the PATH.
    debian = sorted(str(folder) for folder in Path("/usr/lib/postgresql").glob("*/bin"))
    places = os.pathsep.join([os.environ.get("PATH", ""), *debian[::-1]])
    found = next((path for name in names if (path := shutil.which(name, path=places))), None)
    if found:
        return found
    missing = f"{names[0]} is not installed: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
