"""Publish: the newest feature rows, for the predictors to load."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def publish(
    *,
    snapshot: str,
    dataset: str,
    table: dsl.Input[dsl.Dataset],
) -> str:
    """Write the newest rows of every symbol to the lake, where predictors look for them.

    Args:
        snapshot: content hash of the snapshot the features describe.
        dataset: the data set in the lake.
        table: features and horizon returns, one row per bar.

    Returns:
        The SHA-256 of what was published.
    """
    from components.publish.step import run

    return run(snapshot=snapshot, dataset=dataset, table=table)
