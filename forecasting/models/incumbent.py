"""The champion's method on a training's own test spans, when it is not among the candidates."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forecasting.models.out_of_sample import OutOfSample

if TYPE_CHECKING:
    from forecasting.features.build import FeatureTable
    from forecasting.features.targets import SignalRule


def forecast_as_incumbent(
    kind: str,
    params: Mapping[str, Any],
    table: "FeatureTable",
    returns: NDArray[np.floating],
    *,
    beside: OutOfSample,
    signal: "SignalRule | None" = None,
    seed: int = 0,
    threads: int | None = None,
) -> OutOfSample:
    """Walk the champion's kind, with its own parameters, over the folds of the challengers.

    A bundle cannot be asked about the past: it has learned from most of it. What can be compared
    is its method, trained anew before each test span, exactly as the challengers were.

    Args:
        kind: the champion's kind, e.g. "ridge".
        params: the parameters in its bundle's manifest.
        table: features the challengers learned from.
        returns: [n, H] horizon returns of the table's rows, NaN where unknown.
        beside: a challenger's forecasts, for the number of folds.
        signal: rule the challengers' probabilities refer to; default: SignalRule().
        seed: of everything random.
        threads: for the libraries; default: this container's share.

    Raises:
        InvalidSettings: the kind is unknown, or its package is missing.
        ShortHistory: there are too few bars for the folds.
    """
    from forecasting.models.training import train_candidate

    trained = train_candidate(
        kind,
        table,
        returns,
        params=params,
        folds=int(beside.fold.max()),
        signal=signal,
        seed=seed,
        threads=threads,
    )
    return trained.out_of_sample
