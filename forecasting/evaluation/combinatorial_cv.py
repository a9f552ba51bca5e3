"""Combinatorial purged cross-validation: skill over many paths, for robustness, not for gates.

A walk-forward tells one story, and luck may have written it. Here every pair of test spans is held
out in turn and the model learns from what lies before, between and after them; recombined, the
held-out forecasts make several whole paths, and skill has a distribution. As the models learn from
later bars too, this says how much the one story depends on its order, not what would have been
earned: promotion rests on the walk-forward alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants, Rows
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.evaluation.losses import mean_pinball
from forecasting.models.candidates import NULLS, make_forecaster
from forecasting.models.conformal import Recalibrated, Schedule, recalibrate
from forecasting.models.cross_validation import Fold, label_ends
from forecasting.models.parts import Part, PartFeatures, columns_of_parts, named_columns, parts_of
from forecasting.models.quantiles import KNOTS, grid_columns, interpolation_matrix, widths_of
from forecasting.models.shrinkage import shrink_walk
from forecasting.models.training_set import Examples, at_knots
from forecasting.schema import MAX_HORIZON, QUANTILE_LEVELS

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Combination:
    """One way to hold spans out.

    Attributes:
        train: rows to learn from: none shares a bar with a label of the spans held out.
        test_spans: numbers of the spans held out, from 0.
    """

    train: Rows
    test_spans: tuple[int, ...]


@dataclass(frozen=True)
class Combinations:
    """All ways to hold some of the spans out.

    Attributes:
        spans: rows of each span, oldest first.
        splits: the ways.
        paths: [P, spans] for each path and span, which split's forecasts it takes.
    """

    spans: tuple[Rows, ...]
    splits: tuple[Combination, ...]
    paths: NDArray[np.intp]


@dataclass(frozen=True)
class PathSkill:
    """Skill of one candidate against the random walk on every path.

    Attributes:
        kind: the candidate.
        skills: [P] 1 - loss / the random walk's on the same rows; see `forecasting.evaluation.loss_sums` for
            the loss.
        fits: how many models were fitted.
    """

    kind: str
    skills: Floats
    fits: int


def need_skfolio() -> None:
    """Refuse what cannot be done without skfolio, before anything was trained for it.

    Raises:
        InvalidSettings: skfolio is not installed.
    """
    if find_spec("skfolio") is None:
        raise InvalidSettings(
            "combinatorial splits need the package skfolio",
            "it is not installed",
            "Install the extra: pip install 'bellwether[combinatorial]'",
        )


def combinations(
    timestamps: Instants,
    codes: NDArray[np.int32],
    *,
    spans: int = 6,
    held_out: int = 2,
    purge_bars: int = MAX_HORIZON,
    embargo_bars: int = 5,
) -> Combinations:
    """Hold out every choice of `held_out` of `spans` equal stretches of the instants.

    Spans, choices and paths are those of skfolio's CombinatorialPurgedCV (Lopez de Prado 2018,
    "Advances in Financial Machine Learning", ch. 12). The purge is ours, for skfolio counts rows
    where a panel needs each symbol's own bars: a training row before a held-out span must have
    its label and `embargo_bars` more closed when the span begins; one behind it must begin
    `embargo_bars` of its own bars after the last label of the span has closed.

    Args:
        timestamps: [n] bar closes, int64 ns.
        codes: [n] symbol of each row.
        spans: how many stretches.
        held_out: how many of them are held out at a time.
        purge_bars: bars a label reaches into the future.
        embargo_bars: further bars left out.

    Raises:
        InvalidSettings: skfolio is not installed, or the numbers make no sense.
        ShortHistory: a split has nothing to learn from.
    """
    need_skfolio()
    if not 2 <= held_out < spans or purge_bars < 0 or embargo_bars < 0:
        raise InvalidSettings(
            "combinatorial splits hold out at least 2 of more spans and purge 0 or more bars",
            f"{held_out} of {spans}, purge_bars {purge_bars}, embargo_bars {embargo_bars}",
        )
    from skfolio.model_selection import (  # type: ignore[import-untyped]
        CombinatorialPurgedCV,
    )

    instants, place = np.unique(timestamps, return_inverse=True)
    if len(instants) < 3 * spans:
        raise ShortHistory(
            f"{spans} spans need at least {3 * spans} instants",
            f"{len(instants)}",
            "Give a longer history, or ask for fewer spans",
        )
    scheme = CombinatorialPurgedCV(n_folds=spans, n_test_folds=held_out)
    tests = [parts for _, parts in scheme.split(np.zeros((len(instants), 1)))]
    chosen = [tuple(int(number) for number in row) for row in scheme.test_set_index]
    bounds = {
        number: (int(part[0]), int(part[-1]))
        for numbers, parts in zip(chosen, tests, strict=True)
        for number, part in zip(numbers, parts, strict=True)
    }
    rows_of = tuple(
        np.flatnonzero((place >= bounds[number][0]) & (place <= bounds[number][1]))
        for number in range(spans)
    )
    label = label_ends(timestamps, codes, purge_bars)
    closes = label_ends(timestamps, codes, purge_bars + embargo_bars)
    begins = -label_ends(-timestamps, codes, embargo_bars)
    splits = []
    for numbers in chosen:
        free = np.ones(len(timestamps), dtype=np.bool_)
        for number in numbers:
            rows = rows_of[number]
            start, stop = timestamps[rows].min(), timestamps[rows].max()
            known = label[rows][label[rows] < _NEVER]
            last = known.max() if len(known) else stop
            before = (timestamps < start) & (closes < start)
            behind = (timestamps > stop) & (begins > max(last, stop))
            free &= before | behind
        train = np.flatnonzero(free)
        if not len(train):
            raise ShortHistory(
                "every split needs rows to learn from",
                f"holding out spans {', '.join(str(number + 1) for number in numbers)} of {spans} "
                "leaves none",
                "Give a longer history, or ask for fewer spans",
            )
        splits.append(Combination(train, numbers))
    return Combinations(
        rows_of, tuple(splits), np.asarray(scheme.recombined_paths, dtype=np.intp).T
    )


def skill_over_paths(
    kind: str,
    examples: Examples,
    *,
    params: Mapping[str, Any] | None = None,
    features: PartFeatures = (),
    spans: int = 6,
    held_out: int = 2,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> PathSkill:
    """Skill of a candidate on every path; intervals are calibrated along each path as ever.

    The first span of a path only feeds the calibration, as in a walk-forward.

    Args:
        kind: the candidate.
        examples: rows to learn from and to forecast.
        params: its parameters.
        features: names of those that each of its parts takes; empty: all it can learn from.
        spans: see `combinations`.
        held_out: see `combinations`.
        seed: of everything random.
        threads: for the library.
        progress: called with a few words about what is being done.

    Raises:
        InvalidSettings: skfolio is not installed, or an argument makes no sense.
        ShortHistory: the history is too short for the spans.
    """
    combined = combinations(examples.timestamps, examples.codes, spans=spans, held_out=held_out)
    z = examples.standardised()
    parts = parts_of(kind, params or {})
    forecasts = [
        _forecast_spans(
            part, columns, examples, z, combined, seed=seed, threads=threads, progress=progress
        )
        for part, columns in zip(
            parts, columns_of_parts(parts, examples.names, features), strict=True
        )
    ]
    steps = _as_walk(examples, combined.spans)
    schedule = Schedule.of(examples.timestamps, examples.codes, steps, MAX_HORIZON)
    null = np.zeros((len(examples), len(KNOTS)))
    par = _loss(z, null, recalibrate(z, null, steps, schedule))
    skills = []
    for path in combined.paths:
        loc, log_width = null, None
        for part, forecast in zip(parts, forecasts, strict=True):
            predicted = np.full((len(examples), len(KNOTS)), np.nan)
            for span, number in enumerate(path):
                predicted[combined.spans[span]] = forecast[int(number), span]
            shrunk = predicted
            if part.kind not in NULLS:
                shrunk, _ = shrink_walk(
                    predicted,
                    at_knots(z),
                    examples.timestamps,
                    examples.codes,
                    steps,
                    widths=part.widths,
                )
            loc, log_width = (loc, shrunk) if part.widths else (shrunk, log_width)
        own = recalibrate(z, loc, steps, schedule, log_width)
        skills.append(1 - _loss(z, loc, own, log_width) / par)
    return PathSkill(kind, np.array(skills), len(combined.splits))


def _forecast_spans(
    part: Part,
    columns: NDArray[np.intp],
    examples: Examples,
    z: NDArray[np.floating],
    combined: Combinations,
    *,
    seed: int,
    threads: int | None,
    progress: Callable[[str], None] | None,
) -> dict[tuple[int, int], Floats]:
    """What the model of each combination predicts of the spans it was not given."""
    targets = examples.targets(part.kind, z)
    x, names = examples.x[:, columns], named_columns(examples.names, columns)
    forecast: dict[tuple[int, int], Floats] = {}
    for number, split in enumerate(combined.splits):
        if progress:
            progress(f"{part.kind}: combination {number + 1} of {len(combined.splits)}")
        model = make_forecaster(part.kind, part.given, threads=threads, names=names)
        model.fit(x[split.train], targets[split.train], seed=seed)
        for span in split.test_spans:
            forecast[number, span] = model.predict(x[combined.spans[span]])
    return forecast


def _as_walk(examples: Examples, spans: tuple[Rows, ...]) -> list[Fold]:
    """The spans as steps of a walk, for the calibration: it never sees what is not known yet."""
    times = examples.timestamps
    closes = label_ends(times, examples.codes, MAX_HORIZON)
    edges = [int(times[rows].min()) for rows in spans] + [int(times.max()) + 1]
    steps = []
    for number, rows in enumerate(spans):
        known = np.flatnonzero(closes < edges[number])
        steps.append(Fold(number + 1, known, rows, edges[number], edges[number + 1]))
    return steps


def _loss(
    z: NDArray[np.floating], loc: Floats, walked: Recalibrated, log_width: Floats | None = None
) -> float:
    """Mean pinball loss of standardised returns over rows and horizons, weighted 1/h."""
    weights, columns = interpolation_matrix(z.shape[1]), grid_columns(QUANTILE_LEVELS)
    evidence = 1.0 / np.arange(1.0, z.shape[1] + 1)
    total = count = 0.0
    for rows, calibration in walked.spans:
        residual = z[rows] - loc[rows] @ weights
        known = np.isfinite(residual)
        quantiles = calibration[:, columns]
        if log_width is not None:
            quantiles = widths_of(log_width[rows], weights)[:, :, None] * quantiles
        losses = np.asarray(mean_pinball(residual, quantiles))
        total += float(np.where(known, losses, 0.0).sum(axis=0) @ evidence)
        count += float(known.sum(axis=0) @ evidence)
    return total / count
