"""Decisions of the promotion gate on markets whose variance is known, for candidates and an oracle."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.promotion_trials import Judged, judged
from benchmarks.honesty.variance_markets import variance_market

if TYPE_CHECKING:
    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.models.training_set import Examples

ORACLE: Final = "oracle"
WIDTH: Final = "har"
"""What candidates that learn a location take for their width."""
FOLDS: Final = 4


@dataclass(frozen=True)
class Panel:
    """A market on which candidates are trained.

    Attributes:
        market: a key of `variance_markets.KINDS`.
        candidates: kinds besides the random walk.
        symbols: number of symbols.
        bars: bars per symbol, of which the walk-forward tests about 58 %.
        seed: of everything.
    """

    market: str
    candidates: tuple[str, ...]
    symbols: int
    bars: int
    seed: np.random.SeedSequence


@dataclass(frozen=True)
class Trial:
    """What the gate decided on a panel: on the candidates, and on the oracle alone."""

    candidates: Judged
    oracle: Judged


@dataclass(frozen=True)
class Learnable:
    """A panel's rows to learn from, and what an oracle knows of them.

    Attributes:
        examples: n rows.
        ahead: expected variances [n, H] of the returns over the next 1..H bars.
    """

    examples: "Examples"
    ahead: NDArray[np.float64]


def learnable(panel: Panel) -> Learnable:
    """Simulate a panel and describe it, with features of variance where a candidate needs them."""
    from forecasting.features.build import build_features
    from forecasting.features.spec import FeatureSpec
    from forecasting.features.targets import horizon_returns
    from forecasting.features.variance import DECAYS, WINDOWS
    from forecasting.models.parts import need_variance
    from forecasting.models.training_set import Examples
    from forecasting.schema import MAX_HORIZON

    market = variance_market(panel.market, symbols=panel.symbols, bars=panel.bars, seed=panel.seed)
    wide = need_variance(panel.candidates, WIDTH)
    spec = FeatureSpec(
        symbols=tuple(market.prices["symbol"].unique()),
        variance=WINDOWS if wide else (),
        decays=DECAYS if wide else (),
    )
    table = build_features(market.prices, spec)
    returns = horizon_returns(market.prices, range(1, MAX_HORIZON + 1)).astype(np.float32)
    examples = Examples.of(table, returns)
    bar = np.searchsorted(np.unique(table.timestamps), examples.timestamps)
    return Learnable(examples, market.ahead[bar, examples.codes])


def judge_panel(panel: Panel) -> Trial:
    """Train the candidates and the random walk on a panel, evaluate and decide."""
    from forecasting.models.candidates import NULL_MODEL
    from forecasting.models.parts import takes_width
    from forecasting.models.training import TrainingConfig, train_on_examples

    rows = learnable(panel)
    forecasts, trials = {}, {}
    for kind in (NULL_MODEL, *panel.candidates):
        params = {"width": WIDTH} if takes_width(kind) else {}
        config = TrainingConfig(params=params, seed=7, folds=FOLDS)
        trained = train_on_examples(kind, rows.examples, config, threads=1)
        forecasts[kind], trials[kind] = trained.out_of_sample, trained.trials
    null = forecasts[NULL_MODEL]
    oracle = oracle_forecasts(null, rows.examples, rows.ahead)
    return Trial(judged(forecasts, trials), judged({NULL_MODEL: null, ORACLE: oracle}, {ORACLE: 1}))


def oracle_forecasts(
    null: "OutOfSample", examples: "Examples", ahead: NDArray[np.float64]
) -> "OutOfSample":
    """Forecasts whose width is the expected deviation of every horizon's return, median 0.

    Everything else is the random walk's: folds, and the calibration week by week, of returns in
    units of that deviation instead of the scale.

    Args:
        null: the random walk's forecasts.
        examples: the n rows it was trained on, in `FOLDS` folds.
        ahead: expected variances [n, H] of the returns over the next 1..H bars.
    """
    from forecasting.models.conformal import Schedule, recalibrate
    from forecasting.models.cross_validation import walk_forward
    from forecasting.models.knot_forecasts import percent_ranks
    from forecasting.models.quantiles import KNOT_COLUMNS, KNOTS, grid_columns

    deviation = np.sqrt(ahead)
    steps = walk_forward(examples.timestamps, examples.codes, folds=FOLDS)
    schedule = Schedule.of(examples.timestamps, examples.codes, steps, ahead.shape[1])
    nowhere = np.zeros((len(examples), len(KNOTS)))
    calibrated = recalibrate(examples.returns / deviation, nowhere, steps, schedule)
    published = grid_columns(null.levels)
    quantiles = np.empty((len(examples), *null.quantiles.shape[1:]), dtype=np.float32)
    ranks = np.empty((len(examples), len(KNOTS)), dtype=np.uint8)
    residual = (examples.returns / deviation)[:, KNOT_COLUMNS]
    for rows, calibration in calibrated.spans:
        quantiles[rows] = deviation[rows][..., None] * calibration[:, published]
        ranks[rows] = percent_ranks(calibration[KNOT_COLUMNS], residual[rows])
    tested = np.sort(np.concatenate([step.test for step in steps[1:]]))
    return replace(
        null,
        kind=ORACLE,
        quantiles=quantiles[tested],
        variance=ahead[tested][:, KNOT_COLUMNS].astype(np.float32),
        ranks=ranks[tested],
    )
