"""Shows what a long command is doing: one line a step, what it waits for, and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.status import Status

from bellwether.console import console, say


@dataclass
class Step:
    """A step at work: `doing` says what it waits for, `outcome` what became of it."""

    name: str
    status: Status
    outcome: str = ""
    began: float = field(default_factory=time.monotonic)

    def doing(self, what: str) -> None:
        """Show what is waited for, and since when."""
        seconds = time.monotonic() - self.began
        self.status.update(f"{self.name}: {what} ({seconds:.0f} s)")


@dataclass
class Steps:
    """The steps of one command, with the time of each and of all."""

    began: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time one step; what it leaves in `outcome` stands beside its name."""
        if not console.is_terminal:
            say(f"  ... {name}", style="dim")
        with console.status(f"{name} ...") as status:
            step = Step(name, status)
            try:
                yield step
            except BaseException:
                status.stop()
                say(f"  [red]stopped[/] {name} after {time.monotonic() - step.began:.1f} s")
                raise
        seconds = time.monotonic() - step.began
        say(f"  [green]ok[/] {name:<24} {seconds:6.1f} s  [dim]{step.outcome}[/]")

    def total(self) -> None:
        """Say how long all of it took."""
        seconds = time.monotonic() - self.began
        minutes, rest = divmod(round(seconds), 60)
        say(f"  total {f'{minutes} min ' if minutes else ''}{rest} s")
