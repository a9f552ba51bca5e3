"""Programs of others that tests need: what each is for and who has it; found, or said to be missing.

`python -m tests.programs helm` prints where a program is. What is missing is brought by
`make programs` (tests/install_programs.py).
"""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from gradio_app.screenshots import BROWSERS
from tests.releases import HELM, KIND, TOOLS, Release

FOLDERS: Final = (
    # Debian and brew keep the servers of several PostgreSQL versions side by side, off the PATH.
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Google Chrome.app/Contents/MacOS",
)


@dataclass(frozen=True)
class Program:
    """One program that some tests cannot do without.

    Attributes:
        names: what it may be called; the first one that is found is taken.
        serves: what is not tested without it.
        by_hand: where its project says how it is installed.
        debian: packages of Debian and of what is made from it; none if it has none.
        ubuntu: packages of Ubuntu, where they differ.
        brew: formula of Homebrew; "" if it has none.
        release: how we bring it ourselves, where no distribution has it.
    """

    names: tuple[str, ...]
    serves: str
    by_hand: str
    debian: tuple[str, ...] = ()
    ubuntu: tuple[str, ...] = ()
    brew: str = ""
    release: Release | None = None

    @property
    def name(self) -> str:
        """What it is called in our words."""
        return self.names[0]


PROGRAMS: Final = (
    Program(
        (*BROWSERS, "Google Chrome"),
        "the page in a real browser",
        "https://www.google.com/chrome",
        debian=("chromium", "fonts-dejavu"),
        ubuntu=("chromium-browser", "fonts-dejavu"),
        brew="google-chrome",
    ),
    *(
        Program(
            (name,),
            serves,
            "https://prometheus.io/download",
            debian=("prometheus",),
            brew="prometheus",
        )
        for name, serves in (
            ("prometheus", "what a real Prometheus makes of our metrics"),
            ("promtool", "alerts and recording rules"),
        )
    ),
    Program(
        ("prometheus-pushgateway", "pushgateway"),
        "the metrics of batch jobs",
        "https://prometheus.io/download/#pushgateway",
        debian=("prometheus-pushgateway",),
    ),
    *(
        Program(
            (name,),
            "everything that is kept in PostgreSQL",
            "https://www.postgresql.org/download",
            debian=("postgresql",),
            brew="postgresql@17",
        )
        for name in ("initdb", "postgres")
    ),
    Program(
        ("faketime",),
        "the tests on other days than today",
        "https://github.com/wolfcw/libfaketime",
        debian=("faketime",),
        brew="libfaketime",
    ),
    Program(
        ("helm",),
        "the charts",
        "https://helm.sh/docs/intro/install",
        release=HELM,
    ),
    Program(
        ("kind",),
        "how kind itself reads kind-config.yaml",
        "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
        release=KIND,
    ),
)


def find(wanted: Program) -> str:
    """Path of a program; "" if there is none."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), str(TOOLS)]
    for pattern in FOLDERS:
        # The newest version first.
        folders += sorted(map(str, Path("/").glob(pattern.removeprefix("/"))), reverse=True)
    candidates = (shutil.which(name, path=folder) for name in wanted.names for folder in folders)
    return next((path for path in candidates if path), "")


def missing() -> list[Program]:
    """Every program that is not here."""
    return [one for one in PROGRAMS if not find(one)]


def manager() -> str:
    """Who installs programs on this machine: "apt-get", "brew", or nobody that we know."""
    return next((name for name in ("apt-get", "brew") if shutil.which(name)), "")


@cache
def is_ubuntu() -> bool:
    """Whether this is Ubuntu or made from it."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return "ubuntu" in f"{release['ID']} {release.get('ID_LIKE', '')}".split()


def packages(wanted: Program) -> tuple[str, ...]:
    """Packages of this machine's manager that hold a program; none if it has none."""
    match manager():
        case "apt-get":
            return (is_ubuntu() and wanted.ubuntu) or wanted.debian
        case "brew":
            return (wanted.brew,) if wanted.brew else ()
        case _:
            return ()


def remedy(wanted: Program) -> str:
    """What a reader without a program can do."""
    held = packages(wanted)
    sudo = "sudo " if manager() == "apt-get" and os.geteuid() else ""
    by_hand = f"{sudo}{manager()} install {' '.join(held)}" if held else wanted.by_hand
    ours = "`make programs` brings it, or by hand: " if held or wanted.release else "Install it: "
    return f"{ours}{by_hand}"


def said_missing(wanted: Program) -> str:
    """What is said where a program is missing: what is not tested without it, and the remedy."""
    return f"{wanted.name} is not installed, which is needed for {wanted.serves}. {remedy(wanted)}"


def named(name: str) -> Program:
    """The program of this name."""
    return next(one for one in PROGRAMS if name in one.names)


def program(name: str) -> str:
    """Path of a program, for a test that needs it.

    A developer without it is told what was not run and how to get it. CI has to run everything:
    there a missing program fails.
    """
    wanted = named(name)
    if found := find(wanted):
        return found
    if os.environ.get("CI"):
        pytest.fail(said_missing(wanted))
    pytest.skip(said_missing(wanted))


def main(name: str) -> int:
    """Print where a program is; say what to do if it is not here."""
    wanted = named(name)
    found = find(wanted)
    sys.stdout.write(f"{found}\n" if found else "")
    sys.stderr.write("" if found else f"{said_missing(wanted)}\n")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
