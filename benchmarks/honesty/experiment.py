"""Experiments of docs/honesty.md: what they return, and the processes that share their work."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, Literal, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from forecasting.report.plots import Painter

Item = TypeVar("Item")
Result = TypeVar("Result")
Size = Literal["small", "full"]


@dataclass(frozen=True)
class Finding:
    """One figure that was promised something.

    Attributes:
        what: the figure, in words.
        found: what came out, as it is read.
        promised: in words; "" where the figure is only reported.
        holds: whether the promise is kept; True where there is none.
    """

    what: str
    found: str
    promised: str = ""
    holds: bool = True


@dataclass(frozen=True)
class Table:
    """A table of the page; columns whose head starts with '>' are right aligned."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Plot:
    """A picture of the page: what it shows, in a sentence, and who paints it."""

    name: str
    caption: str
    paint: Painter


@dataclass(frozen=True)
class Outcome:
    """What an experiment came to.

    Attributes:
        findings: promises and figures.
        story: paragraphs, tables and plots in the order they are read; paragraphs are Markdown.
        data: everything counted, ready for JSON.
    """

    findings: Sequence[Finding]
    story: Sequence[str | Table | Plot] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def broken(self) -> list[Finding]:
        """Promises that were not kept."""
        return [finding for finding in self.findings if not finding.holds]


@dataclass(frozen=True)
class Experiment:
    """One question put to the code, answered by counting.

    Attributes:
        name: short, e.g. "promotion".
        title: heading of its section.
        question: what is asked, in a sentence or two of Markdown.
        run: (size, workers, seed) -> outcome. `small` is what a test can wait for.
    """

    name: str
    title: str
    question: str
    run: Callable[[Size, "Workers", int], Outcome]


class Workers:
    """Processes that share the work of an experiment, under a progress bar.

    Args:
        processes: how many; 1 works in this process.
        console: where the bars are drawn; default: none is.
    """

    def __init__(self, processes: int = 1, console: Console | None = None) -> None:
        self._processes = processes
        self._console = console or Console(quiet=True)

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], what: str
    ) -> list[Result]:
        """The function's result for every item, in the order of the items.

        Args:
            function: of a module's top level, so that another process can find it.
            items: its arguments.
            what: words beside the bar.
        """
        arguments = list(items)
        results: dict[int, Result] = {}
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task(what, total=len(arguments))
            if self._processes == 1:
                for index, item in enumerate(arguments):
                    results[index] = function(item)
                    bar.advance(task)
            else:
                # Threads of numerical libraries do not survive a fork.
                with ProcessPoolExecutor(self._processes, get_context("spawn")) as pool:
                    futures = {
                        pool.submit(function, item): index for index, item in enumerate(arguments)
                    }
                    for future in as_completed(futures):
                        results[futures[future]] = future.result()
                        bar.advance(task)
        return [results[index] for index in range(len(arguments))]
