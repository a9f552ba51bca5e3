"""What a rollout writes of a version, as plain Kubernetes objects.

How a version runs (the templates) is Helm's; which one runs and who gets it is decided here.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from forecasting.errors import InvalidSettings
from forecasting.path_names import is_plain_name, require_digest
from forecasting.rollout.asked import ALL_PRICES, AskedPrices

Object = dict[str, Any]
"""A Kubernetes object, or a part of one."""

MODEL_VERSION: Final = "bellwether.io/model-version"
MODEL: Final = "bellwether.io/model"
BUNDLE_DIGEST: Final = "bellwether.io/bundle-digest"
SIGNATURE: Final = "bellwether.io/bundle-signature"
KIND: Final = "bellwether.io/kind"
TEMPLATE: Final = "bellwether.io/template"
INFERENCE_SERVICE: Final = "serving.kserve.io/inferenceservice"


@dataclass(frozen=True)
class RolloutConfig:
    """What Helm says about rollouts: `rollout.json` and the two templates beside it.

    Attributes:
        route, grpc_route: names of the HTTPRoute and the GRPCRoute; no GRPCRoute when "".
        model: name of the registered model.
        artifact_store: where `mlflow-artifacts:/` lies in the object store.
        steps, minutes_per_step: of `rollout run`.
        prometheus_url, pushgateway_url: as pods reach them; "" when there is none.
        service_port, grpc_port: of the Services KServe makes.
        registry_service, registry_port: the registry's Service.
        inference_service, disruption_budget: the templates; the latter may be empty.
        asked: symbols and data set that the values name for trainings and refreshes.
        trusted_keys: public keys whose versions may run, PEM; "" where signatures are not asked for.
        ledger_url: the ledger's database as pods reach it, without a login.
        ledger_secret: Secret with username and password of it.
        approval_required: whether a version gets its first requests after a person approved it.
        keep_versions, keep_days: what of versions without requests is not retired.
    """

    route: str
    grpc_route: str
    model: str
    artifact_store: str
    steps: tuple[int, ...]
    minutes_per_step: float
    prometheus_url: str
    pushgateway_url: str
    service_port: int
    grpc_port: int
    registry_service: str
    registry_port: int
    inference_service: Object
    disruption_budget: Object
    trusted_keys: str = ""
    ledger_url: str = ""
    ledger_secret: str = ""
    asked: AskedPrices = ALL_PRICES
    approval_required: bool = False
    keep_versions: int = 3
    keep_days: float = 7.0

    @classmethod
    def parse(cls, name: str, data: Mapping[str, str]) -> "RolloutConfig":
        """Read the ConfigMap `name`.

        Raises:
            InvalidSettings: a part is missing or cannot be read.
        """
        import yaml

        try:
            settings = json.loads(data["rollout.json"])
            return cls(
                route=str(settings["route"]),
                grpc_route=str(settings.get("grpcRoute", "")),
                model=str(settings["model"]),
                artifact_store=str(settings["artifactStore"]).rstrip("/"),
                steps=tuple(int(step) for step in settings["steps"]),
                minutes_per_step=float(settings["minutesPerStep"]),
                prometheus_url=str(settings.get("prometheusUrl", "")),
                pushgateway_url=str(settings.get("pushgatewayUrl", "")),
                service_port=int(settings["servicePort"]),
                grpc_port=int(settings.get("grpcPort", 0)),
                registry_service=str(settings["registryService"]),
                registry_port=int(settings["registryPort"]),
                inference_service=_mapping(yaml.safe_load(data["inferenceservice.yaml"])),
                disruption_budget=_mapping(
                    yaml.safe_load(data.get("poddisruptionbudget.yaml") or "{}")
                ),
                trusted_keys=data.get("trusted-keys.pem") or "",
                ledger_url=str(settings.get("ledgerUrl", "")),
                ledger_secret=str(settings.get("ledgerSecret", "")),
                asked=AskedPrices.of(settings.get("training") or {}),
                approval_required=settings.get("approvalRequired") is True,
                keep_versions=int(settings.get("keepVersions", 3)),
                keep_days=float(settings.get("keepDays", 7.0)),
            )
        except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            raise InvalidSettings(
                "the rollout's ConfigMap must hold rollout.json and inferenceservice.yaml",
                f"{name}: {error!r}",
                "Install or upgrade the chart: helm upgrade --install",
            ) from error


@dataclass(frozen=True)
class VersionSpec:
    """A version that should run.

    Attributes:
        version: its number in the registry.
        storage_uri: where its bundle lies, as KServe reads it.
        digest: SHA-256 of the bundle's manifest.
        kind: kind of model.
        signature: who trained it, for the pods to verify; "" where signatures are not asked for.
    """

    version: int
    storage_uri: str
    digest: str
    kind: str
    signature: str = ""


def service_name(model: str, version: int) -> str:
    """Name of a version's InferenceService."""
    return f"{model}-v{version}"


def storage_uri(artifact_uri: str, artifact_store: str) -> str:
    """Where a run's bundle lies, from the run's artifact address in the registry.

    Args:
        artifact_uri: as the registry says; whoever can write there chooses it.
        artifact_store: the folder of the object store that holds artifacts, and nothing else.

    Raises:
        InvalidSettings: it does not lie in the artifact store.
    """
    scheme, _, path = artifact_uri.partition(":")
    if scheme == "mlflow-artifacts":
        # mlflow-artifacts:/1/abc/artifacts, or with a host: mlflow-artifacts://host:port/1/...
        inside = path[2:].partition("/")[2] if path.startswith("//") else path
    elif artifact_uri.startswith(f"{artifact_store}/"):
        inside = artifact_uri.removeprefix(f"{artifact_store}/")
    else:
        inside = ""
    names = inside.strip("/").split("/")
    if not all(is_plain_name(name) for name in names):
        raise InvalidSettings(
            f"a version's bundle must lie in the artifact store {artifact_store}",
            artifact_uri[:200],
            "Train it against the cluster's registry, which keeps artifacts there",
        )
    return f"{artifact_store}/{'/'.join(names)}/bundle"


def inference_service(config: RolloutConfig, version_spec: VersionSpec, namespace: str) -> Object:
    """The InferenceService of a version: the template, and what makes it this version.

    Raises:
        BundleRejected: its digest is none; pods would not know which bundle to accept.
    """
    require_digest(version_spec.digest, f"that of version {version_spec.version}")
    made = copy.deepcopy(config.inference_service)
    made.setdefault("apiVersion", "serving.kserve.io/v1beta1")
    made.setdefault("kind", "InferenceService")
    number = str(version_spec.version)
    labels = {MODEL_VERSION: number, MODEL: config.model, "app.kubernetes.io/component": "model"}
    signed = _signed(config, version_spec)
    parts = [
        config.inference_service,
        version_spec.storage_uri,
        version_spec.digest,
        *([signed] * bool(signed)),
    ]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    metadata = made.setdefault("metadata", {})
    metadata["name"] = service_name(config.model, version_spec.version)
    metadata["namespace"] = namespace
    metadata["labels"] = {**metadata.get("labels", {}), **labels}
    template = digest.hexdigest()[:16]
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        BUNDLE_DIGEST: version_spec.digest,
        KIND: version_spec.kind,
        TEMPLATE: template,
        **({SIGNATURE: version_spec.signature} if signed else {}),
    }
    predictor = made.setdefault("spec", {}).setdefault("predictor", {})
    predictor["labels"] = {**predictor.get("labels", {}), **labels}
    # Pods carry the template's digest, so that it can be seen which of them KServe has renewed.
    predictor["annotations"] = {**predictor.get("annotations", {}), TEMPLATE: template}
    model = predictor.setdefault("model", {})
    model["storageUri"] = version_spec.storage_uri
    version_env = {
        "BELLWETHER_MODEL_VERSION": number,
        "BELLWETHER_BUNDLE_DIGEST": version_spec.digest,
        **signed,
    }
    other_env = [
        variable for variable in model.get("env", []) if variable.get("name") not in version_env
    ]
    model["env"] = [
        *other_env,
        *({"name": name, "value": value} for name, value in version_env.items()),
    ]
    return made


def _signed(config: RolloutConfig, version_spec: VersionSpec) -> dict[str, str]:
    """Variables by which a pod verifies for itself who trained its bundle."""
    if not config.trusted_keys:
        return {}
    return {
        "BELLWETHER_BUNDLE_SIGNATURE": version_spec.signature,
        "BELLWETHER_TRUSTED_KEYS": config.trusted_keys,
    }


def read_version_spec(service: Mapping[str, Any]) -> VersionSpec:
    """What an InferenceService of ours says it runs."""
    metadata = service["metadata"]
    notes = metadata.get("annotations", {})
    return VersionSpec(
        version=int(metadata["labels"][MODEL_VERSION]),
        storage_uri=str(service["spec"]["predictor"]["model"].get("storageUri", "")),
        digest=str(notes.get(BUNDLE_DIGEST, "")),
        kind=str(notes.get(KIND, "")),
        signature=str(notes.get(SIGNATURE, "")),
    )


def disruption_budget(config: RolloutConfig, service: Mapping[str, Any]) -> Object | None:
    """The budget that goes with a version and ends with it; None when the template is empty.

    Args:
        config: holds the template.
        service: the InferenceService as the cluster has it, with its uid.
    """
    if not config.disruption_budget:
        return None
    owner = service["metadata"]
    template = config.disruption_budget.get("metadata", {})
    owned_by = {
        "apiVersion": service["apiVersion"],
        "kind": service["kind"],
        "name": owner["name"],
        "uid": owner["uid"],
    }
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": owner["name"],
            "namespace": owner["namespace"],
            "labels": {**template.get("labels", {}), MODEL_VERSION: owner["labels"][MODEL_VERSION]},
            "annotations": template.get("annotations", {}),
            "ownerReferences": [owned_by],
        },
        "spec": {
            **copy.deepcopy(config.disruption_budget.get("spec", {})),
            "selector": {"matchLabels": {INFERENCE_SERVICE: owner["name"]}},
        },
    }


def _mapping(value: Any) -> Object:
    if not isinstance(value, dict):
        raise TypeError(f"a mapping is needed, not {type(value).__name__}")
    return value
