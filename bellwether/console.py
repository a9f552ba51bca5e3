"""The command's output: one console, errors in words, tables, and the steps of a long command."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.status import Status
from rich.table import Table
from rich.text import Text

from forecasting.errors import BellwetherError

_WIDEST: Final = 10_000

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def say(text: str, style: str | None = None) -> None:
    """Print a line that only the terminal breaks, never we."""
    console.print(text, style=style, soft_wrap=True)


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn a BellwetherError into its sentence on stderr and its exit code.

    Raises:
        typer.Exit: with the error's exit code.
    """
    try:
        yield
    except BellwetherError as error:
        text = Text.assemble(("error ", "bold red"), (error.rule, "bold"))
        if error.found:
            text.append(f"\nfound  {error.found}")
        if error.remedy:
            text.append(f"\nremedy {error.remedy}", style="green")
        stderr.print(text, soft_wrap=True)
        raise typer.Exit(error.exit_code) from error


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A plain table; columns whose name starts with '>' are right aligned."""
    grid = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        grid.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
        )
    for row in rows:
        grid.add_row(*row)
    return grid


def show(grid: Table) -> None:
    """Print a table as wide as its cells are: a narrow terminal breaks its lines, we break no name."""
    options = console.options.update(max_width=_WIDEST)
    grid.width = Measurement.get(console, options, grid).maximum
    console.print(grid, crop=False)


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


def plain(value: object) -> str:
    """What JSON has no form for, as text: an instant by ISO-8601.

    Raises:
        TypeError: it is no instant.
    """
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
