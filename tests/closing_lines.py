"""Says at the end of a run how many tests passed, failed and were not run, and why not."""

from collections import Counter
from collections.abc import Generator
from typing import Final

import pytest

OTHERS: Final = {
    "error": "could not start or end",
    "xfailed": "failed as expected",
    "xpassed": "passed unexpectedly",
}


def lines(reports: dict[str, list[object]], collected: int) -> list[str]:
    """What is said of a run.

    Args:
        reports: what the terminal kept, by what became of it.
        collected: how many tests there were to run.
    """
    tests = {
        outcome: [one for one in kept if isinstance(one, pytest.TestReport | pytest.CollectReport)]
        for outcome, kept in reports.items()
    }
    count = {outcome: len(kept) for outcome, kept in tests.items()}
    reasons = Counter(_reason(report) for report in tests.get("skipped", []))
    begun = {report.nodeid for kept in tests.values() for report in kept}
    if unreached := max(0, collected - len(begun)):
        reasons["the run ended before it came to them"] += unreached
    said = [f"{count.get('passed', 0)} passed", f"{count.get('failed', 0)} failed"]
    said += [f"{count[outcome]} {words}" for outcome, words in OTHERS.items() if count.get(outcome)]
    told = [f"Tests: {', '.join(said)}, {reasons.total()} not run."]
    return told + [f"  {number} not run: {reason}" for reason, number in reasons.most_common()]


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped, in the words of who skipped it."""
    said = report.longrepr
    return said[2].removeprefix("Skipped: ") if isinstance(said, tuple) else str(said)


def _selected(config: pytest.Config, terminal: pytest.TerminalReporter) -> int:
    """How many tests there were to run; pytest-xdist's workers collect them, not the terminal."""
    shared = config.pluginmanager.get_plugin("dsession")
    if shared is not None:
        return len(getattr(shared.sched, "collection", None) or ())
    return terminal._numcollected - len(terminal.stats.get("deselected", []))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Write the lines when everything else has been written."""
    result = yield
    config = session.config
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    # The workers of a run that is shared out write nothing: their reports come to one terminal.
    if terminal is None or hasattr(config, "workerinput") or config.option.collectonly:
        return result
    for line in lines(terminal.stats, _selected(config, terminal)):
        terminal.write_line(line)
    return result
