"""Recalibrate: the intervals of every version in use, renewed by what came since its training."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def recalibrate(
    *,
    snapshot: str,
    dataset: str,
    outcome: str,
) -> str:
    """Judge served intervals by a snapshot's prices, and write the calibrations that are due.

    Args:
        snapshot: content hash of the snapshot.
        dataset: the data set in the lake.
        outcome: what the register step of this training came to: every version is due then, and
            drift is measured against this training's features from now on. Empty in a refresh,
            where BELLWETHER_RECALIBRATION_DAYS says which versions are due.

    Returns:
        What came of every version, as JSON.
    """
    from components.recalibrate.step import run

    return run(snapshot=snapshot, dataset=dataset, outcome=outcome)
