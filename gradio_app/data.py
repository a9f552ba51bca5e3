"""What the page asks of the platform: the adapters, joined into the page's records.

Every method either returns records or raises one of `forecasting.errors`; views say it in words.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from forecasting.adapters.drift.history import DriftHistory
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.prediction_log.log import LoggedForecast, PredictionLog
from forecasting.adapters.registry.ledger import Ledger, Promotion
from forecasting.adapters.registry.reader import CHALLENGER, CHAMPION, VersionRecord
from forecasting.adapters.registry.runs import REPORT, RegistryRuns
from forecasting.drift.summary import DriftSummary
from forecasting.errors import (
    BellwetherError,
    InvalidSettings,
    NotReady,
    Unavailable,
    UnknownSymbol,
)
from forecasting.evaluation.promotion_outcome import RUN_TAG, PromotionOutcome
from forecasting.features.online import ServedFeatures
from forecasting.live.scores import RealisedPoint
from forecasting.settings import Settings
from gradio_app.facts import Forecast, ModelCard, Provenance, Status
from gradio_app.records import card_of, forecast_of, split_adjusted, trouble_in_words

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.adapters.inference import InferenceClient
    from forecasting.adapters.lake.snapshot import Snapshot

HISTORY_BARS: Final = 120
FEED_ROWS: Final = 100
DRIFT_RUNS: Final = 200
_FRESH_SECONDS: Final = 4.0
"""How long an answer of the registry or the lake may be shown to the next reader."""

T = TypeVar("T")

_LOG = logging.getLogger(__name__)


@dataclass
class Desk:
    """Everything the page can ask. Nothing is contacted before the first question.

    Attributes:
        settings: where things are.
        client: the model server, over V2.
        registry: versions, scores and reports.
        ledger: the audit trail of promotions.
        log: the prediction log.
        lake: prices and served features.
        drift: what the drift job found.
    """

    settings: Settings
    client: "InferenceClient"
    registry: RegistryRuns
    ledger: Ledger
    log: PredictionLog
    lake: Lake
    drift: DriftHistory
    _last_datasets: tuple[str, ...] = ()
    _held: dict[str, "_Held"] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "Desk":
        """The adapters at the addresses of the settings."""
        from forecasting.adapters.inference import InferenceClient

        model = settings.registered_model
        return cls(
            settings,
            InferenceClient.of(settings),
            RegistryRuns(settings.registry_url, model, timeout_seconds=5.0),
            Ledger(settings.prediction_log),
            PredictionLog(settings.prediction_log),
            Lake(settings.lake),
            DriftHistory(settings.lake),
        )

    def close(self) -> None:
        """Let go of connections."""
        self.client.close()
        self.registry.close()
        self.ledger.close()
        self.log.close(0.0)

    @property
    def prefix(self) -> str:
        """Path the page is reached under, without a slash at its end; "" for none."""
        path = self.settings.page_root_path.strip("/")
        return f"/{path}" if path else ""

    # the forecast

    def require_ready(self) -> None:
        """Say why there is nothing to forecast yet.

        Raises:
            ServerUnavailable: the model server cannot be reached.
            NotReady, StaleData: it is there, and cannot answer.
        """
        if (trouble := self._trouble()) is not None:
            raise trouble

    def _trouble(self) -> BellwetherError | None:
        """What keeps the model server from answering, or None."""
        try:
            return self.client.why_not_ready()
        except BellwetherError as error:
            return error

    def forecast(self, symbol: str, days: int, version: str = "") -> Forecast:
        """Ask the model server.

        Args:
            symbol: as typed.
            days: bars ahead, 1..30.
            version: a model version, or "" for the champion.

        Raises:
            UnknownSymbol, StaleData, RateLimited, NotReady, ServerUnavailable, ...
        """
        wanted = symbol.strip()
        if not wanted:
            raise UnknownSymbol("a forecast needs a symbol", "", "Pick one, or type one")
        began = time.perf_counter()
        answers = self.client.forecast(
            [wanted], horizon=days, version=version or None, baseline=True
        )
        return forecast_of(answers[0], time.perf_counter() - began)

    def history(self, forecast: Forecast, bars: int = HISTORY_BARS) -> "pd.DataFrame":
        """The last bars up to the forecast's origin: timestamp, close; empty if not in the lake.

        Closes before a split are divided by it, so that the line continues into the forecast.

        Raises:
            SnapshotCorrupted: the lake is damaged.
        """
        from forecasting.schema import SYMBOL, TIMESTAMP

        prices = self._prices(forecast.provenance)
        mine = prices[prices[SYMBOL] == forecast.symbol]
        mine = mine[mine[TIMESTAMP] <= forecast.as_of].tail(bars)
        return split_adjusted(mine)

    def _prices(self, provenance: Provenance) -> "pd.DataFrame":
        import pandas as pd

        from forecasting.schema import PRICE_COLUMNS

        snapshot = next(iter(self._snapshots(provenance)), None)
        if snapshot is None:
            return pd.DataFrame(columns=list(PRICE_COLUMNS))
        key = f"prices {snapshot.dataset} {snapshot.id}"
        return self._keep(key, lambda: self.lake.read(snapshot), for_ever=True)

    def _snapshots(self, provenance: Provenance) -> "Iterator[Snapshot]":
        """The snapshot an answer stands on, wherever the lake has it."""
        for dataset in self._datasets(provenance):
            with contextlib.suppress(InvalidSettings, NotReady):
                yield self.lake.snapshot(dataset, provenance.snapshot)

    def _datasets(self, provenance: Provenance | None) -> list[str]:
        """Data sets the served version may read, the likeliest first."""
        found = []
        try:
            found = [record.dataset for _, record in self._records()]
        except BellwetherError:
            found = list(self._last_datasets)
        self._last_datasets = tuple(found)
        if provenance is not None:
            found.append(f"{provenance.source}-{provenance.interval}")
        return list(dict.fromkeys([*found, "default"]))

    def served(self) -> ServedFeatures | None:
        """The features the server answers from, as the lake holds them; None when it has none."""
        return self._keep("newest", self._newest_served)

    def _newest_served(self) -> ServedFeatures | None:
        for dataset in self._datasets(None):
            try:
                newest = self.lake.served_id(dataset)
                if newest is not None:
                    read = partial(self.lake.served_features, dataset)
                    return self._keep(f"served {dataset} {newest}", read, for_ever=True)
            except BellwetherError as error:
                _LOG.warning("no served features of %s: %s", dataset, error)
        return None

    def age_seconds(self) -> float | None:
        """Age of the newest served bar on the data's clock, or None when not known."""
        served = self.served()
        return None if served is None else served.clock.age_seconds()

    def symbols(self) -> list[str]:
        """Symbols the server can forecast, sorted; from the lake when the server cannot say."""
        try:
            said = self._keep("symbols", self.client.symbols)
        except BellwetherError:
            served = self.served()
            return [] if served is None else sorted(served.symbols)
        return sorted(said)

    def status(self) -> Status:
        """The line at the top of the page; never raises."""
        trouble = self._trouble()
        ready = trouble is None
        detail = self._champion_in_words() if trouble is None else trouble_in_words(trouble)
        served = self.served()
        if served is None:
            return Status(ready, detail)
        where = Provenance(
            served.source,
            served.interval,
            served.replay,
            served.synthetic,
            served.snapshot_id,
            served.fallback,
        )
        return Status(ready, detail, served.last_bar, served.clock.age_seconds(), where)

    def _champion_in_words(self) -> str:
        from gradio_app import wording

        try:
            for role, record in self._records():
                if role == CHAMPION:
                    return f"champion v{record.version} {wording.kind(record.kind)}"
        except BellwetherError:
            return "registry not reachable"
        return "no champion yet"

    # models

    def models(self) -> list[ModelCard]:
        """Champion and challenger with their scores; empty before the first training.

        Raises:
            RegistryUnavailable: the registry cannot be reached.
        """
        return self._keep("models", lambda: [self._card(*one) for one in self._records()])

    def _records(self) -> Sequence[tuple[str, VersionRecord]]:
        return self._keep("records", self._read_records)

    def _read_records(self) -> list[tuple[str, VersionRecord]]:
        """Champion and challenger by role; one version that is both is the champion."""
        aliases = self.registry.aliases()
        roles = [role for role in (CHAMPION, CHALLENGER) if role in aliases]
        if len(roles) == 2 and aliases[CHAMPION] == aliases[CHALLENGER]:
            roles = [CHAMPION]
        return [(role, self.registry.version(aliases[role])) for role in roles]

    def _card(self, role: str, record: VersionRecord) -> ModelCard:
        run = self.registry.run(record.run_id)
        return card_of(role, record, run, self.settings.registry_link, self.prefix)

    def outcome_of_run(self, run_id: str) -> PromotionOutcome | None:
        """What a pipeline run decided, as the tags of the version it registered say.

        None when neither champion nor challenger was registered by that run, which is so where it
        found its version registered already, and when the registry cannot be reached.
        """

        def read() -> PromotionOutcome | None:
            made = [r for _, r in self._read_records() if r.tags.get(RUN_TAG) == run_id]
            outcomes = (PromotionOutcome.of_tags(r.version, r.tags) for r in made)
            return next(filter(None, outcomes), None)

        try:
            return self._keep(f"outcome {run_id}", read)
        except BellwetherError as error:
            _LOG.warning("no outcome of run %s: %s", run_id, error)
            return None

    def promotions(self) -> list[Promotion]:
        """The audit trail, newest first.

        Raises:
            Unavailable: its database cannot be reached.
        """
        return self.ledger.history(self.settings.registered_model)

    def walk_forward_report(self, version: str) -> bytes | None:
        """A version's walk-forward report as HTML, or None when it has none.

        Raises:
            UnknownVersion, RegistryUnavailable
        """
        return self.registry.artifact(self.registry.version(version).run_id, REPORT)

    # monitoring and feed

    def drift_runs(self) -> list[DriftSummary]:
        """The newest drift runs, oldest first.

        Raises:
            Unavailable: the lake cannot be read.
        """
        return self._keep("drift", lambda: self.drift.summaries(newest=DRIFT_RUNS))

    def realised(self) -> list[RealisedPoint]:
        """Realised figures by as-of instant, as the newest drift run saw them.

        Raises:
            Unavailable: the lake cannot be read.
        """
        return self._keep("realised", self.drift.by_instant)

    def drift_report(self, name: str) -> bytes | None:
        """An HTML page of the newest drift run, or None.

        Raises:
            Unavailable: the lake cannot be read.
        """
        return self.drift.report(name)

    def feed(self) -> list[LoggedForecast]:
        """The newest predictions, newest first.

        Raises:
            Unavailable: the log cannot be read.
        """
        return self.log.recent(FEED_ROWS)

    def forget(self) -> None:
        """Ask anew next time, e.g. after a training."""
        with self._lock:
            self._held.clear()

    def _keep(self, key: str, make: Callable[[], T], *, for_ever: bool = False) -> T:
        """Make something, or give (or raise) what came of the same key a moment ago."""
        with self._lock:
            held = self._held.get(key)
        fresh = held is not None and time.monotonic() - held.at < _FRESH_SECONDS
        if held is not None and (fresh or (for_ever and held.error is None)):
            if held.error is not None:
                raise held.error
            value: T = held.value
            return value
        try:
            made = make()
        except Unavailable as error:  # so that a server that hangs is waited for once
            self._hold(key, _Held(time.monotonic(), None, error))
            raise
        if for_ever:
            self._drop_older(key)
        self._hold(key, _Held(time.monotonic(), made, None))
        return made

    def _hold(self, key: str, held: "_Held") -> None:
        with self._lock:
            self._held[key] = held

    def _drop_older(self, key: str) -> None:
        """Content is named by its hash: keep the newest of its kind only."""
        kind = key.rsplit(" ", 1)[0]
        with self._lock:
            for old in [k for k in self._held if k.rsplit(" ", 1)[0] == kind]:
                del self._held[old]


@dataclass(frozen=True)
class _Held:
    """What came of a question, and when; an error only for a moment."""

    at: float
    value: Any
    error: Unavailable | None
