"""Reproducibility experiment: digests of bundles trained in other processes and environments."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.honesty.experiment import Experiment, Finding, Outcome, Size, Table, Workers

TOP = Path(__file__).resolve().parent.parent.parent
OWN = ("random_walk", "ridge", "random_forest", "xgboost")
EXTRAS = ("lightgbm", "catboost")


@dataclass(frozen=True)
class Training:
    """What one process trains.

    Attributes:
        kinds: candidates.
        until: last date that is learned from; "" for all.
        folds: test spans.
        searched: whether parameters are searched and features selected.
        symbols: 0 for the bundled shares through the pipeline's own steps; else so many made-up
            ones over ten years, which is where boosters begin to share work among threads.
        seed: of everything random.
    """

    kinds: tuple[str, ...]
    until: str = ""
    folds: int = 3
    searched: bool = False
    symbols: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Place:
    """Where a process trains: all that must not matter.

    Attributes:
        name: in words.
        threads: for libraries, and for OpenMP and BLAS.
        hash_seed: PYTHONHASHSEED.
        environment: further variables of its environment.
    """

    name: str
    threads: int = 1
    hash_seed: str = "0"
    environment: Mapping[str, str] = field(default_factory=dict)


PLACES = (
    Place("one thread"),
    Place("the same again"),
    Place("the same a third time"),
    Place("two threads", threads=2),
    Place("another hash seed", hash_seed="4711"),
    Place(
        "two threads, random hashes, Tokyo time, C locale",
        threads=2,
        hash_seed="random",
        environment={"TZ": "Asia/Tokyo", "LC_ALL": "C"},
    ),
)


def train_elsewhere(item: tuple[Training, Place]) -> dict[str, Any]:
    """What a process of its own came to: digests by candidate, and seconds."""
    training, place = item
    count = str(place.threads)
    variables = {
        **os.environ,
        "PYTHONHASHSEED": place.hash_seed,
        "BELLWETHER_STEP_THREADS": count,
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), count),
        **place.environment,
    }
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as state:
        ran = subprocess.run(
            [sys.executable, "-m", __name__, json.dumps(asdict(training)), count],
            env={**variables, "BELLWETHER_STATE_DIR": state, "PYTHONPATH": str(TOP)},
            cwd=state,
            capture_output=True,
            text=True,
            check=False,
        )
    if ran.returncode:
        raise RuntimeError(f"{training} at {place.name}: {ran.stderr[-2_000:]}")
    digests = json.loads(ran.stdout.splitlines()[-1])
    return {"place": place.name, "digests": digests, "seconds": time.perf_counter() - begun}


@dataclass
class Artifact:
    """What a step writes to, with words about it."""

    path: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def log_metric(self, metric: str, value: float) -> None:
        self.metadata[metric] = value


def by_the_steps(training: Training) -> dict[str, str]:
    """Ingest, features and train as the pipeline does it, from an empty lake."""
    from components.features.step import run as describe
    from components.train.step import run as train
    from forecasting.adapters.ingest import ingest_prices
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.market.providers.sample import SampleSource
    from forecasting.settings import Settings

    settings = Settings()
    folder = Path(settings.state_dir)
    ingested = ingest_prices(
        SampleSource(universe="classic"),
        Lake(settings.lake),
        "default",
        symbols=("AAPL", "IBM"),
        interval="1d",
        last_good_days=7,
    )
    table = Artifact(str(folder / "table"))
    describe(
        snapshot=ingested.snapshot.id,
        dataset="default",
        symbols="",
        train_until=training.until,
        candidates=training.kinds,
        width="har",
        table=table,
        reference=Artifact(str(folder / "reference")),
    )
    digests = {"snapshot": ingested.snapshot.id, "training table": _file(table.path)}
    for kind in training.kinds:
        bundle, forecasts = (Artifact(str(folder / f"{kind}-{name}")) for name in "bf")
        train(
            candidate=kind,
            table=table,
            seed=training.seed,
            width="har",
            folds=training.folds,
            tuning_trials=3 if training.searched else 0,
            select_features=training.searched,
            combinatorial=0,
            bundle=bundle,
            out_of_sample=forecasts,
            metrics=Artifact(str(folder / f"{kind}-metrics")),
        )
        digests[kind] = bundle.metadata["digest"]
        digests[f"{kind}: walk-forward forecasts"] = _file(forecasts.path)
    return digests


def wide(training: Training, threads: int) -> dict[str, str]:
    """Few trees on more rows than the boosters train on with one thread only."""
    from benchmarks.honesty.markets import garch
    from forecasting.bundle.bundle import write_bundle
    from forecasting.features.build import FeatureSpec, build_features
    from forecasting.features.targets import SignalRule, horizon_returns
    from forecasting.models.training import TrainingConfig, train_on_examples
    from forecasting.models.training_set import Examples

    prices = garch([f"W{number:02d}" for number in range(training.symbols)], 5, bars=2_520)
    spec = FeatureSpec(symbols=tuple(prices["symbol"].unique()))
    table, returns = build_features(prices, spec), horizon_returns(prices, range(1, 31))
    digests = {}
    for kind in training.kinds:
        trees = {"iterations": 12} if kind == "catboost" else {"n_estimators": 12}
        trained = train_on_examples(
            kind,
            Examples.of(table, returns),
            TrainingConfig(params=trees, seed=training.seed, folds=training.folds),
            threads=threads,
        )
        with tempfile.TemporaryDirectory() as folder:
            info = write_bundle(
                Path(folder) / "bundle", trained, spec, training={}, signal=SignalRule()
            )
        digests[kind] = info.digest
    return digests


def _file(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def run(size: Size, workers: Workers, seed: int) -> Outcome:
    full = size == "full"
    kinds = (*OWN, *EXTRAS) if full else OWN
    plain = (
        Training(kinds, "2007-12-31", 3, seed=seed)
        if full
        else Training(kinds, "2002-12-31", 2, seed=seed)
    )
    places = PLACES if full else (PLACES[0], PLACES[-1])
    plans = [("bundled shares, by the pipeline's steps", plain, place) for place in places]
    if full:
        searched = Training(("ridge", "xgboost"), "2005-12-31", 2, searched=True, seed=seed)
        plans += [
            ("the same with search and selection", searched, place)
            for place in (PLACES[0], PLACES[-1])
        ]
        trees = Training((*OWN[2:], *EXTRAS), folds=2, symbols=25, seed=seed)
        plans += [("63,000 bars of 25 symbols", trees, place) for place in (PLACES[0], PLACES[3])]
    ran = workers.map(train_elsewhere, [plan[1:] for plan in plans], "trainings elsewhere")
    made: dict[tuple[str, str], list[str]] = {}
    for (what, *_), result in zip(plans, ran, strict=True):
        for name, digest in result["digests"].items():
            made.setdefault((what, name), []).append(digest)
    apart = [key for key, digests in made.items() if len(set(digests)) > 1]
    bundles = sum(len(digests) for (_, name), digests in made.items() if name in kinds)
    rows = [
        [what, name, str(len(digests)), str(len(set(digests))), f"`{digests[0][:12]}`"]
        for (what, name), digests in made.items()
    ]
    where = [
        [what, result["place"], f"{result['seconds']:.0f}"]
        for (what, *_), result in zip(plans, ran, strict=True)
    ]
    return Outcome(
        [
            Finding(
                "bundles, tables and forecasts that came out in more than one way",
                f"{len(apart)} of {len(made)} ({bundles} bundles trained in {len(ran)} processes)",
                "0",
                not apart,
            )
        ],
        story=(
            (
                "Every training below ran in a process of its own, from an empty lake that fetched the "
                "prices anew. The digest is the one the registry holds: the SHA-256 of a manifest that "
                "holds the SHA-256 of every file."
            ),
            Table(("data", "what", ">made", ">different", "SHA-256"), rows),
            Table(("data", "where", ">seconds"), where),
            (
                "Why threads do not matter: the forest grows each tree from a seed of its own and adds "
                "trees up in their order; ridge solves with one BLAS thread; LightGBM runs in its "
                "deterministic mode; XGBoost and CatBoost add up gradients in doubles, and no order in "
                "which threads did so has changed a leaf yet: measured here, promised by neither. The "
                "manifest names the versions of all packages: other versions are another digest."
            ),
        ),
        data={"runs": ran, "differ": [list(key) for key in apart]},
    )


EXPERIMENT = Experiment(
    name="reproducibility",
    title="Reproducibility",
    question="The same data, seed and packages are trained from in other processes, with other "
    "numbers of threads, hash seeds, time zones and locales. Is the bundle the same, byte for byte?",
    run=run,
)


if __name__ == "__main__":
    fields = json.loads(sys.argv[1])
    training = Training(**{**fields, "kinds": tuple(fields["kinds"])})
    digests = wide(training, int(sys.argv[2])) if training.symbols else by_the_steps(training)
    print(json.dumps(digests))
