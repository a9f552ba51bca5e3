"""The HTTP half of the adapter for Kubeflow Pipelines: REST v2beta1, page by page, errors in words.

What the server does was read from kubeflow/pipelines 2.17.0 (`backend/src/apiserver`); what requests
and answers look like is OpenAPI, and `tests/contract` holds both against `kfp_server_api`'s models.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from forecasting.adapters.http_client import LazyClient
from forecasting.adapters.pages import pages
from forecasting.errors import (
    BellwetherError,
    InvalidRequest,
    InvalidSettings,
    NameTaken,
    UnknownWorkflow,
    WorkflowsUnavailable,
)

if TYPE_CHECKING:
    from httpx import Response

PAGE: Final = 100
"""Objects asked for at a time; the server gives out no more than 200."""

_ROOT: Final = "/apis/v2beta1"
_WHAT: Final = "Kubeflow Pipelines"


class WorkflowApi(LazyClient):
    """One Kubeflow Pipelines API server.

    Args:
        url: its address, e.g. http://ml-pipeline.kubeflow:8888; a path prefix may stand in it.
        timeout: longest wait for one answer, in seconds.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidSettings(
                "the address of Kubeflow Pipelines must be an http address",
                repr(url),
                "Set BELLWETHER_PIPELINES_URL, e.g. http://ml-pipeline.kubeflow:8888",
            )
        self.url = url.rstrip("/")
        super().__init__(timeout=timeout)
        self._timeout = timeout

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """The object behind a path below /apis/v2beta1.

        Raises:
            UnknownWorkflow: there is none.
            InvalidRequest, WorkflowsUnavailable: the server refuses, fails or is not there.
        """
        return self._ask("GET", path, params=parameters)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send an object, or just ask for something to be done; the answer.

        Raises:
            NameTaken: there is one of that name.
            UnknownWorkflow, InvalidRequest, WorkflowsUnavailable: as `get`.
        """
        return self._ask("POST", path, **({} if body is None else {"json": body}))

    def upload(self, path: str, file_name: str, content: str, **parameters: str) -> dict[str, Any]:
        """Send a file as a form does; the answer. Errors as `post`."""
        files = {"uploadfile": (file_name, content.encode(), "application/yaml")}
        return self._ask("POST", path, files=files, params=parameters)

    def delete(self, path: str, **parameters: str) -> None:
        """Delete the object behind a path. Errors as `get`."""
        self._ask("DELETE", path, params=parameters)

    def every(
        self,
        path: str,
        key: str,
        *,
        equal: Mapping[str, str] | None = None,
        newest_first: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """The objects of a list, page by page, only as far as they are taken.

        Args:
            path: the list's path.
            key: the answer's field that holds the objects.
            equal: field -> the value that it must have.
            newest_first: whether the newest comes first; the oldest else.

        Raises:
            As `get`; WorkflowsUnavailable, too, when the list has no end.
        """
        parameters = {
            "page_size": str(PAGE),
            "sort_by": f"created_at {'desc' if newest_first else 'asc'}",
        }
        if equal:
            # The server decodes this once more than it decodes other parameters.
            parameters["filter"] = quote(json.dumps({"predicates": _predicates(equal)}))

        def page(token: str) -> dict[str, Any]:
            return self.get(path, **parameters, **({"page_token": token} if token else {}))

        for answer in pages(page, WorkflowsUnavailable, f"{_WHAT} at {self.url}"):
            yield from answer.get(key) or []

    def _ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        from httpx import HTTPError, InvalidURL, TimeoutException

        try:
            response = self.client.request(method, f"{self.url}{_ROOT}{path}", **content)
        except TimeoutException as error:
            raise WorkflowsUnavailable(
                f"{_WHAT} must answer in time",
                f"{self.url} said nothing for {self._timeout:g} s",
                "Look into the log of ml-pipeline; asking again with the same key is harmless",
            ) from error
        except (HTTPError, InvalidURL) as error:
            raise WorkflowsUnavailable(
                f"{_WHAT} must be reachable",
                f"{self.url}: {error or type(error).__name__}",
                "Start it, or correct BELLWETHER_PIPELINES_URL; inside a cluster a network policy "
                "may be in the way",
            ) from error
        return self._read(response, f"{method} {path}")

    def _read(self, response: "Response", request: str) -> dict[str, Any]:
        try:
            answer = response.json() if response.content else {}
        except ValueError:
            answer = None
        status = response.status_code
        if not isinstance(answer, dict):
            raise WorkflowsUnavailable(
                f"the address must be that of {_WHAT}' API",
                f"{self.url} answered {request} with status {status} and {response.text[:120]!r}",
                "Correct BELLWETHER_PIPELINES_URL: the API is the Service ml-pipeline, port 8888",
            )
        if response.is_success:
            return answer
        message = answer.get("message") or answer.get("error_message") or response.text[:400]
        raise _error(status, f"{request} was answered with {status}: {message}", str(message))


def _predicates(equal: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"operation": "EQUALS", "key": key, "string_value": value} for key, value in equal.items()
    ]


def _error(status: int, found: str, message: str) -> BellwetherError:
    """What a status means, with the server's own sentence."""
    if status == 404 and message in {"Not Found", "404 page not found"}:
        return WorkflowsUnavailable(
            f"{_WHAT} must speak its API v2beta1", found, f"Install {_WHAT} 2.17 or newer"
        )
    if status == 404:
        return UnknownWorkflow(
            f"{_WHAT} must know what is asked for",
            found,
            "`bellwether pipeline list` shows what is",
        )
    if status == 409:
        return NameTaken(f"a name is given once in {_WHAT}", found, "Ask for what has it")
    if status in {401, 403}:
        return WorkflowsUnavailable(
            f"{_WHAT} must let us in",
            found,
            "It must run in single-user mode, and no proxy before it may ask for a login",
        )
    if status < 500:
        return InvalidRequest(
            f"{_WHAT} must accept what is asked",
            found,
            "The sentence is the server's own; compile with the SDK of its version, 2.17",
        )
    return WorkflowsUnavailable(
        f"{_WHAT} must not fail", found, "Look into the log of ml-pipeline, then try again"
    )
