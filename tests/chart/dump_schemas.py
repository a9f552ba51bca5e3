"""Write tests/chart/schemas/kinds.json anew from the OpenAPI documents of a live cluster.

    KUBECONFIG=... python tests/chart/dump_schemas.py

What a kind's fields are is kept, not what they mean: a shape is the name of a scalar type, or
`{"fields": ..., "required": ...}`, `{"map": shape}`, `{"list": shape}`, `{"enum": [...]}`. Shapes
that occur more than once, as a container's do in every kind with pods, are written once and named.
"""

import hashlib
import json
import subprocess
from pathlib import Path

KINDS = {
    "api/v1": ["ConfigMap", "PersistentVolumeClaim", "Pod", "Secret", "Service", "ServiceAccount"],
    "apis/admissionregistration.k8s.io/v1": [
        "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
    ],
    "apis/apiextensions.k8s.io/v1": ["CustomResourceDefinition"],
    "apis/apps/v1": ["Deployment", "StatefulSet"],
    "apis/autoscaling/v2": ["HorizontalPodAutoscaler"],
    "apis/batch/v1": ["CronJob", "Job"],
    "apis/gateway.envoyproxy.io/v1alpha1": [
        "BackendTrafficPolicy", "ClientTrafficPolicy", "EnvoyProxy", "HTTPRouteFilter",
        "SecurityPolicy",
    ],
    "apis/gateway.networking.k8s.io/v1": [
        "GRPCRoute", "Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant",
    ],
    "apis/monitoring.coreos.com/v1": ["PodMonitor", "PrometheusRule"],
    "apis/monitoring.coreos.com/v1alpha1": ["AlertmanagerConfig"],
    "apis/networking.k8s.io/v1": ["NetworkPolicy"],
    "apis/policy/v1": ["PodDisruptionBudget"],
    "apis/rbac.authorization.k8s.io/v1": ["Role", "RoleBinding"],
    "apis/serving.kserve.io/v1alpha1": ["ClusterStorageContainer", "ServingRuntime"],
    "apis/serving.kserve.io/v1beta1": ["InferenceService"],
}  # fmt: skip
WRITTEN = Path(__file__).parent / "schemas" / "kinds.json"


class Shapes:
    """The shapes of one or more OpenAPI documents, equal ones written once."""

    def __init__(self):
        self.named = {}

    def of(self, node, schemas, seen=()):
        """The shape of an OpenAPI schema; a name when it is an object."""
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            return "any" if name in seen else self.of(schemas[name], schemas, (*seen, name))
        whole = node.get("allOf", [])
        if len(whole) == 1 and "properties" not in node:
            return self.of(whole[0], schemas, seen)
        if node.get("x-kubernetes-int-or-string") or node.get("format") == "int-or-string":
            return "int-or-string"
        if "oneOf" in node and "properties" not in node:
            return "int-or-string" if len(node["oneOf"]) > 1 else "any"
        if "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
            fields = {k: self.of(v, schemas, seen) for k, v in sorted(node["properties"].items())}
            return self._name({"fields": fields, "required": sorted(node.get("required", []))})
        if isinstance(node.get("additionalProperties"), dict):
            return self._name({"map": self.of(node["additionalProperties"], schemas, seen)})
        if "items" in node:
            return self._name({"list": self.of(node["items"], schemas, seen)})
        if "enum" in node:
            return self._name({"enum": node["enum"]})
        known = {"string", "integer", "number", "boolean"}
        return node["type"] if node.get("type") in known else "any"

    def _name(self, shape):
        text = json.dumps(shape, sort_keys=True)
        name = "#" + hashlib.sha256(text.encode()).hexdigest()[:8]
        self.named[name] = shape
        return name


def main():
    """Ask the cluster, write the file."""
    shapes, kinds = Shapes(), {}
    for path, names in KINDS.items():
        answer = subprocess.run(
            ["kubectl", "get", "--raw", f"/openapi/v3/{path}"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        schemas = json.loads(answer.stdout)["components"]["schemas"]
        version = path.removeprefix("apis/").removeprefix("api/")
        for schema in schemas.values():
            for gvk in schema.get("x-kubernetes-group-version-kind", []):
                api = "/".join(part for part in (gvk["group"], gvk["version"]) if part)
                if api == version and gvk["kind"] in names:
                    kinds[f"{api}/{gvk['kind']}"] = shapes.of(schema, schemas)
    missing = [
        n for p, ns in KINDS.items() for n in ns if not any(k.endswith(f"/{n}") for k in kinds)
    ]
    if missing:
        raise SystemExit(f"the cluster does not know {missing}: install their CRDs first")
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(shapes.named.items())]
    text = '{{"kinds": {},\n"shapes": {{\n{}\n}}}}\n'.format(
        json.dumps(kinds, indent=1, sort_keys=True), ",\n".join(lines),
    )  # fmt: skip
    WRITTEN.parent.mkdir(exist_ok=True)
    WRITTEN.write_text(text)


if __name__ == "__main__":
    main()
