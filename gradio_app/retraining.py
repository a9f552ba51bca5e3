"""Starts trainings, one at a time, as processes of their own, and reports the state of the last."""

import fcntl
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Protocol

from forecasting.errors import EXIT_REFUSED, Corrupted, InvalidInput, Unavailable
from forecasting.evaluation.promotion_outcome import PromotionOutcome
from forecasting.settings import Settings

AS_CHAMPION: Final = "as the champion"
"""What the champion was trained on: files, symbols, interval and budget."""

SOURCES: Final = (AS_CHAMPION, "sample", "yahoo", "synthetic")
"""What a training can be started with from the page."""

MAX_SYMBOLS: Final = 50
TAIL_LINES: Final = 40
_STATES: Final[dict[int, Literal["promoted", "refused"]]] = {0: "promoted", EXIT_REFUSED: "refused"}
"""State of an ended training by its exit code; any other code is a failure."""
_TAIL_BYTES: Final = 32_768
_SYMBOL: Final = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^=_/-]{0,31}")
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f]")

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """A training as it stands.

    Attributes:
        state: running, promoted, refused (nothing was promoted), done (its outcome is not known
            here), or failed.
        source: price source it was started with.
        symbols: symbols it was started with; empty for the source's own.
        started_at: aware UTC.
        seconds: how long it has run, or ran.
        lines: the last lines it wrote.
        link: address where more of it is seen; "" for none.
        outcome: what it decided and why; None while it runs, and where that is not known.
    """

    state: Literal["running", "promoted", "refused", "done", "failed"]
    source: str
    symbols: tuple[str, ...]
    started_at: datetime
    seconds: float
    lines: tuple[str, ...]
    link: str = ""
    outcome: PromotionOutcome | None = None


class Retraining(Protocol):
    """Something that can train: a process here, a pipeline run on a cluster.

    Attributes:
        sources: price sources it can be asked for.
    """

    sources: tuple[str, ...]

    def start(self, symbols: Sequence[str], source: str, who: str) -> Training:
        """Start a training in somebody's name.

        Raises:
            InvalidInput: a symbol or the source makes no sense.
            Unavailable: a training is running already, or cannot be started.
        """

    def current(self) -> Training | None:
        """The training started last, or None before the first.

        Raises:
            Unavailable: what trains cannot be asked.
        """


@dataclass
class SubprocessRetraining:
    """Trains with a command of this installation, `bellwether train` by default.

    A lock file that the child inherits stays locked for as long as the child lives, so that a
    restarted page, or a second one on the same folder, cannot start a second training.

    Attributes:
        folder: where the lock, the log and the outcome lie.
        command: program and arguments; --who, --source, --symbols and --outcome-file are appended.
            Without --source it trains as the champion was trained.
        sources: price sources it can be asked for.
    """

    folder: Path
    command: tuple[str, ...] = (sys.executable, "-m", "bellwether", "train")
    sources: tuple[str, ...] = SOURCES
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    _last: Training | None = None
    _began: float = 0.0

    @classmethod
    def of(cls, settings: Settings) -> "SubprocessRetraining":
        """Retraining whose files lie in the settings' state folder."""
        command = (sys.executable, "-m", "bellwether", "train")
        return cls(settings.state_dir / "retraining", command)

    @property
    def log(self) -> Path:
        """What the training printed."""
        return self.folder / "training.log"

    @property
    def outcome_file(self) -> Path:
        """What the training decided, as data."""
        return self.folder.absolute() / "outcome.json"

    def start(self, symbols: Sequence[str], source: str, who: str) -> Training:
        """Start the command in somebody's name, unless a training is running.

        Raises:
            InvalidInput: a symbol or the source makes no sense.
            Unavailable: a training is running already, or the command cannot be started.
        """
        chosen_symbols = checked_symbols(symbols)
        if source not in SOURCES:
            raise InvalidInput(
                "a training needs a known price source", source, f"Choose {', '.join(SOURCES)}"
            )
        arguments = [f"--who={who}"]
        if source != AS_CHAMPION:
            arguments.append(f"--source={source}")
        arguments.append(f"--outcome-file={self.outcome_file}")
        if chosen_symbols:
            arguments.append(f"--symbols={','.join(chosen_symbols)}")
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "lock").open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise Unavailable(
                        "only one training may run at a time",
                        "one is running",
                        "Wait for it to end, then start yours",
                    ) from None
                self.outcome_file.unlink(missing_ok=True)  # it tells of the training before
                self._spawn(arguments, lock.fileno())
            self._began = time.monotonic()
            self._last = Training("running", source, chosen_symbols, datetime.now(UTC), 0.0, ())
        return self._last

    def current(self) -> Training | None:
        """The training this page started last, or None before the first."""
        with self._lock:
            if self._process is not None and self._last is not None:
                self._last = self._refreshed(self._process.poll(), self._last)
            return self._last

    def _refreshed(self, exit_code: int | None, training: Training) -> Training:
        """A training as it stands now; of one that has ended, the log is read once."""
        if training.state != "running":
            return training
        state: Literal["running", "promoted", "refused", "failed"] = "running"
        if exit_code is not None:
            state = _STATES.get(exit_code, "failed")
        return replace(
            training,
            state=state,
            seconds=time.monotonic() - self._began,
            lines=tail(self.log),
            outcome=self._outcome() if state in {"promoted", "refused"} else None,
        )

    def _spawn(self, arguments: list[str], lock: int) -> None:
        try:
            with self.log.open("wb") as output:
                self._process = subprocess.Popen(  # noqa: S603 - our own command, checked arguments
                    [*self.command, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "110"},
                    pass_fds=(lock,),
                )
        except OSError as error:
            raise Unavailable(
                "the training command must start", f"{self.command[0]}: {error.strerror}"
            ) from error

    def _outcome(self) -> PromotionOutcome | None:
        """What the training decided; None when its file is missing or damaged."""
        try:
            return PromotionOutcome.read(self.outcome_file)
        except Corrupted as error:
            _LOG.warning("%s", error)
            return None


def checked_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    """Symbols without blanks and repetitions.

    Raises:
        InvalidInput: too many of them, or one that cannot be a symbol.
    """
    chosen = tuple(dict.fromkeys(symbol.strip() for symbol in symbols if symbol.strip()))
    malformed = [symbol for symbol in chosen if not _SYMBOL.fullmatch(symbol)]
    if malformed:
        raise InvalidInput(
            "a symbol is letters, digits and . - ^ = _ /", repr(malformed[0][:40]), "Correct it"
        )
    if len(chosen) > MAX_SYMBOLS:
        raise InvalidInput(
            f"a training started from the page takes up to {MAX_SYMBOLS} symbols",
            f"{len(chosen)} were given",
            "Use the command line: bellwether train",
        )
    return chosen


def tail(log: Path, lines: int = TAIL_LINES) -> tuple[str, ...]:
    """The last lines of a log, without what moves cursors and colours text."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ()
    plain = (_CONTROL.sub("", line.rsplit("\r", 1)[-1]).rstrip() for line in text.split("\n"))
    return tuple(line for line in plain if line)[-lines:]
