"""The model: holds the serving state, answers V2 requests, counts and logs every answer."""

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

from forecasting.adapters.prediction_log.log import Answered, PredictionLog
from forecasting.errors import BellwetherError, NotReady, StaleData
from forecasting.inference_protocol.messages import INPUTS, OUTPUTS, Request
from forecasting.inference_protocol.tensors import TensorSpec
from forecasting.settings import Settings
from serving.inference import Answer, answer, cached_answer
from serving.kserve_parts import Model
from serving.loader import Loader
from serving.request import read_forecast_request
from serving.state import AgeLimits, ServingState, Version
from serving.telemetry import OTHER, Telemetry

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
        self._settings = settings
        self._limits = AgeLimits(settings.stale_after_seconds, settings.refuse_after_seconds)
        self._caches = settings.keep_forecasts
        self._telemetry = telemetry
        self._log = log
        self._stopping = threading.Event()
        self._reloader: threading.Thread | None = None
        telemetry.watch_age(self._age)

    # answering

    def respond(
        self, request: Request, number: str | None, protocol: str, started: float
    ) -> tuple[Version, Answer]:
        """Answer a well-formed request, count it and offer it to the log.

        Args:
            request: the request.
            number: version asked for; None for the default one.
            protocol: rest or grpc.
            started: `time.perf_counter()` at the request's last byte.

        Returns:
            The version that answered, and its answer.

        Raises:
            BellwetherError: what the request or the state breaks; the caller counts it.
        """
        asked = read_forecast_request(request)
        version = self.state.find(number)
        bundle, features = version.fitted()
        baseline = "baseline" in request.outputs
        newest = asked.bars is None and asked.as_of is None
        if self._caches and newest and len(asked.symbols) == 1 and not baseline:
            response = cached_answer(asked, version, self._limits, time.time())
        else:
            response = answer(asked, version, self._limits, time.time(), baseline=baseline)
        seconds = time.perf_counter() - started
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
            )
        )
        return version, response

    def refuse(
        self, error: Exception, protocol: str, started: float, request: Request | None
    ) -> None:
        """Count a request that gets an error.

        Args:
            error: what it gets; its `status` is the HTTP status, 500 if it has none.
            protocol: rest or grpc.
            started: `time.perf_counter()` at the request's last byte.
            request: the request, if it was well formed.
        """
        symbol = OTHER
        if request is not None and "symbols" in request.inputs:
            named = request.inputs["symbols"].data
            features = next((v.features for v in self.state.versions.values() if v.features), None)
            if len(named) == 1 and features is not None and named[0] in features.newest_rows:
                symbol = str(named[0])
        seconds = time.perf_counter() - started
        status = int(getattr(error, "status", 500))
        stale = isinstance(error, StaleData)
        self._telemetry.refused(status, protocol, seconds, stale=stale, symbol=symbol)

    # metadata and readiness

    def check_ready(self, number: str | None = None) -> Version:
        """The version, if it would answer now.

        Raises:
            NotReady: the server is stopping, or the version has no bundle or features.
            StaleData: its features are past the second limit.
            UnknownVersion: there is no such version.
        """
        if self.draining:
            raise NotReady("the server takes no new work", "it is stopping", "Ask another replica")
        version = self.state.find(number)
        version.check_fresh(self._limits, time.time())
        return version

    async def healthy(self) -> bool:
        """Whether the default version would answer now."""
        try:
            self.check_ready()
        except BellwetherError:
            return False
        return True

    def load(self) -> bool:
        """Nothing to do on demand: the reloader looks for versions and features by itself."""
        return bool(self.state.default)

    def describe(self, number: str | None = None) -> dict[str, Any]:
        """The protocol's model metadata.

        Raises:
            UnknownVersion: there is no such version.
        """
        state = self.state
        if number is not None:
            state.find(number)
        return {
            "name": self.name,
            "versions": [number] if number is not None else list(state.versions),
            "platform": "bellwether_onnxruntime",
            "inputs": self.get_input_types(),
            "outputs": self.get_output_types(),
        }

    def symbols(self, number: str | None = None) -> list[str]:
        """Symbols that the version holds; empty while it is not ready."""
        state = self.state
        version = state.versions.get(number or state.default)
        return (
            [] if version is None or version.features is None else [*version.features.newest_rows]
        )

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
        """Stop looking."""
        self._stopping.set()
        if self._reloader is not None:
            self._reloader.join(10)

    def _reload_loop(self) -> None:
        loader = Loader(self._settings, self._report)
        try:
            while not self._stopping.is_set():
                self.reload(loader)
                self._stopping.wait(self._settings.reload_seconds)
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
            self.state = new
            self._telemetry.show(new)
            for version in new.versions.values():
                logger.info(
                    "version %s (%s): %s", version.number, version.alias, version.problem or "ready"
                )
            self.ready = bool(new.default)

    def _report(self, what: str, outcome: str, sentence: str) -> None:
        self._telemetry.reload(what, outcome)
        if sentence:
            logger.log(logging.INFO if outcome == "loaded" else logging.WARNING, "%s", sentence)


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
