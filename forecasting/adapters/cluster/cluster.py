"""Model versions on Kubernetes: their InferenceServices, disruption budgets and pods.

One writer per object: what a version is made of is written here alone, by server-side apply, and
the rules of the routes in `forecasting.adapters.cluster.routes`.
"""

import time
from typing import Final

from forecasting.adapters.cluster.manifests import (
    INFERENCE_SERVICE,
    MODEL,
    MODEL_VERSION,
    Object,
    RolloutConfig,
    VersionSpec,
    disruption_budget,
    inference_service,
    service_name,
)
from forecasting.adapters.cluster.readiness import Trouble, VersionState, trouble
from forecasting.adapters.cluster.routes import Routes
from forecasting.errors import ClusterUnavailable, InvalidSettings, NotReady
from forecasting.path_names import is_number

_KSERVE: Final = "apis/serving.kserve.io/v1beta1"


class Cluster(Routes):
    """One release in one namespace.

    Args:
        namespace: where the release is.
        release: name of the Helm release.
        context: of the kubeconfig; "" for the current one, or the pod's own token inside a pod.
    """

    def __init__(self, namespace: str, release: str, *, context: str = "") -> None:
        super().__init__(namespace, context)
        self.release = release

    @property
    def fullname(self) -> str:
        """What the chart's names begin with."""
        return self.release if "bellwether" in self.release else f"{self.release}-bellwether"

    def config(self) -> RolloutConfig:
        """What Helm says about rollouts.

        Raises:
            InvalidSettings: the release is not there, or its ConfigMap cannot be read.
            ClusterUnavailable: the cluster cannot be reached.
        """
        name = f"{self.fullname}-rollout"
        config_map = self.get(f"api/v1/namespaces/{self.namespace}/configmaps/{name}")
        if config_map is None:
            raise InvalidSettings(
                "the release must be installed",
                f"namespace {self.namespace} has no ConfigMap {name}",
                "Install the chart, or name the release with --namespace and --release",
            )
        return RolloutConfig.parse(name, config_map.get("data") or {})

    def services(self, config: RolloutConfig) -> dict[int, Object]:
        """The InferenceService of every version, by number; one that names none is not ours."""
        selector = f"{MODEL}={config.model},{MODEL_VERSION}"
        services = self.items(self._isvcs, labelSelector=selector)
        numbered = [(service["metadata"]["labels"][MODEL_VERSION], service) for service in services]
        return {int(number): service for number, service in numbered if is_number(number)}

    def ready(self, config: RolloutConfig) -> dict[int, int]:
        """How many ready endpoints every version has."""
        return {
            version: self._state_of(config, version, service).ready_endpoints
            for version, service in self.services(config).items()
        }

    def version_state(self, config: RolloutConfig, version: int) -> VersionState | None:
        """What the cluster has of a version; None when it has no InferenceService."""
        service = self.get(f"{self._isvcs}/{service_name(config.model, version)}")
        return None if service is None else self._state_of(config, version, service)

    def trouble(self, version_state: VersionState) -> Trouble:
        """Why it is not ready."""
        return trouble(version_state, self._log)

    def apply_version(self, config: RolloutConfig, version_spec: VersionSpec) -> None:
        """Make a version run as the template says; what belongs to it goes with it.

        Raises:
            InvalidSettings: the cluster refuses it, e.g. KServe's webhook does.
            ClusterUnavailable: the cluster cannot be reached, or does not let us.
        """
        made = inference_service(config, version_spec, self.namespace)
        name = made["metadata"]["name"]
        service = self.apply(f"{self._isvcs}/{name}", made)
        if budget := disruption_budget(config, service):
            budgets = f"apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets"
            self.apply(f"{budgets}/{name}", budget)

    def delete_version(
        self, config: RolloutConfig, version: int, *, patience: float = 120.0
    ) -> None:
        """Delete a version and what KServe leaves behind of it; wait until its pods are gone.

        KServe leaves autoscalers; routes it makes none, for our versions are cluster-local.

        Raises:
            NotReady: it is not gone in time.
        """
        name = service_name(config.model, version)
        deadline = time.monotonic() + patience
        self.delete(f"{self._isvcs}/{name}")
        selector = f"{INFERENCE_SERVICE}={name}"
        pods = f"api/v1/namespaces/{self.namespace}/pods"
        while self.get(f"{self._isvcs}/{name}") or self.items(pods, labelSelector=selector):
            if time.monotonic() > deadline:
                raise NotReady(
                    "a deleted version must be gone",
                    f"{name} still has pods after {patience:.0f} s",
                    f"kubectl -n {self.namespace} get isvc,pods -l {selector}",
                )
            time.sleep(1.0)
        scalers = f"apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers"
        self.delete(f"{scalers}/{name}-predictor")

    @property
    def _isvcs(self) -> str:
        return f"{_KSERVE}/namespaces/{self.namespace}/inferenceservices"

    def _state_of(self, config: RolloutConfig, version: int, service: Object) -> VersionState:
        name = service_name(config.model, version)
        core = f"api/v1/namespaces/{self.namespace}"
        apps = f"apis/apps/v1/namespaces/{self.namespace}"
        slices = f"apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        return VersionState(
            service=service,
            deployment=self.get(f"{apps}/deployments/{name}-predictor"),
            pods=self.items(f"{core}/pods", labelSelector=f"{INFERENCE_SERVICE}={name}"),
            endpoints=self.items(
                slices, labelSelector=f"kubernetes.io/service-name={name}-predictor"
            ),
        )

    def _log(self, pod: str, container: str) -> str:
        path = f"api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        try:
            return self.text(path, container=container, tailLines="40")
        except (ClusterUnavailable, InvalidSettings):
            return ""  # a container that never started has no log
