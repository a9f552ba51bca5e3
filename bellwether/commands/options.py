"""Options that several commands share, and what their texts mean."""

from pathlib import Path
from typing import Annotated, Final

import typer

from components.parameters import listed
from forecasting.errors import InvalidSettings
from forecasting.schema import INTERVALS

DEFAULT_SAMPLE: Final = ("META", "AMZN", "AAPL", "NFLX", "NVDA", "GOOG")

Symbols = Annotated[
    str, typer.Option(help="Symbols, comma separated. Default: the six of the bundled sample.")
]
Source = Annotated[
    str, typer.Option(help="Where prices come from: sample, files, yahoo, synthetic, or another's.")
]
Interval = Annotated[str, typer.Option(help=f"Length of a bar: {', '.join(INTERVALS)}.")]
Dataset = Annotated[str, typer.Option(help="Name in the lake. Default: source-interval.")]
Files = Annotated[
    str, typer.Option(help="With --source files: a CSV or Parquet file, folder or pattern.")
]
Context = Annotated[str, typer.Option(help="Context of the kubeconfig. Default: the current one.")]
Namespace = Annotated[str, typer.Option(help="Namespace of the release.")]
Release = Annotated[str, typer.Option(help="Name of the Helm release.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds a version may take to get ready.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def chosen_symbols(text: str, source: str) -> tuple[str, ...]:
    """The symbols of a comma separated option; the bundled sample has six by default.

    Raises:
        InvalidSettings: the source is unknown, or needs symbols and has none.
    """
    from forecasting.adapters.market.open import source_names

    if source not in source_names():
        raise InvalidSettings(
            "a source must be known",
            repr(source),
            f"There are {', '.join(source_names())}; packages add others as bellwether.sources",
        )
    symbols = listed(text)
    if symbols:
        return symbols
    if source == "sample":
        return DEFAULT_SAMPLE
    if source in {"files", "synthetic"}:
        return ()
    raise InvalidSettings(
        "a live source needs symbols", f"source {source}, no symbols", "Add --symbols AAPL,BTC-USD"
    )


def source_options(source: str, files: str) -> dict[str, object]:
    """Options of the price source; only `files` has one, the path.

    Raises:
        InvalidSettings: --files is missing, or given with another source.
    """
    if source == "files" and not files:
        raise InvalidSettings(
            "the source files needs a path", "no --files", "Add --files prices.csv or a folder"
        )
    if files and source != "files":
        raise InvalidSettings(
            "--files belongs to --source files", f"--source {source}", "Add --source files"
        )
    return {"path": str(Path(files).resolve())} if files else {}


def named_options(context: typer.Context) -> dict[str, object]:
    """Values of the options that were written on the command line, by name; defaults are not there."""
    named = {}
    for name, value in context.params.items():
        where = context.get_parameter_source(name)
        if where is not None and where.name == "COMMANDLINE":
            named[name] = value
    return named
