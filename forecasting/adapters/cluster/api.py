"""Reads and applies Kubernetes objects as plain dictionaries; failures become our own errors."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from forecasting.adapters.cluster.manifests import Object
from forecasting.errors import ClusterUnavailable, InvalidSettings, RolloutConflict

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

MANAGER: Final = "bellwether-rollout"
_TIMEOUT: Final = 15.0
_APPLY: Final = "application/apply-patch+yaml"


class KubernetesApi:
    """The Kubernetes API, seen from one namespace.

    Args:
        namespace: whose objects are read and written.
        context: of the kubeconfig; "" for the current one, or the pod's own token inside a pod.
    """

    def __init__(self, namespace: str, context: str = "") -> None:
        self.namespace = namespace
        self.context = context
        self._opened: ApiClient | None = None

    @property
    def inside(self) -> bool:
        """Whether we run in a pod of the cluster."""
        return not self.context and "KUBERNETES_SERVICE_HOST" in os.environ

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def get(self, path: str) -> Object | None:
        """The object at a path, or None when there is none.

        Raises:
            InvalidSettings: the cluster refuses to answer.
            ClusterUnavailable: the cluster cannot be reached, or does not let us.
        """
        try:
            content: Object = json.loads(self._call("GET", path))
        except _Missing:
            return None
        return content

    def items(self, path: str, **query: str) -> list[Object]:
        """The objects of a list; errors as `get`."""
        try:
            return list(json.loads(self._call("GET", path, query=query)).get("items") or [])
        except _Missing:
            return []

    def text(self, path: str, **query: str) -> str:
        """What is at a path, as it is; errors as `get`."""
        return self._call("GET", path, query=query)

    def apply(self, path: str, body: Object) -> Object:
        """Create or change an object by server-side apply; what it has become.

        Raises:
            RolloutConflict: it is not the version that the body names any more.
            InvalidSettings, ClusterUnavailable: as `get`.
        """
        query = {"fieldManager": MANAGER, "force": "true"}
        applied: Object = json.loads(self._call("PATCH", path, query=query, body=body))
        return applied

    def delete(self, path: str) -> None:
        """Delete the object at a path, if it is there; errors as `get`."""
        try:
            self._call("DELETE", path, query={"propagationPolicy": "Background"})
        except _Missing:
            return

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
    ) -> str:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = _APPLY
        client = self._client()
        try:
            response = client.call_api(
                f"/{path}",
                method,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=_TIMEOUT,
            )
            return bytes(response.data).decode()
        except ApiException as error:
            answer = error.body or error.reason or ""
            text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
            raise _error(int(error.status), text, path) from error
        except (HTTPError, OSError) as error:
            raise ClusterUnavailable(
                "the Kubernetes API must be reachable",
                f"{client.configuration.host}: {error}",
                "Check the cluster and the kubeconfig's context",
            ) from error

    def _client(self) -> "ApiClient":
        if self._opened is None:
            from kubernetes import config
            from kubernetes.client import ApiClient, Configuration

            settings = Configuration()
            try:
                if self.inside:
                    config.load_incluster_config(client_configuration=settings)
                else:
                    config.load_kube_config(
                        context=self.context or None, client_configuration=settings
                    )
            except config.ConfigException as error:
                raise InvalidSettings(
                    "a kubeconfig or a pod's token must lead to the cluster",
                    str(error),
                    "Set KUBECONFIG, or name a context with --context",
                ) from error
            self._opened = ApiClient(settings)
        return self._opened


class _Missing(Exception):
    """The API server has no such object."""


def _error(status: int, body: str, path: str) -> Exception:
    """What a status means, with the server's own message."""
    try:
        message = str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        message = body[:300]
    if status == 404:
        return _Missing(message)
    if status == 409:
        return RolloutConflict(
            "of two writers at once only one may change who gets the requests",
            message,
            "Look with `bellwether rollout status`, then decide again",
        )
    if status in {401, 403} and "exceeded quota" not in message:
        return ClusterUnavailable(
            "Kubernetes must let us", message, "Use a context or service account with the rights"
        )
    if 400 <= status < 500:
        return InvalidSettings(
            "Kubernetes must accept what the rollout writes",
            f"{path.rpartition('/')[2]}: {message}",
            "Correct the chart's values that make the template",
        )
    return ClusterUnavailable(
        "the Kubernetes API must answer",
        f"{status}: {message}",
        "Try again in a moment; a webhook that is down (KServe's) answers like this, too",
    )
