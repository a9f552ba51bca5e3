"""Brings the programs that tests need and this machine lacks: `python -m tests.install_programs`.

`make test` runs this first. Root is not asked, nor is who says YES=1; YES=0 says no. Without a
terminal nobody is asked and nothing is installed. What is not there afterwards is not tested, which
the closing lines of the tests tell; in CI it ends the run here.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests import apt, programs, releases
from tests.programs import Program
from tests.releases import Release

CONSENT: Final = {"1": True, "y": True, "yes": True, "0": False, "n": False, "no": False}


@dataclass(frozen=True)
class Plan:
    """What would be installed, and how.

    Attributes:
        packages: of the machine's package manager.
        releases: put into .tools/bin by ourselves.
        left: programs that nobody here can bring.
    """

    packages: tuple[str, ...]
    releases: tuple[Release, ...]
    left: tuple[Program, ...]


def plan(missing: Sequence[Program], *, manager_may: bool) -> Plan:
    """How these programs can be had here.

    Args:
        missing: the programs.
        manager_may: whether the package manager can be used.
    """
    held = {one.name: programs.packages(one) if manager_may else () for one in missing}
    return Plan(
        tuple(sorted({package for names in held.values() for package in names})),
        tuple(one.release for one in missing if one.release),
        tuple(one for one in missing if not (held[one.name] or one.release)),
    )


def may_install(wanted: Plan) -> bool:
    """Whether the user wants it: root and YES=1 do, a terminal is asked once."""
    answer = os.environ.get("YES", "").strip().lower()
    if answer in CONSENT:
        return CONSENT[answer]
    if os.geteuid() == 0:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say("Nobody can be asked here. To install what is missing: YES=1 make programs")
        return False
    say("Some tests need programs that are not here. These would be installed:")
    if wanted.packages:
        sudo = ", with sudo" if programs.manager() == "apt-get" else ""
        say(f"  by {programs.manager()}{sudo}: {' '.join(wanted.packages)}")
    if wanted.releases:
        names = " ".join(f"{one.name} {one.version}" for one in wanted.releases)
        say(f"  into .tools/bin of this folder: {names}")
    say("Without them the other tests run, and their last lines say what was not tested.")
    sys.stdout.write("Install them? [y/N] ")
    sys.stdout.flush()
    return CONSENT.get(sys.stdin.readline().strip().lower(), False)


def install(wanted: Plan) -> None:
    """Install everything; what cannot be had is told, and the rest is installed all the same."""
    if wanted.packages:
        by = programs.manager()
        say(f"Installing by {by}: {' '.join(wanted.packages)} ...")
        try:
            if by == "apt-get":
                apt.install(wanted.packages, say)
            else:
                subprocess.run(["brew", "install", *wanted.packages], check=True)
        except (apt.AptFailed, subprocess.CalledProcessError) as error:
            say(str(error))
    for release in wanted.releases:
        try:
            releases.bring(release, say)
        except releases.NotBrought as error:
            say(f"{release.name} {release.version} could not be had: {error}")


def say(sentence: str) -> None:
    """Tell the user, at once."""
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def main() -> int:
    """Bring what is missing; exit code 1 in CI if something still is."""
    if not (missing := programs.missing()):
        return 0
    by = programs.manager()
    wanted = plan(missing, manager_may=apt.may() if by == "apt-get" else bool(by))
    if (wanted.packages or wanted.releases) and may_install(wanted):
        install(wanted)
        missing = programs.missing()
    for one in missing:
        say(programs.said_missing(one))
    return 1 if missing and os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
