"""Forecast: every symbol by every version in use, into the prediction log, whoever asks or not."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def forecast(
    *,
    dataset: str,
) -> int:
    """Forecast from the features just published, and log what was not logged before.

    Args:
        dataset: the data set in the lake.

    Returns:
        How many forecasts of the newest bars are in the log now.
    """
    from components.forecast.step import run

    return run(dataset=dataset)
