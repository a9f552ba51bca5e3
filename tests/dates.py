"""Runs tests under other dates by libfaketime: `python -m tests.dates [DATE ...]`.

A date is a day (noon) or a moment in UTC, with the machine's time zone behind an @, UTC by default:
2026-11-27, 2027-03-14T06:00, 2027-03-14T06:00@America/New_York. It need not be one of `DATES`.
Programs that are not linked with the C library's clock, such as Go's, keep the real time.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from tests.clock import machine_now

DATES: Final = {
    "2026-11-27": "the day after Thanksgiving: the day before was no session, this one is half",
    "2026-12-06": "a Sunday",
    "2027-01-01": "New Year's Day: nobody trades, and calendars published by the year have ended",
    "2027-03-14T06:00@America/New_York": "an hour before the clocks go forward in New York",
    "2027-03-14T08:00@America/New_York": "an hour after they did, on a Sunday",
    "2027-10-31T00:00@Europe/Berlin": "an hour before the clocks go back in Europe",
    "2027-10-31T02:00@Europe/Berlin": "an hour after they did, on a Sunday",
    "2026-12-02T05:00@Pacific/Pago_Pago": "UTC-11, where it is still yesterday",
    "2026-12-02T12:00@Pacific/Kiritimati": "UTC+14, where it is already tomorrow",
    "2028-02-29": "a leap day",
    "2029-11-29": "three years on: what is pinned or published for some time only has ended",
}
"""Dates on which tests may fail, with the reason."""

FOLDERS: Final = ("tests/unit", "tests/contract", "tests/golden")
ROOT: Final = Path(__file__).resolve().parent.parent
LACKING: Final = (
    "the program faketime sets the date, and it was not found. "
    "Install it: apt-get install faketime (Debian, Ubuntu), brew install libfaketime (macOS)"
)


@dataclass(frozen=True)
class Date:
    """A moment and the zone of a machine on which it is that moment."""

    at: datetime
    zone: str

    @classmethod
    def parse(cls, text: str) -> "Date":
        moment, _, zone = text.partition("@")
        at = datetime.fromisoformat(moment if "T" in moment else f"{moment}T12:00")
        return cls(at.replace(tzinfo=UTC), zone or "UTC")

    def command(self, *command: str) -> list[str]:
        """A command under which the clock starts at this moment and goes on."""
        ahead = round((self.at - machine_now()).total_seconds())
        faketime = shutil.which("faketime") or sys.exit(LACKING)
        return [faketime, "-m", "--exclude-monotonic", "-f", f"{ahead:+d}", *command]

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(
            filter(None, [str(ROOT / "tests" / "faketime"), os.environ.get("PYTHONPATH")])
        )
        return {**os.environ, "TZ": self.zone, "PYTHONPATH": path}

    def check(self) -> None:
        """See that Python believes it; a test that passes under the real date proves nothing."""
        words = "from datetime import datetime; print(datetime.now().astimezone().isoformat())"
        said = subprocess.run(
            self.command(sys.executable, "-c", words),
            env=self.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        try:
            seen = datetime.fromisoformat(said.stdout.strip())
        except ValueError:
            sys.exit(f"faketime must run Python: {said.stderr.strip() or said.stdout.strip()}")
        expected = self.at.astimezone(ZoneInfo(self.zone))
        if abs((seen - expected).total_seconds()) > 600 or seen.utcoffset() != expected.utcoffset():
            sys.exit(f"it must be {expected.isoformat()} for Python, and it is {seen.isoformat()}")


def say(sentence: str) -> None:
    """Tell something between pytest's own lines."""
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def run(text: str) -> bool:
    """Run the tests under one date; says how it went."""
    date = Date.parse(text)
    date.check()
    say(f"\n== {text}: {DATES.get(text, 'a date of yours')}")
    # pytest takes the folders of other runs for abandoned when it believes to live in the future.
    kept = tempfile.mkdtemp(prefix="bellwether-dates-")
    begun = time.monotonic()
    ended = subprocess.run(
        date.command(sys.executable, "-m", "pytest", *FOLDERS),
        env={**date.environment(), "PYTEST_DEBUG_TEMPROOT": kept}, cwd=ROOT, check=False,
    )  # fmt: skip
    passed = ended.returncode == 0
    if passed:
        shutil.rmtree(kept, ignore_errors=True)
    words = "passed" if passed else f"FAILED; what the tests wrote is in {kept}"
    say(f"== {text}: {words} ({time.monotonic() - begun:.0f} s)")
    return passed


def main() -> None:
    failed = [text for text in sys.argv[1:] or DATES if not run(text)]
    if failed:
        sys.exit(f"tests fail under {', '.join(failed)}: python -m tests.dates {failed[0]}")


if __name__ == "__main__":
    main()
