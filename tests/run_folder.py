"""One folder a run, shared by its test processes: what is costly is made there once.

Nothing in it outlives the run, so nothing in it can be stale.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

VARIABLE = "BELLWETHER_TEST_RUN"
_OWN = pytest.StashKey[Path]()


def run_folder() -> Path:
    """The folder of this run."""
    return Path(os.environ[VARIABLE])


def once(name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` fills, in whichever test process needs it first; to be read only.

    Args:
        name: of the folder; says everything that `make` depends on besides the source.
        make: fills the empty folder it is given. If it fails, the next who asks tries again.
    """
    top = run_folder() / "once"
    top.mkdir(exist_ok=True)
    folder, done = top / name, top / f"{name}.done"
    with (top / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the folder, where this is the run's first process; the others inherit its name."""
    if VARIABLE not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="bellwether-tests-"))
        folder.chmod(0o711)  # a server that runs as another user has a folder in it
        os.environ[VARIABLE] = str(folder)
        config.stash[_OWN] = folder


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder after everybody else."""
    if (folder := config.stash.get(_OWN, None)) is not None:
        del os.environ[VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)
