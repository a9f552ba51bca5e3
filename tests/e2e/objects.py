"""Kubernetes' objects over one open connection, where kubectl would be a process at every look."""

import json
from pathlib import Path
from typing import Any

from kubernetes.config import new_client_from_config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import DynamicApiError, NotFoundError
from kubernetes.dynamic.resource import Resource
from urllib3.exceptions import HTTPError


class Objects:
    """What the API server holds.

    Args:
        kubeconfig: how to reach it.
        cache: file for the list of kinds; a new one, or kinds of an earlier cluster would be in it.
    """

    def __init__(self, kubeconfig: Path, cache: Path) -> None:
        self._client = DynamicClient(new_client_from_config(str(kubeconfig)), cache_file=str(cache))
        self._kinds: dict[str, Resource] = {}

    def exists(self, kind: str, name: str, *, namespace: str) -> bool:
        """Whether there is such an object. Errors as `get`, but for that."""
        try:
            return bool(self.get(kind, name, namespace=namespace))
        except AssertionError as error:
            if isinstance(error.__cause__, NotFoundError):
                return False
            raise

    def get(self, kind: str, name: str, *, namespace: str, labels: str = "") -> Any:
        """One object, or the list of all (with these labels) when there is no name.

        Args:
            kind: as kubectl takes it: pod, pods, po, pods.metrics.k8s.io.
            name: of the object, or "".
            namespace: of it; without meaning where the kind has none.
            labels: a label selector, or "".

        Raises:
            AssertionError: there is no such object, or the API server fails.
        """
        resource = self._resource(kind)
        place = {"namespace": namespace} if resource.namespaced else {}
        try:
            answer = self._client.get(
                resource, name or None, label_selector=labels or None, serialize=False, **place
            )
        except (DynamicApiError, HTTPError) as error:
            raise AssertionError(f"{kind} {name} in {namespace}: {error}") from error
        found = json.loads(answer.data)
        if name:
            return found
        said = {"apiVersion": resource.group_version, "kind": resource.kind}
        return [said | item for item in found["items"]]

    def _resource(self, kind: str) -> Resource:
        if kind not in self._kinds:
            # Definitions may be younger than what was found the last time.
            self._client.resources.invalidate_cache()
            found = [one for one in self._client.resources.search() if hasattr(one, "kind")]
            # The metrics API has pods, too: the core's own, which have no group, come first.
            for one in sorted(found, key=lambda one: (one.group or "", not one.preferred)):
                if one.kind.endswith("List"):
                    continue
                names = [one.name, one.kind.lower(), *(one.short_names or ())]
                for word in [*names, f"{one.name}.{one.group}"]:
                    self._kinds.setdefault(word, one)
        assert kind in self._kinds, f"the cluster knows no {kind}"
        return self._kinds[kind]
