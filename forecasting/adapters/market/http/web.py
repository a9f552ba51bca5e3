"""JSON over HTTP from one provider: within its budget, tried again, and over by the deadline."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from forecasting.adapters.http_client import Closing
from forecasting.adapters.market.http.answers import LATER, Reply, data_of
from forecasting.adapters.market.http.budget import Budget
from forecasting.adapters.market.http.retry import with_retries
from forecasting.errors import InvalidSettings, RateLimited, SourceUnavailable
from forecasting.prices.quality.catalogue import FAULTS

T = TypeVar("T")

REQUEST_SECONDS: Final = 10.0
CONNECT_SECONDS: Final = 5.0
WORKERS: Final = 4
"""Requests that may be under way at once: enough to hide the network, too few to be a burden."""

_LARGEST: Final = 64 * 2**20  # bytes; ten years of hourly bars are a fiftieth of it


class Web(Closing):
    """A provider's web service for the length of one fetch; threads may share it.

    Args:
        provider: its name, as users write it.
        address: its base URL.
        headers: what every request carries, e.g. the token. Never part of a message.
        seconds: time for everything, retries and waiting included.
        limit_phrase: as in `answers.data_of`.
    """

    def __init__(
        self,
        provider: str,
        address: str,
        *,
        headers: Mapping[str, str],
        seconds: float,
        limit_phrase: str = "",
    ) -> None:
        import httpx

        self.provider = provider
        self.seconds = seconds
        self.until = time.monotonic() + seconds
        self._limit_phrase = limit_phrase
        try:
            self._client = httpx.Client(base_url=address, headers=dict(headers))
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise InvalidSettings(
                f"{provider} needs a web address", f"{address!r}: {error}", "Mend the setting"
            ) from error

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def ask(
        self,
        path: str,
        *,
        about: str,
        budget: Budget,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> tuple[int, Any]:
        """Status below 500 and JSON of one answer; POST when there is a body.

        Raises:
            SourceUnavailable: it failed until the attempts or the time ran out.
            RateLimited: it asks us to wait longer than we may.
        """
        return with_retries(
            partial(self._once, path, about, budget, params, body), deadline=self.until
        )

    def each(self, call: Callable[[str], T], names: Sequence[str]) -> list[T]:
        """`call` for every name, some at once, in the order of the names.

        Raises:
            BellwetherError: the first failure in that order; what has not begun is not asked.
        """
        with ThreadPoolExecutor(min(WORKERS, len(names))) as pool:
            tasks = [pool.submit(call, name) for name in names]
            try:
                return [task.result() for task in tasks]
            except BaseException:
                self.until = 0.0  # those under way do not try again
                for task in tasks:
                    task.cancel()
                raise

    def _once(
        self,
        path: str,
        about: str,
        budget: Budget,
        params: Mapping[str, str] | None,
        body: Mapping[str, object] | None,
    ) -> tuple[int, Any]:
        budget.take(until=self.until)
        reply = self._reply(path, about, params, body)
        try:
            return reply.status, data_of(reply, limit_phrase=self._limit_phrase)
        except RateLimited as limited:
            budget.close_for(limited.retry_after or 0.0)
            raise

    def _reply(
        self,
        path: str,
        about: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, object] | None,
    ) -> Reply:
        left = max(0.1, min(REQUEST_SECONDS, self.until - time.monotonic()))
        outcomes: SimpleQueue[Reply | Exception] = SimpleQueue()

        def receive() -> None:
            try:
                outcomes.put(self._receive(path, about, params, body, left))
            except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
                outcomes.put(error)

        # httpx limits each read and no request as a whole, nor the look-up of a name: a server
        # that sends a byte now and then would hold us for ever. Closing the client ends the thread.
        Thread(target=receive, daemon=True).start()
        try:
            outcome = outcomes.get(timeout=left)
        except Empty:
            raise self._late(about, f"no whole answer after {left:.1f} s") from None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _late(self, about: str, found: str) -> SourceUnavailable:
        return SourceUnavailable(
            f"{self.provider} must answer in time",
            f"{about}: {found}",
            f"{LATER}, or raise BELLWETHER_SOURCE_DEADLINE_SECONDS",
        )

    def _receive(
        self,
        path: str,
        about: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, object] | None,
        seconds: float,
    ) -> Reply:
        import httpx

        late = time.monotonic() + seconds
        try:
            with self._client.stream(
                "GET" if body is None else "POST",
                path,
                params=params,
                json=body,
                timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
            ) as response:
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if time.monotonic() > late:
                        raise self._late(about, f"{len(content)} bytes after {seconds:.1f} s")
                    if len(content) > _LARGEST:
                        raise SourceUnavailable(
                            f"{self.provider} must answer in {_LARGEST >> 20} MB",
                            f"{about}: {len(content)} bytes so far",
                            LATER,
                        )
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(self.provider, about, response.status_code, headers, bytes(content))
        except httpx.TimeoutException as error:
            raise self._late(about, f"{type(error).__name__} after {seconds:.1f} s") from error
        except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
            raise SourceUnavailable(
                FAULTS["truncated_answer"].rule,
                f"{self.provider}, {about}: {error} (truncated_answer)",
                LATER,
            ) from error
        except httpx.HTTPError as error:
            raise SourceUnavailable(
                f"{self.provider} must be reachable",
                f"{self._client.base_url.host}, {about}: {type(error).__name__}: {error}",
                "Check the network, or take another source",
            ) from error
