"""What the page shows, as small frozen records: the seam between the adapters and the views."""

from dataclasses import dataclass
from datetime import datetime

from forecasting.arrays import Floats
from forecasting.errors import (
    BellwetherError,
    InvalidInput,
    NotReady,
    RateLimited,
    RegistryUnavailable,
    ServerUnavailable,
    StaleData,
    Unavailable,
    UnknownSymbol,
    UnknownVersion,
)
from gradio_app import wording


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from, said wherever they are shown.

    Attributes:
        source: name of the price source, e.g. "sample".
        interval: length of a bar, e.g. "1d".
        replay: whether the prices are historical and replayed as if current.
        synthetic: whether the prices were generated.
        snapshot: content hash of the price snapshot.
        fallback: who stood in because the price source failed, a sentence; "" when nobody did.
    """

    source: str
    interval: str
    replay: bool
    synthetic: bool
    snapshot: str = ""
    fallback: str = ""


@dataclass(frozen=True)
class Forecast:
    """One answer of the model server for one symbol; h horizons, 5 published levels.

    Attributes:
        symbol: as the server knows it.
        as_of: close of the bar the forecast stands on, aware UTC.
        last_close: price at `as_of`, quote currency.
        target_times: closes of the next h bars, aware UTC.
        quantiles: [h, 5] price quantiles p05 p25 p50 p75 p95.
        baseline: [h, 5] the random walk's price quantiles, or None when not given.
        probability_of_rise: [h] P(price above `last_close`).
        signal: "buy", "hold" or "sell".
        stale: whether the server called its own data old.
        version: model version that answered.
        kind: kind of that model, e.g. "ridge".
        seconds: from sending the question to having read the answer.
    """

    symbol: str
    as_of: datetime
    last_close: float
    target_times: tuple[datetime, ...]
    quantiles: Floats
    baseline: Floats | None
    probability_of_rise: Floats
    signal: str
    stale: bool
    version: str
    kind: str
    provenance: Provenance
    seconds: float

    @property
    def horizon(self) -> int:
        """Bars looked ahead."""
        return len(self.target_times)


@dataclass(frozen=True)
class ModelCard:
    """A registered model version and its honest scores; None where a score was not recorded.

    Attributes:
        role: "champion" or "challenger".
        skill: 1 - pinball loss / that of the random walk, walk-forward.
        p_value: Diebold-Mariano p-value of being better than the random walk.
        coverage: share of outcomes inside the 90 % interval, walk-forward.
        verdict: "promote", "refuse" or "default".
        reason: the verdict's reason, in words.
        trained_on: what it learned from, in words.
        digest: SHA-256 of the bundle's manifest.
        created: when it was registered, as recorded.
        run_url: its run in MLflow.
        report_url: its walk-forward report, as this page serves it.
    """

    role: str
    version: str
    kind: str
    skill: float | None
    p_value: float | None
    coverage: float | None
    verdict: str
    reason: str
    trained_on: str
    digest: str
    created: str
    run_url: str
    report_url: str


@dataclass(frozen=True)
class Status:
    """The line at the top of the page.

    Attributes:
        ready: whether the model server answers and is ready.
        detail: in words, what it serves or what is wrong.
        last_bar: close of the newest bar served, or None.
        age_seconds: age of that bar on the data's own clock, or None.
        provenance: where the data come from, or None.
    """

    ready: bool
    detail: str
    last_bar: datetime | None = None
    age_seconds: float | None = None
    provenance: Provenance | None = None


@dataclass(frozen=True)
class Notice:
    """A friendly state: what is, why, and what to do. Tone is "info", "wait" or "wrong"."""

    title: str
    body: str = ""
    remedy: str = ""
    tone: str = "info"


_TITLES: tuple[tuple[type[BellwetherError], str, str], ...] = (
    (UnknownSymbol, "No forecast for this symbol", "info"),
    (UnknownVersion, "This model version is not served", "info"),
    (StaleData, "The prices are too old to forecast from", "wait"),
    (RateLimited, "Too many questions at once", "wait"),
    (NotReady, "The model server is getting ready", "wait"),
    (ServerUnavailable, "The model server does not answer", "wrong"),
    (RegistryUnavailable, "The model registry does not answer", "wrong"),
    (Unavailable, "Not available right now", "wrong"),
    (InvalidInput, "This cannot be answered as asked", "info"),
)


def notice_of(error: Exception) -> Notice:
    """Say a failure in words a reader can act on; never a stack trace."""
    if not isinstance(error, BellwetherError):
        return Notice(
            "Something went wrong on this page",
            "The details are in the page's log.",
            "Try again; if it stays, tell whoever runs this page.",
            "wrong",
        )
    title, tone = next(
        ((title, tone) for kind, title, tone in _TITLES if isinstance(error, kind)),
        ("Something is wrong with the platform", "wrong"),
    )
    remedy = error.remedy
    if isinstance(error, RateLimited) and error.retry_after:
        remedy = f"Try again in {error.retry_after:.0f} seconds."
    rule = f"{error.rule}: {error.found}" if error.found else error.rule
    return Notice(title, wording.sentence(rule), remedy, tone)
