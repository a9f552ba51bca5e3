"""The model: holds the serving state, answers V2 requests, counts and logs every answer."""

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

from forecasting.adapters.prediction_log.log import Answered, PredictionLog
from forecasting.errors import BellwetherError, BundleRejected, NotReady, StaleData
from forecasting.inference_protocol.messages import INPUTS, OUTPUTS, Request
from forecasting.inference_protocol.tensors import TensorSpec
from forecasting.settings import Settings
from serving.inference import Answer, answer, cached_answer
from serving.kserve_parts import Model
from serving.loader import Loader
from serving.mirroring import NOT_MIRRORED, Mirroring
from serving.on_demand import OnDemand
from serving.request import read_forecast_request
from serving.state import AgeLimits, ServingState, Version
from serving.telemetry import OTHER, Telemetry
from serving.work_queue import WorkQueue

logger = logging.getLogger("bellwether.serving")


class Predictor(Model):  # type: ignore[misc]
    """KServe's model over the serving state; REST and gRPC both call `respond`.

    Args:
        settings: where things are, and the limits.
        telemetry: the collectors.
        log: the prediction log.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry, log: PredictionLog) -> None:
        super().__init__(settings.registered_model)
        self.state = ServingState()
        self.draining = False
        self.work = WorkQueue()
        self.on_demand = OnDemand(settings.versions_on_demand)
        self._settings = settings
        self._limits = AgeLimits(settings.stale_after_seconds, settings.refuse_after_seconds)
        self._caches = settings.keep_forecasts
        self._telemetry = telemetry
        self._log = log
        self._stopping = threading.Event()
        self._reloader: threading.Thread | None = None
        telemetry.watch_age(self._age)

    # answering

    async def version(self, number: str | None) -> Version | None:
        """The version a caller names; None where he names none.

        Where versions are loaded on demand, it may have to be loaded first; others are answered
        meanwhile.

        Raises:
            UnknownVersion: there is none of that number.
            BundleRejected, NotReady, RegistryUnavailable: it cannot be loaded; says why.
        """
        return None if number is None else await self.on_demand.find(number, self.state)

    def respond(
        self,
        request: Request,
        version: Version | None,
        protocol: str,
        started: float,
        mirroring: Mirroring = NOT_MIRRORED,
    ) -> tuple[Version, Answer]:
        """Answer a well-formed request, count it and offer it to the log.

        Args:
            request: the request.
            version: that was asked for; None for the default one.
            protocol: rest or grpc.
            started: `time.perf_counter()` at the request's last byte.
            mirroring: which version gets copies; a copy counts as no user's request.

        Returns:
            The version that answered, and its answer.

        Raises:
            BellwetherError: what the request or the state breaks; the caller counts it.
        """
        version = version or self.state.find()
        bundle, features = version.fitted()
        asked = read_forecast_request(request, bundle.max_horizon)
        baseline = "baseline" in request.outputs
        newest = asked.bars is None and asked.as_of is None
        if self._caches and newest and len(asked.symbols) == 1 and not baseline:
            response = cached_answer(asked, version, self._limits, time.time())
        else:
            response = answer(asked, version, self._limits, time.time(), baseline=baseline)
        seconds = time.perf_counter() - started
        copy = mirroring.is_copy(version.number)
        if copy:
            self._telemetry.copied(200, protocol, seconds)
        else:
            self._telemetry.answered(response, version, protocol, seconds)
        callers_bars = asked.bars is not None
        self._log.offer(
            Answered(
                request_id=request.id,
                symbols=response.symbols,
                as_of=response.origin.as_of,
                made_at=time.time(),
                model_version=version.number,
                model_kind=bundle.kind,
                last_close=response.origin.close,
                quantiles=response.quantiles,
                target_times=response.targets,
                probability_of_rise=response.rise,
                signal=response.signals,
                stale=response.origin.stale,
                source="own bars" if callers_bars else features.served.source,
                replay=not callers_bars and features.served.replay,
                processing_seconds=seconds,
                protocol=protocol,
                own_bars=callers_bars,
                renderings=response.renderings,
                gateway_id=mirroring.id,
                shadow=copy,
                calibration=bundle.calibrated,
            )
        )
        return version, response

    def refuse(
        self,
        error: Exception,
        protocol: str,
        started: float,
        request: Request | None,
        mirroring: Mirroring = NOT_MIRRORED,
    ) -> None:
        """Count a request that gets an error.

        Args:
            error: what it gets; its `status` is the HTTP status, 500 if it has none.
            protocol: rest or grpc.
            started: `time.perf_counter()` at the request's last byte.
            request: the request, if it was well formed.
            mirroring: which version gets copies.
        """
        seconds = time.perf_counter() - started
        status = int(getattr(error, "status", 500))
        if any(
            mirroring.is_copy(own) for own in (self.state.default, self._settings.model_version)
        ):
            self._telemetry.copied(status, protocol, seconds)
            return
        symbol = OTHER
        if request is not None and "symbols" in request.inputs:
            named = request.inputs["symbols"].data
            features = next((v.features for v in self.state.versions.values() if v.features), None)
            if len(named) == 1 and features is not None and named[0] in features.newest_rows:
                symbol = str(named[0])
        stale = isinstance(error, StaleData)
        self._telemetry.refused(status, protocol, seconds, stale=stale, symbol=symbol)

    def turn_away(self, reason: str) -> None:
        """Count a request of which no handler saw the content."""
        self._telemetry.turned_away(reason)

    # metadata, liveness and readiness

    def check_live(self) -> None:
        """Refuse if work that was begun does not end; a server that is only busy is live.

        Raises:
            NotReady: the server has to be restarted.
        """
        self.work.check_moving()

    def live(self) -> bool:
        """Whether `check_live` refuses nothing."""
        try:
            self.check_live()
        except NotReady:
            return False
        return True

    def check_loaded(self, version: Version | None = None) -> Version:
        """The version, the default one unless given, if it can answer, though with old data perhaps.

        This is the server's own readiness: a pod that tells callers that the data are old is of
        more use than none, and its bundle is not what is wrong.

        Raises:
            NotReady: the server is stopping, or the version has no bundle or features.
        """
        if self.draining:
            raise NotReady("the server takes no new work", "it is stopping", "Ask another replica")
        version = version or self.state.find()
        version.fitted()
        return version

    def check_ready(self, version: Version | None = None) -> Version:
        """The version, the default one unless given, if it would answer with a forecast now.

        Raises:
            NotReady: the server is stopping, or the version has no bundle or features.
            StaleData: its features are past the second limit.
        """
        version = self.check_loaded(version)
        version.check_fresh(self._limits, time.time())
        return version

    async def healthy(self) -> bool:
        """Whether the default version can answer now; see `check_loaded`."""
        try:
            self.check_loaded()
        except BellwetherError:
            return False
        return True

    def load(self) -> bool:
        """Nothing to do: the reloader looks for versions and features by itself."""
        return bool(self.state.default)

    def describe(self, version: Version | None = None) -> dict[str, Any]:
        """The protocol's model metadata, with all versions that may be asked for unless one is given."""
        state = self.state
        return {
            "name": self.name,
            "versions": [version.number] if version else list(state.registered or state.versions),
            "platform": "bellwether_onnxruntime",
            "inputs": self.get_input_types(),
            "outputs": self.get_output_types(),
        }

    def symbols(self, version: Version | None = None) -> list[str]:
        """Symbols that the version, the default one unless given, holds; empty while it is not ready."""
        state = self.state
        version = version or state.versions.get(state.default)
        return (
            [] if version is None or version.features is None else [*version.features.newest_rows]
        )

    def max_horizon(self, version: Version | None = None) -> int | None:
        """Bars that the version, the default one unless given, forecasts; None while it is not ready."""
        state = self.state
        version = version or state.versions.get(state.default)
        return None if version is None or version.bundle is None else version.bundle.max_horizon

    def get_input_types(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of every input; all but `symbols` are optional."""
        return [_described(spec) for spec in INPUTS.values()]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of every output; `baseline` only on request."""
        return [_described(spec) for spec in OUTPUTS.values()]

    def _age(self) -> float:
        state = self.state
        version = state.versions.get(state.default)
        if version is None or version.features is None:
            return float("nan")
        return version.features.served.clock.age_seconds(datetime.now(UTC))

    # reloading

    def start(self) -> None:
        """Start looking for versions and features, at once and every `reload_seconds`."""
        self._reloader = threading.Thread(target=self._reload_loop, name="reloader", daemon=True)
        self._reloader.start()

    def stop(self) -> None:
        """Stop looking, and begin no long request any more."""
        self._stopping.set()
        self.on_demand.stop()
        self.work.stop()
        if self._reloader is not None:
            self._reloader.join(10)

    def _reload_loop(self) -> None:
        loader = Loader(self._settings, self._report)
        try:
            while not self._stopping.is_set():
                self.reload(loader)
                due = time.monotonic() + self._settings.reload_seconds
                while not self._stopping.is_set() and (left := due - time.monotonic()) > 0:
                    if (number := self.on_demand.next(left)) is not None:
                        self.load_on_demand(loader, number)
        finally:
            loader.close()

    def reload(self, loader: Loader) -> None:
        """Look once for something newer, and swap it in whole."""
        old = self.state
        try:
            new = loader.next_state(old)
        except Exception:  # a defect must not end the thread, nor what is served
            logger.exception("reloading failed")
            self._telemetry.reload("state", "failed")
            return
        if new is not old:
            self._swap(new)
            for version in new.versions.values():
                logger.info(
                    "version %s (%s): %s", version.number, version.alias, version.problem or "ready"
                )
            self.ready = bool(new.default)

    def load_on_demand(self, loader: Loader, number: str) -> None:
        """Load a version that somebody waits for, and swap it in; tell him if it cannot be."""
        old = self.state
        try:
            if number not in old.versions:
                kept = self.on_demand.kept(old.versions.values())
                self._swap(loader.on_demand(number, old, kept.__contains__))
        except BellwetherError as error:
            self.on_demand.refuse(number, error)
        except Exception as error:  # a defect must not end the thread, nor leave somebody waiting
            logger.exception("loading version %s failed", number)
            found = f"{type(error).__name__}: {error}"
            self.on_demand.refuse(number, BundleRejected("a version must be loadable", found))
        else:
            self.on_demand.loaded(self.state.versions[number])

    def _swap(self, new: ServingState) -> None:
        self.state = new
        self._telemetry.show(new)

    def _report(self, what: str, outcome: str, sentence: str) -> None:
        self._telemetry.reload(what, outcome)
        if sentence:
            logger.log(logging.INFO if outcome == "loaded" else logging.WARNING, "%s", sentence)


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
