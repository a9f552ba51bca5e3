"""What a failed test leaves to be looked at: logs, traces and screenshots, in a folder a test.

The folders are under test-results/, which git ignores and which the next run empties.
"""

import re
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "test-results"
_FAILED = pytest.StashKey[bool]()
_logs: dict[Path, bool] = {}
"""The logs of servers, and whether the server still runs."""


def watch(log: Path) -> None:
    """From now on keep a copy of this log for each test that fails."""
    _logs[log] = True


def ended(log: Path) -> None:
    """The server has ended: its log tells of this test, and of no later one."""
    _logs[log] = False


def failed(item: pytest.Item) -> bool:
    """Whether the test has failed up to now; for a fixture that decides what to keep."""
    return item.stash.get(_FAILED, False)


def folder_of(nodeid: str) -> Path:
    """Where what this test leaves belongs."""
    folder = FOLDER / re.sub(r"[^\w.-]+", "-", nodeid.removeprefix("tests/")).strip("-")[:150]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pytest_runtest_logstart() -> None:
    """Forget the servers of the tests before."""
    for log in [log for log, up in _logs.items() if not up]:
        del _logs[log]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Copy the logs when a test has failed, before its folders may be removed."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
        folder = folder_of(item.nodeid)
        with (folder / "failure.txt").open("a") as text:
            text.write(f"{report.when}\n{report.longreprtext}\n")
        for number, log in enumerate(log for log in _logs if log.exists()):
            shutil.copyfile(log, folder / f"{number}-{log.name}")
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Remove what an earlier run has left."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(FOLDER, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the folder."""
    if FOLDER.exists():
        terminalreporter.write_line(
            f"Logs, traces and screenshots of what failed: {FOLDER}"
            " (a trace opens with `playwright show-trace`)"
        )
