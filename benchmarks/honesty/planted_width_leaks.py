"""Plants leaks into what learned widths rest on: six kinds, one part of the pipeline replaced in each."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from benchmarks.honesty.markets import Market
from benchmarks.honesty.planted_leaks import Pipeline, honest, scaled_examples, with_column

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from forecasting.features.build import FeatureTable

WIDTH_LEAKS: Final = {
    "next bar's range": "the variance of the last bar is that of the bar that is forecast",
    "centred window (variance)": "a bar's variance is averaged over two bars ahead as well as back",
    "full-sample scaler (variance)": "features of variance are standardised by the mean and "
    "deviation of all rows",
    "full-sample scaler (widths)": "the same, within the training, before the folds are cut",
    "market average of a later close": "the market's variance is the mean over all closes of the "
    "date, those that are yet to come among them",
    "full-sample variance (target)": "the variance to be forecast is divided by its mean over all rows",
}
"""The six leaks into widths."""


def width_leak(name: str, market: Market) -> Pipeline:
    """The pipeline with features of variance on a market, with one leak in it."""
    clean = honest(market, variance=True)
    described = clean.describe
    makers: dict[str, Callable[[], Pipeline]] = {
        "next bar's range": lambda: replace(
            clean, describe=with_column(described, "variance_ratio_1", _next_range)
        ),
        "centred window (variance)": lambda: replace(
            clean, describe=with_column(described, "variance_ratio_5", _centred_range)
        ),
        "full-sample scaler (variance)": lambda: replace(
            clean, describe=lambda panel: _scaled_variances(described(panel))
        ),
        "full-sample scaler (widths)": lambda: replace(
            clean, train=lambda kind, part: clean.train(kind, scaled_examples(part))
        ),
        "market average of a later close": lambda: replace(
            clean, describe=lambda panel: _averaged_over_the_date(described(panel))
        ),
        "full-sample variance (target)": lambda: replace(
            clean, describe=lambda panel: _target_of_all_rows(described(panel))
        ),
    }
    return makers[name]()


def _range(panel: "pd.DataFrame") -> "pd.Series":
    """Log of the squared range of every bar."""
    return cast("pd.Series", np.log(np.square(np.log(panel["high"] / panel["low"])) + 1e-8))


def _next_range(panel: "pd.DataFrame") -> "pd.Series":
    return _range(panel).groupby(panel["symbol"], sort=False).shift(-1)


def _centred_range(panel: "pd.DataFrame") -> "pd.Series":
    return (
        _range(panel)
        .groupby(panel["symbol"], sort=False)
        .transform(lambda own: own.rolling(5, center=True, min_periods=1).mean())
    )


def _scaled_variances(table: "FeatureTable") -> "FeatureTable":
    values = table.values.copy()
    columns = [place for place, name in enumerate(table.names) if "variance_ratio_" in name]
    own = values[:, columns]
    values[:, columns] = (own - np.nanmean(own, axis=0)) / np.nanstd(own, axis=0)
    return replace(table, values=values)


def _averaged_over_the_date(table: "FeatureTable") -> "FeatureTable":
    values = table.values.copy()
    own = values[:, table.names.index("variance_ratio_1")]
    _, place = np.unique(table.sessions, return_inverse=True)
    known = np.isfinite(own)
    count = np.bincount(place[known], minlength=place.max() + 1)
    total = np.bincount(place[known], own[known], minlength=place.max() + 1)
    values[:, table.names.index("market_variance_ratio_1")] = (total / np.maximum(count, 1))[place]
    return replace(table, values=values)


def _target_of_all_rows(table: "FeatureTable") -> "FeatureTable":
    return replace(table, variance=table.variance / np.nanmean(table.variance))
