"""The data the page shows, asked of the model server, the registry, the logs and the lake.

Every method returns records or raises one of `forecasting.errors`.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from forecasting.adapters.drift.history import DriftHistory
from forecasting.adapters.inference import InferenceClient, SymbolForecast
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.prediction_log.log import LoggedForecast, PredictionLog
from forecasting.adapters.registry.ledger import Ledger, Promotion
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import CHALLENGER, CHAMPION, REPORT, ModelVersion
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
from forecasting.schema import MAX_HORIZON
from forecasting.settings import Settings
from gradio_app import formatting
from gradio_app.model_card import ModelCard, card_of
from gradio_app.splits import split_adjusted
from gradio_app.status import DataSource, Status, why_not_serving

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.adapters.lake.snapshot import Snapshot

HISTORY_BARS: Final = 120
FEED_ROWS: Final = 100
DRIFT_RUNS: Final = 200
_FRESH_SECONDS: Final = 4.0
"""How long an answer of the registry or the lake may be shown to the next reader."""

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


@dataclass
class PageData:
    """Everything the page can ask for. Nothing is contacted before the first call.

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
    client: InferenceClient
    registry: RegistryReader
    ledger: Ledger
    log: PredictionLog
    lake: Lake
    drift: DriftHistory
    _last_datasets: tuple[str, ...] = ()
    _last_specifications: tuple[tuple[str, str], ...] = ()
    _cache: dict[str, "_CacheEntry"] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "PageData":
        """The adapters at the addresses of the settings."""
        model = settings.registered_model
        return cls(
            settings,
            InferenceClient.of(settings),
            RegistryReader(settings.registry_url, model, timeout_seconds=5.0),
            Ledger(settings.prediction_log),
            PredictionLog(settings.prediction_log),
            Lake(settings.lake),
            DriftHistory(settings.lake),
        )

    def close(self) -> None:
        """Close the connections."""
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
        """Raise what keeps the model server from answering, if anything does.

        Raises:
            ServerUnavailable: the model server cannot be reached.
            NotReady, StaleData: it is there, and cannot answer.
        """
        if (error := self._why_not_ready()) is not None:
            raise error

    def _why_not_ready(self) -> BellwetherError | None:
        """What keeps the model server from answering, or None."""
        try:
            return self.client.why_not_ready()
        except BellwetherError as error:
            return error

    def forecast(self, symbol: str, days: int, version: str = "") -> SymbolForecast:
        """Ask the model server, for the random walk's quantiles as well.

        Args:
            symbol: as typed.
            days: bars ahead, from 1 to `max_horizon`.
            version: a model version, or "" for the champion.

        Raises:
            UnknownSymbol, StaleData, RateLimited, NotReady, ServerUnavailable, ...
        """
        symbol = symbol.strip()
        if not symbol:
            raise UnknownSymbol("a forecast needs a symbol", "", "Pick one, or type one")
        return self.client.forecast([symbol], horizon=days, version=version or None, baseline=True)[
            0
        ]

    def history(self, forecast: SymbolForecast, bars: int = HISTORY_BARS) -> "pd.DataFrame":
        """The last bars up to the forecast's origin: timestamp, close; empty if not in the lake.

        Closes before a split are divided by it, so that the line continues into the forecast.

        Raises: as `prices`.
        """
        from forecasting.schema import SYMBOL, TIMESTAMP

        prices = self.prices(forecast)
        prices = prices[prices[SYMBOL] == forecast.symbol]
        return split_adjusted(prices[prices[TIMESTAMP] <= forecast.as_of].tail(bars))

    def prices(self, forecast: SymbolForecast) -> "pd.DataFrame":
        """Prices of the snapshot that a forecast was made from; empty if not in the lake.

        Raises:
            SnapshotCorrupted: the lake is damaged.
        """
        import pandas as pd

        from forecasting.schema import PRICE_COLUMNS

        snapshot = next(iter(self._snapshots(forecast)), None)
        if snapshot is None:
            return pd.DataFrame(columns=list(PRICE_COLUMNS))
        key = f"prices {snapshot.dataset} {snapshot.id}"
        return self._cached(key, lambda: self.lake.read(snapshot), for_ever=True)

    def _snapshots(self, forecast: SymbolForecast) -> "Iterator[Snapshot]":
        """The snapshot a forecast was made from, in whichever dataset the lake has it."""
        for dataset in self._datasets(f"{forecast.source}-{forecast.interval}"):
            with contextlib.suppress(InvalidSettings, NotReady):
                yield self.lake.snapshot(dataset, forecast.snapshot)

    def _datasets(self, *usual: str) -> list[str]:
        """Datasets the served version may read, the likeliest first."""
        with contextlib.suppress(BellwetherError):
            self._last_datasets = tuple(record.dataset for _, record in self._records())
        return list(dict.fromkeys([*self._last_datasets, *usual, "default"]))

    def served(self) -> ServedFeatures | None:
        """The features the server answers from, as the lake holds them; None when it has none."""
        return self._cached("newest", self._newest_served)

    def _newest_served(self) -> ServedFeatures | None:
        """Those of the champion, or of the challenger where the champion's cannot be read."""
        for dataset, specification in self._served_specifications():
            try:
                newest = self.lake.served_id(dataset, specification)
                if newest is not None:
                    read = partial(self.lake.served_features, dataset, specification)
                    key = f"served {dataset} {specification} {newest}"
                    return self._cached(key, read, for_ever=True)
            except BellwetherError as error:
                _LOG.warning("no served features of %s: %s", dataset, error)
        return None

    def _served_specifications(self) -> tuple[tuple[str, str], ...]:
        """Data set and specification of champion and challenger; the last that were seen."""
        try:
            records = self._records()
            found = []
            for _, record in records:
                read = partial(self.registry.specification, record)
                spec = self._cached(f"spec {record.bundle_digest}", read, for_ever=True)
                found.append((record.dataset, spec.digest))
            self._last_specifications = tuple(found)
        except BellwetherError as error:
            _LOG.warning("the versions' specifications are not known: %s", error)
        return self._last_specifications

    def age_seconds(self) -> float | None:
        """Age of the newest served bar on the data's clock, or None when not known."""
        served = self.served()
        return None if served is None else served.clock.age_seconds()

    def symbols(self) -> list[str]:
        """Symbols the server can forecast, sorted; from the lake when the server cannot say."""
        try:
            return sorted(self._cached("symbols", self.client.symbols))
        except BellwetherError:
            served = self.served()
            return [] if served is None else sorted(served.symbols)

    def max_horizon(self) -> int:
        """Bars that the version which answers can look ahead; MAX_HORIZON when it cannot be asked."""
        try:
            return self._cached("max_horizon", self.client.max_horizon)
        except BellwetherError:
            return MAX_HORIZON

    def status(self) -> Status:
        """The line at the top of the page; never raises."""
        error = self._why_not_ready()
        ready = error is None
        detail = self._champion_in_words() if error is None else why_not_serving(error)
        served = self.served()
        if served is None:
            return Status(ready, detail)
        data_source = DataSource(served.source, served.replay, served.synthetic, served.fallback)
        return Status(ready, detail, served.last_bar, served.clock.age_seconds(), data_source)

    def _champion_in_words(self) -> str:
        try:
            for role, record in self._records():
                if role == CHAMPION:
                    return f"champion v{record.version} {formatting.kind(record.kind)}"
        except BellwetherError:
            return "registry not reachable"
        return "no champion yet"

    # models

    def models(self) -> list[ModelCard]:
        """Champion and challenger with their scores; empty before the first training.

        Raises:
            RegistryUnavailable: the registry cannot be reached.
        """
        return self._cached("models", lambda: [self._card(*record) for record in self._records()])

    def _records(self) -> Sequence[tuple[str, ModelVersion]]:
        return self._cached("records", self._read_records)

    def _read_records(self) -> list[tuple[str, ModelVersion]]:
        """Champion and challenger by role; one version that is both is the champion."""
        aliases = self.registry.aliases()
        roles = [role for role in (CHAMPION, CHALLENGER) if role in aliases]
        if len(roles) == 2 and aliases[CHAMPION] == aliases[CHALLENGER]:
            roles = [CHAMPION]
        return [(role, self.registry.version(aliases[role])) for role in roles]

    def _card(self, role: str, record: ModelVersion) -> ModelCard:
        run = self.registry.run(record.run_id)
        return card_of(role, record, run, self.settings.registry_link, self.prefix)

    def outcome_of_run(self, run_id: str) -> PromotionOutcome | None:
        """What a pipeline run decided, as the tags of the version it registered say.

        None when neither champion nor challenger was registered by that run, which is so where it
        found its version registered already, and when the registry cannot be reached.
        """

        def read() -> PromotionOutcome | None:
            versions = [r for _, r in self._read_records() if r.tags.get(RUN_TAG) == run_id]
            outcomes = (PromotionOutcome.of_tags(r.version, r.tags) for r in versions)
            return next(filter(None, outcomes), None)

        try:
            return self._cached(f"outcome {run_id}", read)
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
        return self._cached("drift", lambda: self.drift.summaries(newest=DRIFT_RUNS))

    def realised(self) -> list[RealisedPoint]:
        """Realised scores by as-of instant, as the newest drift run found them.

        Raises:
            Unavailable: the lake cannot be read.
        """
        return self._cached("realised", self.drift.by_instant)

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
        """Empty the cache, e.g. after a training."""
        with self._lock:
            self._cache.clear()

    def _cached(self, key: str, make: Callable[[], T], *, for_ever: bool = False) -> T:
        """What `make` returned or raised for this key a moment ago, or makes now.

        Args:
            key: names what is made; the last word of one kept for ever is its content's hash.
            make: asks for it.
            for_ever: whether it never changes; then the newest of its kind is kept.
        """
        with self._lock:
            entry = self._cache.get(key)
        fresh = entry is not None and time.monotonic() - entry.at < _FRESH_SECONDS
        if entry is not None and (fresh or (for_ever and entry.error is None)):
            if entry.error is not None:
                raise entry.error
            return cast("T", entry.value)
        try:
            value = make()
        except Unavailable as error:  # so that a server that hangs is waited for once
            self._store(key, _CacheEntry(time.monotonic(), None, error))
            raise
        if for_ever:
            self._drop_older(key)
        self._store(key, _CacheEntry(time.monotonic(), value, None))
        return value

    def _store(self, key: str, entry: "_CacheEntry") -> None:
        with self._lock:
            self._cache[key] = entry

    def _drop_older(self, key: str) -> None:
        """Content is named by its hash: keep the newest of its kind only."""
        kind = key.rsplit(" ", 1)[0]
        with self._lock:
            for old in [k for k in self._cache if k.rsplit(" ", 1)[0] == kind]:
                del self._cache[old]


@dataclass(frozen=True)
class _CacheEntry:
    """What was made, or why it could not be, and when on the monotonic clock."""

    at: float
    value: Any
    error: Unavailable | None
