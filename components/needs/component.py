"""Needs: the symbols that versions in use know and the parameters do not name."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def needs(*, symbols: str, dataset: str, kept: dsl.Output[dsl.Dataset]) -> None:
    """Look up which symbols to fetch besides those that are asked for.

    Args:
        symbols: tickers separated by commas; empty for all the source carries.
        dataset: name of the data set in the lake.
        kept: tickers separated by commas; empty for none. An artifact, because KFP's local runner gives
            a loop's steps the loop's item in place of another step's output parameter.
    """
    from components.needs.step import run

    run(symbols=symbols, dataset=dataset, kept=kept)
