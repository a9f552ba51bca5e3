"""Publish: the newest feature rows of every specification in use, for the predictors to load."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def publish(
    *,
    snapshot: str,
    dataset: str,
    symbols: str,
) -> str:
    """Describe a snapshot for every specification in use, and write the newest rows to the lake.

    Args:
        snapshot: content hash of the snapshot to describe.
        dataset: the data set in the lake.
        symbols: tickers separated by commas, empty for all of the snapshot; what is published
            before any version needs anything.

    Returns:
        The SHA-256 of what was published for the champion, or for the first that needs features.
    """
    from components.publish.step import run

    return run(snapshot=snapshot, dataset=dataset, symbols=symbols)
