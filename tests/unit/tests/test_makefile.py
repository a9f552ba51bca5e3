"""What `make` says and where its targets write."""

import os
import pty
import subprocess

import pytest

from tests.releases import ROOT


def make(*words, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={**kept, **variables},
    )
    return done.stdout


def on_a_terminal(**variables):
    """What `make help` writes to a terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", closefd=True) as screen:
        kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        subprocess.run(
            ["make", "help"], cwd=ROOT, check=True, stdout=theirs, env={**kept, **variables}
        )
        os.close(theirs)
        written = b""
        try:
            while part := screen.read1(65_536):
                written += part
        except OSError:  # Linux says so when the other end has been closed
            pass
    return written.decode()


def test_help_is_coloured_on_a_terminal_alone_and_only_for_who_wants_it():
    assert "\033[36mtest" in on_a_terminal()
    assert "\033" not in on_a_terminal(NO_COLOR="1")
    plain = make("help")
    assert "\033" not in plain
    assert "  test           Run every test" in plain


@pytest.mark.parametrize(
    ("target", "record"),
    [
        ("bench", "benchmarks/results"),
        ("screenshots", "docs/images"),
        ("honesty", "docs/honesty.md"),
    ],
)
def test_what_measures_leaves_the_record_alone_until_it_is_told_to_replace_it(target, record):
    kept = make("--dry-run", target)
    assert f".output/{record}" in kept
    assert f"make {target} UPDATE=1" in kept
    assert ".output/" in (ROOT / ".gitignore").read_text().splitlines()
    replaced = make("--dry-run", target, "UPDATE=1")
    (command,) = (line for line in replaced.splitlines() if "--out " in line)
    assert "--out ." in command
    assert ".output" not in command
