"""Features: what was known at each bar's close, and what came after it."""

from typing import List  # noqa: UP035

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def features(
    *,
    snapshot: str,
    dataset: str,
    symbols: str,
    train_until: str,
    candidates: List[str],  # noqa: UP006
    width: str,
    table: dsl.Output[dsl.Dataset],
    reference: dsl.Output[dsl.Dataset],
) -> None:
    """Describe every bar of a snapshot, and look up what really happened after it.

    Args:
        snapshot: content hash of the snapshot to read from the lake.
        dataset: the data set the snapshot belongs to.
        symbols: tickers separated by commas; empty for all of the snapshot.
        train_until: ISO date or instant; later bars are left out. Empty for none.
        candidates: kinds of models that will be trained; some learn from more features.
        width: width of the intervals of candidates that learn locations; a learned one needs more, too.
        table: features and horizon returns, one row per bar.
        reference: feature rows of whole histories, what drift is measured against later.
    """
    from components.features.step import run

    run(
        snapshot=snapshot,
        dataset=dataset,
        symbols=symbols,
        train_until=train_until,
        candidates=candidates,
        width=width,
        table=table,
        reference=reference,
    )
