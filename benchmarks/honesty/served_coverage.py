"""Served intervals: one bundle serves the second half of each bundled history, recalibrated or not."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty import bundled
from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Plot, Size, Table, Workers
from forecasting.report.plots import Theme, styled_axes, styled_legend

BAND: Final = (0.87, 0.93)
KINDS: Final = ("random_walk", "ridge", "har_combination")
WIDTH: Final = "har"
HORIZONS: Final = (1, 5, 10, 30)
THIRDS: Final = ("calm", "middle", "storm")
SEED: Final = 7
WAYS: Final = ("recalibrated weekly", "as trained")


@dataclass(frozen=True)
class Served:
    """What one bundle's intervals came to.

    Attributes:
        trained_until, last: ISO dates.
        known: outcomes per horizon [H].
        inside: way -> of these inside the 90 % interval [H].
        by_third: way -> coverage one bar ahead in calm, middle and storm.
        by_quarter: way -> coverage one bar ahead of each quarter of a year, oldest first.
    """

    trained_until: str
    last: str
    known: NDArray[np.int64]
    inside: dict[str, NDArray[np.int64]]
    by_third: dict[str, list[float]]
    by_quarter: dict[str, list[float]]

    def coverage(self, way: str) -> NDArray[np.float64]:
        """Share inside per horizon [H]."""
        return self.inside[way] / self.known


def serve(item: tuple[str, str]) -> Served:
    """Train on the first half, then serve the second with that bundle."""
    from forecasting.adapters.recalibration import recalibrated
    from forecasting.bundle.bundle import load_bundle, write_bundle
    from forecasting.evaluation.conditional_coverage import scale_thirds
    from forecasting.features.targets import SignalRule
    from forecasting.features.variance import DECAYS, WINDOWS
    from forecasting.instants import to_datetime
    from forecasting.models.parts import takes_width
    from forecasting.models.quantiles import grid_columns, interpolation_matrix, widths_of
    from forecasting.models.training import TrainingConfig, train_on_examples

    universe, kind = item
    widths: dict[str, Any] = {"variance": WINDOWS, "decays": DECAYS}
    whole = bundled.examples_of(universe, **widths)
    middle = to_datetime(int(np.median(np.unique(whole.timestamps))))
    learned = bundled.examples_of(universe, **widths, until=middle)
    params = {"width": WIDTH} if takes_width(kind) else {}
    trained = train_on_examples(kind, learned, TrainingConfig(params=params, seed=SEED), threads=1)
    last = to_datetime(int(learned.timestamps.max()))
    with TemporaryDirectory() as folder:
        write_bundle(
            Path(folder) / "bundle",
            trained,
            bundled.specification(universe, **widths),
            training={"last": last.isoformat()},
            signal=SignalRule(),
        )
        bundle = load_bundle(Path(folder) / "bundle")
    renewed, _ = recalibrated(bundle, whole, [])
    thirds = scale_thirds(whole.scale, whole.codes, whole.timestamps)
    after = np.flatnonzero(whole.timestamps > learned.timestamps.max())
    rows, thirds = whole.rows(after), thirds[after]
    weights = interpolation_matrix(bundle.max_horizon, bundle.table.knots)
    loc, log_width = bundle.predict(rows.x)
    residuals = rows.standardised() - loc @ weights
    if log_width is not None:
        residuals = residuals / widths_of(log_width, weights)
    half = bundle.calibration[:, int(grid_columns((0.95,), bundle.table.grid.tolist())[0])]
    place = np.searchsorted(renewed.instants, rows.timestamps, side="right") - 1
    limits = {
        WAYS[0]: half * np.exp(renewed.path[place]),
        WAYS[1]: np.broadcast_to(half, residuals.shape),
    }
    known = np.isfinite(residuals)
    quarter = (rows.timestamps - rows.timestamps.min()) // (91 * 86_400 * 10**9)
    inside = {way: known & (np.abs(residuals) <= limit) for way, limit in limits.items()}

    def shares(way: str, groups: NDArray[np.integer[Any]], count: int) -> list[float]:
        chosen = known[:, 0] & (groups >= 0)
        total = np.bincount(groups[chosen], minlength=count)
        held = np.bincount(groups[chosen & inside[way][:, 0]], minlength=count)
        return [float(share) for share in held / np.maximum(total, 1)]

    return Served(
        f"{last:%Y-%m-%d}",
        f"{to_datetime(int(rows.timestamps.max())):%Y-%m-%d}",
        known.sum(axis=0),
        {way: held.sum(axis=0) for way, held in inside.items()},
        {way: shares(way, thirds, 3) for way in WAYS},
        {way: shares(way, quarter, int(quarter.max()) + 1) for way in WAYS},
    )


def run(size: Size, workers: Workers, seed: int) -> Outcome:  # noqa: ARG001 - nothing here is random
    """Count outcomes inside the intervals of bundles that are served for years."""
    items = list(bundled.pairs(KINDS)) if size == "full" else [("indices", "random_walk")]
    served = dict(zip(items, workers.map(serve, items, "served halves"), strict=True))
    return Outcome(_findings(served), _story(served), _data(served))


def _findings(served: dict[tuple[str, str], Served]) -> list[Finding]:
    found = []
    for universe in dict.fromkeys(universe for universe, _ in served):
        for way in WAYS:
            shares = np.stack(
                [one.coverage(way) for (of, _), one in served.items() if of == universe]
            )
            promised = f"{BAND[0]:.0%} to {BAND[1]:.0%}" if way == WAYS[0] else ""
            held = bool(((shares >= BAND[0]) & (shares <= BAND[1])).all())
            found.append(
                Finding(
                    f"{universe}, {way}: 90 % interval, least and most over all horizons and candidates",
                    f"{shares.min():.1%} to {shares.max():.1%}",
                    promised,
                    held or not promised,
                )
            )
    return found


def _story(served: dict[tuple[str, str], Served]) -> list[str | Table | Plot]:
    heads = [
        "data",
        "candidate",
        "served",
        *(f">{h} bars" for h in HORIZONS),
        *(f">{t}" for t in THIRDS),
    ]
    rows = [
        [
            universe if way == WAYS[0] else "",
            kind if way == WAYS[0] else "",
            way,
            *(f"{one.coverage(way)[h - 1]:.1%}" for h in HORIZONS),
            *(f"{share:.1%}" for share in one.by_third[way]),
        ]
        for (universe, kind), one in served.items()
        for way in WAYS
    ]
    spans = "; ".join(
        f"{universe} {one.trained_until} to {one.last}"
        for (universe, kind), one in served.items()
        if kind == KINDS[0]
    )
    return [
        (
            "The other sections count walks, in which models are fitted anew. Here one bundle, written, "
            "read back and never trained again, serves every bar of the second half of a history "
            f"({spans}), as when years of trainings refuse every challenger. Once a week the function "
            "that the recalibrate step calls renews its stretch from outcomes known by then."
        ),
        (
            "Coverage of the 90 % interval by horizon, and one bar ahead by third of a symbol's "
            "volatility over its last year. No finding is promised by third: a stretch is one for all "
            "rows, so what a width misjudges in storm stays misjudged."
        ),
        Table(heads, rows),
        Plot("quarters", "Coverage one bar ahead of each quarter of a year: recalibrated weekly (solid) and as trained (dotted).",
             lambda figure, theme: _paint(figure, theme, served)),
    ]  # fmt: skip


def _data(served: dict[tuple[str, str], Served]) -> dict[str, Any]:
    return {
        f"{universe} {kind}": {
            way: {
                "coverage": one.coverage(way).round(4).tolist(),
                "thirds": np.round(one.by_third[way], 4).tolist(),
            }
            for way in WAYS
        }
        for (universe, kind), one in served.items()
    }


def _paint(figure: Any, theme: Theme, served: dict[tuple[str, str], Served]) -> None:
    axes = styled_axes(figure, theme, "quarters of a year after the training", "inside (%)")
    axes.axhspan(100 * BAND[0], 100 * BAND[1], color=theme.ink, alpha=0.08, linewidth=0)
    chosen = [item for item in served if item[1] == KINDS[-1]] or list(served)
    for place, item in enumerate(chosen):
        for way, dashes in zip(WAYS, ("-", ":"), strict=True):
            shares = 100 * np.array(served[item].by_quarter[way])
            label = item[0] if way == WAYS[0] else None
            axes.plot(
                np.arange(1, len(shares) + 1), shares, dashes, color=theme.hues[place], label=label
            )
    styled_legend(axes, theme, loc="lower right")


EXPERIMENT: Final = Experiment(
    name="served_coverage",
    title="Served intervals",
    question=(
        "A version may be served for years while no challenger beats it. Do its 90 % intervals hold "
        "90 % of outcomes all the while, as they are served: by one bundle, recalibrated weekly?"
    ),
    run=run,
)
