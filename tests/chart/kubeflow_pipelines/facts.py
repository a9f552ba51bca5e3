"""What objects of a cluster say, as plain facts that can be compared: names, ports, variables, rules.

    kustomize build <kubeflow/pipelines 2.17.0>/manifests/kustomize/env/platform-agnostic > a.yaml
    kustomize build <the same>/manifests/kustomize/cluster-scoped-resources > b.yaml
    python -m tests.chart.kubeflow_pipelines.facts a.yaml b.yaml     # writes upstream.json anew

Facts of an object are a flat mapping from a few words to a value. A variable that takes its value
from a ConfigMap of the same set has that value, because it is what a program reads.
"""

import json
import sys
from pathlib import Path

import yaml

UPSTREAM = Path(__file__).parent / "upstream.json"
WORKLOADS = {"Deployment", "StatefulSet"}


def facts(objects):
    """Facts of every object, by `<kind>/<name>`."""
    known = {f"{o['kind']}/{o['metadata']['name']}": o for o in objects}
    return {name: dict(_of(made, known)) for name, made in sorted(known.items())}


def differences(theirs, ours):
    """Every fact that is not the same on both sides: object, fact, their value, our value."""
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in theirs or name not in ours:
            yield name, "exists", name in theirs, name in ours
            continue
        for fact in sorted(theirs[name].keys() | ours[name].keys()):
            pair = theirs[name].get(fact), ours[name].get(fact)
            if pair[0] != pair[1]:
                yield name, fact, *pair


def _of(made, known):
    kind = made["kind"]
    if kind in WORKLOADS:
        yield from _workload(made, known)
    elif kind == "Service":
        yield from _service(made, known)
    elif kind == "Role":
        yield from _role(made)
    elif kind == "RoleBinding":
        yield "role", made["roleRef"]["name"]
        yield "subjects", sorted(subject["name"] for subject in made["subjects"])
    elif kind == "ConfigMap":
        yield from _flat(_parsed(made.get("data", {})), "data ")
    elif kind == "Secret":
        yield "keys", sorted({**made.get("data", {}), **made.get("stringData", {})})
    elif kind == "PersistentVolumeClaim":
        yield "size", made["spec"]["resources"]["requests"]["storage"]
        yield "access", made["spec"]["accessModes"]
    elif kind == "CustomResourceDefinition":
        yield from _definition(made)


def _workload(made, known):
    spec = made["spec"]["template"]["spec"]
    yield "replicas", made["spec"].get("replicas", 1)
    yield "strategy", made["spec"].get("strategy", {}).get("type", "RollingUpdate")
    yield "account", spec.get("serviceAccountName", "default")
    yield "priority", spec.get("priorityClassName")
    yield "service links", spec.get("enableServiceLinks", True)
    for volume in spec.get("volumes", []):
        kind = next(key for key in volume if key != "name")
        yield f"volume {volume['name']}", kind
    for role in ("initContainers", "containers"):
        for container in spec.get(role, []):
            head = f"{'init ' if role == 'initContainers' else ''}{container['name']}: "
            security = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
            for fact, value in _container(container, security, known):
                yield head + fact, value


def _container(container, security, known):
    yield "image", container["image"].removeprefix("docker.io/").removeprefix("library/")
    yield "command", container.get("command", [])
    yield "args", ["(script)" if "\n" in word else word for word in container.get("args", [])]
    for port in container.get("ports", []):
        yield f"port {port['containerPort']}", port.get("protocol", "TCP")
    for variable in container.get("env", []):
        yield f"env {variable['name']}", _value(variable, known)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if probe in container:
            yield probe, _probe(container[probe], container)
    for amount in ("requests", "limits"):
        yield from _flat(container.get("resources", {}).get(amount, {}), f"{amount} ")
    yield from _flat(security, "security ")
    for mount in container.get("volumeMounts", []):
        yield f"mount {mount['mountPath']}", mount["name"]


def _value(variable, known):
    source = variable.get("valueFrom", {})
    if "configMapKeyRef" in source:
        ref = source["configMapKeyRef"]
        return known.get(f"ConfigMap/{ref['name']}", {}).get("data", {}).get(ref["key"])
    if "secretKeyRef" in source:
        return f"Secret {source['secretKeyRef']['name']} {source['secretKeyRef']['key']}"
    if "fieldRef" in source:
        return f"field {source['fieldRef']['fieldPath']}"
    return variable.get("value", "")


def _probe(probe, container):
    named = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
    for how in ("httpGet", "tcpSocket"):
        if how in probe:
            port = probe[how]["port"]
            return f"{how} {named.get(port, port)} {probe[how].get('path', '')}".strip()
    return "exec"


def _service(made, known):
    named = {
        port.get("name"): port["containerPort"]
        for workload in known.values()
        if workload["kind"] in WORKLOADS
        and made["spec"]["selector"].items()
        <= workload["spec"]["template"]["metadata"]["labels"].items()
        for container in workload["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", [])
    }
    for port in made["spec"]["ports"]:
        target = port.get("targetPort", port["port"])
        yield f"port {port['port']}", f"{port.get('name', '')} to {named.get(target, target)}"
    for key, value in made["metadata"].get("annotations", {}).items():
        yield f"annotation {key}", value


def _role(made):
    for rule in made["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                names = "".join(f" {name}" for name in rule.get("resourceNames", []))
                yield f"may {group or 'core'}/{resource}{names}", sorted(rule["verbs"])


def _definition(made):
    spec = made["spec"]
    yield "scope", spec["scope"]
    yield "names", spec["names"]
    for version in spec["versions"]:
        head = f"{version['name']}: "
        yield head + "served, stored", [version["served"], version["storage"]]
        yield head + "status apart", "status" in version.get("subresources", {})
        yield head + "columns", [c["jsonPath"] for c in version.get("additionalPrinterColumns", [])]


def _parsed(data):
    """Values of a ConfigMap: settings as what they hold, programs and prose only as being there."""
    parsed = {}
    for key, text in data.items():
        parsed[key] = text
        if "\n" in text:
            settings = "." not in key and key != "warning"
            parsed[key] = yaml.safe_load(text) if settings else "(text)"
    return parsed


def _flat(node, head):
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{head}{key}.")
        else:
            yield f"{head}{key}", value


def main():
    """Write the facts of upstream's rendering."""
    objects = [o for path in sys.argv[1:] for o in yaml.safe_load_all(Path(path).read_text()) if o]
    UPSTREAM.write_text(json.dumps(facts(objects), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
