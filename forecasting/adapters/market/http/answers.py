"""What a provider's HTTP answer is: data, a limit, or a fault with its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from forecasting.clock import utc_now
from forecasting.errors import RateLimited, SourceUnavailable
from forecasting.prices.quality.catalogue import FAULTS

LATER: Final = "Try again later, or take another source"

_SHOWN = 120  # characters of an answer that a message may quote


@dataclass(frozen=True)
class Reply:
    """An HTTP answer as it came.

    Attributes:
        provider: who sent it, as users write its name.
        about: what was asked for, e.g. a symbol.
        status: HTTP status.
        headers: with names in lower case.
        body: bytes, decompressed.
    """

    provider: str
    about: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def data_of(reply: Reply, *, limit_phrase: str = "") -> Any:
    """The JSON in an answer; 4xx answers other than limits are data too, for the caller to read.

    Args:
        reply: what the provider sent.
        limit_phrase: words by which the provider says in plain text that its limit is reached.

    Raises:
        RateLimited: it asks us to wait.
        SourceUnavailable: it failed, or sent something that is no data: the fault is named.
    """
    text = reply.body.decode("utf-8", errors="replace").strip()
    if reply.status in {418, 429} or (limit_phrase and text.startswith(limit_phrase)):
        raise _limited(reply, text)
    if reply.status >= 500 or reply.status == 408:
        raise SourceUnavailable(
            f"{reply.provider} must answer", f"{reply.about}: HTTP {reply.status}", LATER
        )
    if not text:
        raise fault("empty_answer", reply, f"nothing at all, HTTP {reply.status}")
    if text.startswith("<"):
        raise fault("html_answer", reply, f"{text[:_SHOWN]!r}, HTTP {reply.status}")
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError as error:
        end = text[-_SHOWN // 2 :]
        raise fault("truncated_answer", reply, f"{error}; it ends with {end!r}") from error


def fault(name: str, reply: Reply, found: str) -> SourceUnavailable:
    """The error for a fault of `forecasting.prices.quality.catalogue` in an answer."""
    return SourceUnavailable(
        FAULTS[name].rule, f"{reply.provider}, {reply.about}: {found} ({name})", LATER
    )


def _limited(reply: Reply, text: str) -> RateLimited:
    wait = asked_to_wait(reply.headers)
    asks = "limits our rate" if wait is None else f"asks us to wait {wait:g} s"
    sentence = f": {text[:_SHOWN]!r}" if text and not text.startswith("<") else ""
    return RateLimited(
        FAULTS["rate_limited"].rule,
        f"{reply.provider} {asks} ({reply.about}){sentence} (rate_limited)",
        "Wait, ask for fewer symbols, or take another source",
        retry_after=wait,
    )


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds a provider asks us to wait, or None when it does not say.

    From Retry-After (RFC 9110, seconds or a date) or X-RateLimit-Reset in seconds.
    """
    header = (headers.get("retry-after") or headers.get("x-ratelimit-reset") or "").strip()
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - utc_now()).total_seconds()
        except (ValueError, TypeError):  # no date, or one without a zone
            return None
    return max(0.0, seconds) if seconds < 7 * 86_400 else None
