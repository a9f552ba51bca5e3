"""The last lines of a run: how many tests passed, failed and were not run, and why not."""

import subprocess
import sys

import pytest

from tests.releases import ROOT

SUITE = """
import pytest

@pytest.fixture
def broken():
    raise OSError("no such port")

def test_fine(): pass
def test_wrong(): assert 1 == 2
def test_that_cannot_start(broken): pass

@pytest.mark.parametrize("page", ["forecast", "feed"])
def test_of_the_page(page): pytest.skip("chromium is not installed. Install it: brew install it")

@pytest.mark.skip(reason="another reason")
def test_of_something_else(): pass

@pytest.mark.xfail
def test_that_is_known_to_fail(): assert 1 == 2
"""


@pytest.fixture
def said(tmp_path):
    """The lines that a run of the suite ends with, its own summary and what comes after it."""

    def run(*arguments):
        (tmp_path / "test_suite.py").write_text(SUITE)
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, "-p", "tests.closing_lines", f"--rootdir={tmp_path}", *arguments, tmp_path],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        lines = done.stdout.splitlines()
        summary = max(place for place, line in enumerate(lines) if line.startswith("====="))
        return lines[summary + 1 :]

    return run


@pytest.mark.parametrize("shared_out", [(), ("-n", "2")])
def test_the_last_lines_count_every_test_once_and_say_why_some_were_not_run(said, shared_out):
    assert said(*shared_out) == [
        "Tests: 1 passed, 1 failed, 1 could not start or end, 1 failed as expected, 3 not run.",
        "  2 not run: chromium is not installed. Install it: brew install it",
        "  1 not run: another reason",
    ]


def test_tests_that_a_run_never_came_to_were_not_run(said):
    assert said("--exitfirst") == [
        "Tests: 1 passed, 1 failed, 5 not run.",
        "  5 not run: the run ended before it came to them",
    ]


def test_tests_that_were_not_asked_for_are_not_counted(said):
    assert said("-k", "fine") == ["Tests: 1 passed, 0 failed, 0 not run."]


def test_a_run_that_only_lists_tests_claims_nothing(said):
    assert said("--collect-only") == []
