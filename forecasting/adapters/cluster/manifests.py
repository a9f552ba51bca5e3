"""What a rollout writes, as plain Kubernetes objects: one version's, and the rules of the routes.

How a version runs (the templates) is Helm's; which one runs and who gets it is decided here.
"""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from forecasting.errors import InvalidSettings
from forecasting.rollout.traffic import Traffic

Object = dict[str, Any]
"""A Kubernetes object, or a part of one."""

MODEL_VERSION: Final = "bellwether.io/model-version"
MODEL: Final = "bellwether.io/model"
BUNDLE_DIGEST: Final = "bellwether.io/bundle-digest"
KIND: Final = "bellwether.io/kind"
TEMPLATE: Final = "bellwether.io/template"
HELD: Final = "bellwether.io/held"
CHANGED: Final = "bellwether.io/changed"
INFERENCE_SERVICE: Final = "serving.kserve.io/inferenceservice"
VERSION_HEADER: Final = "bellwether-model-version"


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
            )
        except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            raise InvalidSettings(
                "the rollout's ConfigMap must hold rollout.json and inferenceservice.yaml",
                f"{name}: {error!r}",
                "Install or upgrade the chart: helm upgrade --install",
            ) from error


@dataclass(frozen=True)
class Wanted:
    """A version that should run.

    Attributes:
        version: its number in the registry.
        storage_uri: where its bundle lies, as KServe reads it.
        digest: SHA-256 of the bundle's manifest.
        kind: kind of model.
    """

    version: int
    storage_uri: str
    digest: str
    kind: str


def service_name(model: str, version: int) -> str:
    """Name of a version's InferenceService."""
    return f"{model}-v{version}"


def storage_uri(artifact_uri: str, artifact_store: str) -> str:
    """Where a run's bundle lies, from the run's artifact address in the registry.

    Raises:
        InvalidSettings: the cluster cannot read it from there.
    """
    scheme, _, path = artifact_uri.partition(":")
    if scheme == "s3":
        return f"{artifact_uri.rstrip('/')}/bundle"
    if scheme == "mlflow-artifacts":
        # mlflow-artifacts:/1/abc/artifacts, or with a host: mlflow-artifacts://host:port/1/...
        if path.startswith("//"):
            path = path[2:].partition("/")[2]
        return f"{artifact_store}/{path.strip('/')}/bundle"
    raise InvalidSettings(
        "a version's bundle must lie in the object store",
        artifact_uri,
        "Train it against the cluster's registry, which keeps artifacts there",
    )


def inference_service(config: RolloutConfig, wanted: Wanted, namespace: str) -> Object:
    """The InferenceService of a version: the template, and what makes it this version."""
    made = copy.deepcopy(config.inference_service)
    made.setdefault("apiVersion", "serving.kserve.io/v1beta1")
    made.setdefault("kind", "InferenceService")
    number = str(wanted.version)
    labels = {MODEL_VERSION: number, MODEL: config.model, "app.kubernetes.io/component": "model"}
    digest = hashlib.sha256(
        json.dumps(
            [config.inference_service, wanted.storage_uri, wanted.digest], sort_keys=True
        ).encode()
    )
    metadata = made.setdefault("metadata", {})
    metadata["name"] = service_name(config.model, wanted.version)
    metadata["namespace"] = namespace
    metadata["labels"] = {**metadata.get("labels", {}), **labels}
    template = digest.hexdigest()[:16]
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        BUNDLE_DIGEST: wanted.digest,
        KIND: wanted.kind,
        TEMPLATE: template,
    }
    predictor = made.setdefault("spec", {}).setdefault("predictor", {})
    predictor["labels"] = {**predictor.get("labels", {}), **labels}
    # Pods carry the template's digest, so that it can be seen which of them KServe has renewed.
    predictor["annotations"] = {**predictor.get("annotations", {}), TEMPLATE: template}
    model = predictor.setdefault("model", {})
    model["storageUri"] = wanted.storage_uri
    ours = {"BELLWETHER_MODEL_VERSION": number, "BELLWETHER_BUNDLE_DIGEST": wanted.digest}
    given = [variable for variable in model.get("env", []) if variable.get("name") not in ours]
    model["env"] = [*given, *({"name": name, "value": value} for name, value in ours.items())]
    return made


def read_wanted(service: Mapping[str, Any]) -> Wanted:
    """What an InferenceService of ours says it runs."""
    metadata = service["metadata"]
    notes = metadata.get("annotations", {})
    return Wanted(
        version=int(metadata["labels"][MODEL_VERSION]),
        storage_uri=str(service["spec"]["predictor"]["model"].get("storageUri", "")),
        digest=str(notes.get(BUNDLE_DIGEST, "")),
        kind=str(notes.get(KIND, "")),
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


def http_rules(traffic: Traffic, model: str, port: int) -> list[Object]:
    """Rules of the HTTPRoute: the split, then every version by its number, the oldest first.

    Envoy Gateway names its clusters by a rule's place. So the split never moves: a rule whose
    place changes answers 503 for some milliseconds, until its new cluster is known.
    """
    # The longest path decides before any header does: a pin with "/" would lose to the split.
    everything = {"path": {"type": "PathPrefix", "value": "/v2"}}
    rules = [{"matches": [everything], "backendRefs": _split(traffic, model, port)}]
    for version in sorted(traffic.weights):
        path = f"/v2/models/{model}/versions/{version}"
        header = {"type": "Exact", "name": VERSION_HEADER, "value": str(version)}
        rules.append(
            {
                "matches": [
                    {**everything, "headers": [header]},
                    {"path": {"type": "PathPrefix", "value": path}},
                ],
                "backendRefs": [_backend(model, version, port, 1)],
            }
        )
    return rules


def grpc_rules(traffic: Traffic, model: str, port: int) -> list[Object]:
    """Rules of the GRPCRoute: the split, then every version by the header."""
    rules: list[Object] = [{"backendRefs": _split(traffic, model, port)}]
    for version in sorted(traffic.weights):
        header = {"type": "Exact", "name": VERSION_HEADER, "value": str(version)}
        backend = _backend(model, version, port, 1)
        rules.append({"matches": [{"headers": [header]}], "backendRefs": [backend]})
    return rules


def read_traffic(route: Mapping[str, Any], model: str) -> Traffic:
    """The split an HTTPRoute holds; of rules that are not ours, nothing."""
    prefix, suffix = f"{model}-v", "-predictor"
    weights: dict[int, int] = {}
    rules: Sequence[Mapping[str, Any]] = route.get("spec", {}).get("rules") or []
    for backend in (rules[0].get("backendRefs") or []) if rules else []:
        name = str(backend.get("name", ""))
        number = name.removeprefix(prefix).removesuffix(suffix)
        if name == f"{prefix}{number}{suffix}" and number.isdigit():
            weights[int(number)] = int(backend.get("weight", 1))
    annotation = route.get("metadata", {}).get("annotations", {}).get(HELD, "")
    held = tuple(int(version) for version in annotation.split(",") if version.strip().isdigit())
    return Traffic(weights, tuple(version for version in held if version in weights))


def _split(traffic: Traffic, model: str, port: int) -> list[Object]:
    return [
        _backend(model, version, port, traffic.weights[version])
        for version in sorted(traffic.weights, reverse=True)
    ]


def _backend(model: str, version: int, port: int, weight: int) -> Object:
    # What the API server would fill in is written out, so that nothing differs when read again.
    name = f"{service_name(model, version)}-predictor"
    return {"group": "", "kind": "Service", "name": name, "port": port, "weight": weight}


def _mapping(value: Any) -> Object:
    if not isinstance(value, dict):
        raise TypeError(f"a mapping is needed, not {type(value).__name__}")
    return value
