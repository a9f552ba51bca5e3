"""How the command speaks: one console, one way to show errors, tables and durations."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forecasting.errors import BellwetherError

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


def split_symbols(text: str) -> tuple[str, ...]:
    """Symbols of a comma separated option, in order, without repeats."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
