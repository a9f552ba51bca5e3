"""The client of the model server: V2 over REST, from questions to forecasts.

    with InferenceClient("http://127.0.0.1:8080") as client:
        (apple,) = client.forecast(["AAPL"], horizon=10)
        apple.quantiles[-1]  # p05 p25 p50 p75 p95 of the price, ten bars ahead

Every failure is an error of `forecasting.errors` that carries the server's own sentence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import numpy as np
import orjson
from numpy.typing import NDArray

from forecasting.adapters.http_client import LazyClient
from forecasting.errors import (
    BellwetherError,
    InvalidRequest,
    NotReady,
    RateLimited,
    ServerUnavailable,
    StaleData,
    from_record,
)
from forecasting.inference_protocol.messages import (
    ALL_OR_NOTHING,
    DEFAULT_OUTPUTS,
    render_message,
)
from forecasting.inference_protocol.tensors import Tensor
from forecasting.instants import from_milliseconds, to_milliseconds
from forecasting.schema import MAX_HORIZON

if TYPE_CHECKING:
    from httpx import Response

    from forecasting.settings import Settings

_JSON: Final = {"content-type": "application/json"}

_OF_A_GATEWAY: Final = (502, 503, 504)
"""What a gateway answers by itself, without our JSON, when nothing behind it answers."""


@dataclass(frozen=True, eq=False)
class SymbolForecast:
    """The forecast of one symbol.

    Attributes:
        symbol: what was forecast; "" for unnamed own bars.
        as_of: close of the last bar used.
        last_close: price at `as_of`.
        target_times: when each horizon's bar closes.
        quantiles: [horizon, 5] prices at `levels`.
        baseline: [horizon, 5] the random walk's, or None if it was not asked for.
        probability_of_rise: [horizon].
        signal: buy, hold or sell.
        stale: whether the data are old.
        levels: the quantile levels.
        model_version, model_kind: what answered.
        interval, source, snapshot: which bars it answered from.
        replay, synthetic: whether prices are historical; whether they are made up.
        fallback: who stood in because the price source failed, a sentence; "" when nobody did.
        calibration: number of the calibration in force; 0 for the one of the version's bundle.
    """

    symbol: str
    as_of: datetime
    last_close: float
    target_times: tuple[datetime, ...]
    quantiles: NDArray[np.float64]
    baseline: NDArray[np.float64] | None
    probability_of_rise: NDArray[np.float64]
    signal: str
    stale: bool
    levels: tuple[float, ...]
    model_version: str
    model_kind: str
    interval: str
    source: str
    snapshot: str
    replay: bool
    synthetic: bool
    fallback: str = ""
    calibration: int = 0

    @property
    def horizon(self) -> int:
        """Bars looked ahead."""
        return len(self.target_times)


class InferenceClient(LazyClient):
    """Asks one model server.

    Args:
        url: REST address of the server; a path prefix may stand in it.
        model: name of the model.
        timeout: longest wait for one answer, in seconds.
        headers: sent with every question, e.g. a host name the gateway knows.
    """

    def __init__(
        self,
        url: str,
        model: str = "bellwether",
        *,
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self.model = model
        super().__init__(timeout=timeout, headers=dict(headers or {}))

    @classmethod
    def of(cls, settings: "Settings") -> Self:
        """The client of the model server that the settings name."""
        return cls(
            settings.inference_url,
            settings.registered_model,
            timeout=settings.inference_timeout_seconds,
        )

    def forecast(
        self,
        symbols: Sequence[str],
        horizon: int | None = None,
        *,
        version: str | None = None,
        as_of: datetime | str | None = None,
        baseline: bool = False,
        request_id: str = "",
    ) -> list[SymbolForecast]:
        """Forecasts of symbols the server holds, in their order.

        Args:
            symbols: each once.
            horizon: bars to look ahead; None for as many as the version forecasts.
            version: model version; None for the default one.
            as_of: answer as it was known at this instant, aware or ISO-8601; None for now.
            baseline: whether to ask for the random walk's quantiles, too.
            request_id: an id for the server's log.

        Raises:
            UnknownSymbol, UnknownVersion: the server has none of that name.
            ShortHistory: the server holds too few bars of a symbol.
            InvalidRequest: anything else that is wrong with the question.
            StaleData, NotReady: the server cannot answer now.
            RateLimited, ServerUnavailable: the server asks to wait, or cannot be reached.
        """
        tensors = [
            Tensor("symbols", "BYTES", (len(symbols),), list(symbols)),
            *_horizon(horizon),
        ]
        if as_of is not None:
            text = as_of if isinstance(as_of, str) else as_of.isoformat()
            tensors.append(Tensor("as_of", "BYTES", (1,), [text]))
        return self._infer(tensors, version, baseline=baseline, request_id=request_id)

    def forecast_bars(
        self,
        timestamps: Sequence[datetime],
        bars: NDArray[np.float64],
        *,
        symbol: str = "",
        horizon: int | None = None,
        version: str | None = None,
        baseline: bool = False,
        request_id: str = "",
    ) -> SymbolForecast:
        """The forecast of one's own bars.

        Args:
            timestamps: closes of the bars, aware, rising [t].
            bars: open, high, low, close, volume [t, 5]; splits and dividends worked in.
            symbol: their name, if they have one.
            horizon: bars to look ahead; None for as many as the version forecasts.
            version: model version; None for the default one.
            baseline: whether to ask for the random walk's quantiles, too.
            request_id: an id for the server's log.

        Raises:
            As `forecast`; InvalidRequest for bars that no market could have printed.
        """
        millis = np.array([to_milliseconds(close) for close in timestamps])
        tensors = [
            Tensor("bars", "FP64", bars.shape, np.asarray(bars, dtype=np.float64)),
            Tensor("timestamps", "INT64", millis.shape, millis),
            *_horizon(horizon),
        ]
        if symbol:
            tensors.append(Tensor("symbols", "BYTES", (1,), [symbol]))
        return self._infer(tensors, version, baseline=baseline, request_id=request_id)[0]

    def metadata(self, version: str | None = None) -> dict[str, Any]:
        """Inputs, outputs and versions of the model.

        Raises:
            UnknownVersion: the server has no such version.
            ServerUnavailable: the server cannot be reached.
        """
        return self._read(self._ask("GET", self._path(version)))

    def symbols(self, version: str | None = None) -> list[str]:
        """The symbols the server holds; empty while it is not ready.

        Raises:
            UnknownVersion: the server has no such version.
            ServerUnavailable: the server cannot be reached.
        """
        return [str(symbol) for symbol in self.metadata(version).get("symbols", [])]

    def max_horizon(self, version: str | None = None) -> int:
        """Bars that the version forecasts; MAX_HORIZON where the server does not say.

        Raises:
            UnknownVersion: the server has no such version.
            ServerUnavailable: the server cannot be reached.
        """
        return int(self.metadata(version).get("max_horizon", MAX_HORIZON))

    def reachable(self) -> bool:
        """Whether anything answers at the address, whatever it says."""
        try:
            self._ask("GET", "/v2")
        except ServerUnavailable:
            return False
        return True

    def ready(self, version: str | None = None) -> bool:
        """Whether the model would answer now.

        Raises:
            UnknownVersion: the server has no such version.
            ServerUnavailable: the server cannot be reached.
        """
        return self.why_not_ready(version) is None

    def why_not_ready(self, version: str | None = None) -> NotReady | StaleData | None:
        """What keeps the model from answering, or None.

        Raises:
            UnknownVersion: the server has no such version.
            ServerUnavailable: the server cannot be reached.
        """
        try:
            self._read(self._ask("GET", f"{self._path(version)}/ready"))
        except (NotReady, StaleData) as error:
            return error
        return None

    def _path(self, version: str | None) -> str:
        path = f"/v2/models/{quote(self.model, safe='')}"
        return path if version is None else f"{path}/versions/{quote(version, safe='')}"

    def _infer(
        self, tensors: list[Tensor], version: str | None, *, baseline: bool, request_id: str
    ) -> list[SymbolForecast]:
        # Forecasts come back in the order of the symbols, so one that is missing is an error.
        fields: dict[str, Any] = {"parameters": {ALL_OR_NOTHING: True}}
        if request_id:
            fields["id"] = request_id
        if baseline:
            fields["outputs"] = [{"name": name} for name in (*DEFAULT_OUTPUTS, "baseline")]
        body, _ = render_message(fields, "inputs", tensors)
        answer = self._read(self._ask("POST", f"{self._path(version)}/infer", body))
        try:
            return _forecasts(answer)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._unexpected_answer(f"an answer without {error!r}") from error

    def _ask(self, method: str, path: str, body: bytes | None = None) -> "Response":
        from httpx import HTTPError, InvalidURL

        try:
            return self.client.request(
                method, f"{self._url}{path}", content=body, headers=_JSON if body else None
            )
        except (HTTPError, InvalidURL) as error:
            raise ServerUnavailable(
                "the model server must be reachable",
                f"{self._url}: {error or type(error).__name__}",
                "Start one here (bellwether demo, or bellwether serve), or correct "
                "BELLWETHER_INFERENCE_URL",
            ) from error

    def _read(self, response: "Response") -> dict[str, Any]:
        try:
            document = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            document = None
        if response.status_code == 200 and isinstance(document, dict):
            return document
        sentence = document.get("error") if isinstance(document, dict) else None
        status = response.status_code
        if status == 429:
            wait = response.headers.get("retry-after", "")
            raise RateLimited(
                sentence or "the server asks to wait",
                retry_after=float(wait) if wait.isdecimal() else None,
            )
        if not isinstance(sentence, str) and status in _OF_A_GATEWAY:
            raise ServerUnavailable(
                "a model server must stand behind the gateway",
                f"{self._url} answered with status {status}, and no model server behind it did",
                "Ask again in a minute; on a cluster, bellwether rollout status says which version is "
                "not ready, and why",
            )
        if not isinstance(sentence, str):
            raise self._unexpected_answer(f"status {status}, {response.text[:200]!r}")
        raise _error(status, document.get("kind"), sentence)

    def _unexpected_answer(self, found: str) -> ServerUnavailable:
        return ServerUnavailable(
            "the address must be that of a Bellwether model server",
            f"{self._url} answered: {found}",
            "Correct BELLWETHER_INFERENCE_URL, or look into the gateway before it",
        )


def _horizon(bars: int | None) -> list[Tensor]:
    """The input that asks for so many bars ahead; none where all are asked for."""
    return [] if bars is None else [Tensor("horizon", "INT64", (1,), np.array([bars]))]


def _error(status: int, name: object, sentence: str) -> BellwetherError:
    """The error whose name, status and sentence came back."""
    unnamed = InvalidRequest if 400 <= status < 500 else ServerUnavailable
    return from_record({"kind": name, "rule": sentence}) or unnamed(sentence)


def _forecasts(answer: Mapping[str, Any]) -> list[SymbolForecast]:
    about = answer["parameters"]
    outputs = {output["name"]: output for output in answer["outputs"]}
    n, horizon, width = outputs["quantiles"]["shape"]

    def table(name: str, *shape: int) -> NDArray[np.float64]:
        return np.array(outputs[name]["data"], dtype=np.float64).reshape(shape)

    def column(name: str) -> list[Any]:
        values: list[Any] = outputs[name]["data"]
        return values

    quantiles = table("quantiles", n, horizon, width)
    baseline = table("baseline", n, horizon, width) if "baseline" in outputs else None
    rise = table("probability_of_rise", n, horizon)
    times = [from_milliseconds(number) for number in column("target_time")]
    return [
        SymbolForecast(
            symbol=column("symbol")[i],
            as_of=from_milliseconds(column("as_of")[i]),
            last_close=float(column("last_close")[i]),
            target_times=tuple(times[i * horizon : (i + 1) * horizon]),
            quantiles=quantiles[i],
            baseline=None if baseline is None else baseline[i],
            probability_of_rise=rise[i],
            signal=column("signal")[i],
            stale=bool(column("stale")[i]),
            levels=tuple(float(level) for level in about["quantile_levels"].split(",")),
            model_version=str(answer["model_version"]),
            model_kind=str(about["model_kind"]),
            interval=str(about["interval"]),
            source=str(about["source"]),
            snapshot=str(about["snapshot"]),
            replay=bool(about["replay"]),
            synthetic=bool(about["synthetic"]),
            fallback=str(about.get("fallback", "")),
            calibration=int(about.get("calibration", 0)),  # servers of before say none
        )
        for i in range(n)
    ]
