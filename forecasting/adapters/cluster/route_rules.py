"""The rules of a release's routes: the split, a shadow's copies, and every version by its number."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from forecasting.adapters.cluster.manifests import Object, service_name
from forecasting.inference_protocol.messages import SHADOW_HEADER
from forecasting.rollout.traffic import ALL, Shadow, Traffic

STABLE_HISTORY: Final = "bellwether.io/held"
CHANGED: Final = "bellwether.io/changed"
SHADOW: Final = "bellwether.io/shadow"
VERSION_HEADER: Final = "bellwether-model-version"


def http_rules(traffic: Traffic, model: str, port: int) -> list[Object]:
    """Rules of the HTTPRoute: the split, then every version by its number, the oldest first.

    Envoy Gateway names its clusters by a rule's place. So the split never moves: a rule whose
    place changes answers 503 for some milliseconds, until its new cluster is known. Copies are made
    of what is split alone: whoever asks for a version by its number gets that one's answer only.
    """
    # The longest path decides before any header does: a pin with "/" would lose to the split.
    everything = {"path": {"type": "PathPrefix", "value": "/v2"}}
    # While nothing serves, all weights are 0, which a gateway answers with an empty 500: the split then
    # takes nobody's requests, and the chart's own route says 503.
    nobody = {"headers": [{"type": "Exact", "name": VERSION_HEADER, "value": "none"}]}
    split = everything if traffic.serving else {**everything, **nobody}
    rules: list[Object] = [
        {
            "matches": [split],
            **_copies(traffic, model, port),
            "backendRefs": _split(traffic, model, port),
        }
    ]
    for version in rule_places(traffic):
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


def rule_places(traffic: Traffic) -> dict[int, int]:
    """Place of each version's own rule in the HTTPRoute, the oldest first; the split's is 0."""
    return {version: place for place, version in enumerate(sorted(traffic.weights), start=1)}


def grpc_rules(traffic: Traffic, model: str, port: int) -> list[Object]:
    """Rules of the GRPCRoute: the split, then every version by the header."""
    rules: list[Object] = [
        {**_copies(traffic, model, port), "backendRefs": _split(traffic, model, port)}
    ]
    for version in sorted(traffic.weights):
        header = {"type": "Exact", "name": VERSION_HEADER, "value": str(version)}
        backend = _backend(model, version, port, 1)
        rules.append({"matches": [{"headers": [header]}], "backendRefs": [backend]})
    return rules


def annotations(traffic: Traffic, changed: Mapping[str, str]) -> dict[str, str]:
    """What a route notes about its rules; `read_traffic` reads it back.

    Args:
        traffic: in its rules.
        changed: when and why they are written.
    """
    notes = {
        STABLE_HISTORY: ",".join(map(str, traffic.stable_history)),
        CHANGED: json.dumps(changed, sort_keys=True),
    }
    if traffic.shadow is not None:
        shadow = traffic.shadow
        ends = {"since": shadow.since, "until": shadow.until}
        said = {name: instant.isoformat() for name, instant in ends.items() if instant}
        notes[SHADOW] = json.dumps({**said, "who": shadow.who}, sort_keys=True)
    return notes


def read_traffic(route: Mapping[str, Any], model: str) -> Traffic:
    """The split and the shadow that an HTTPRoute holds; of rules that are not ours, nothing."""
    rules: Sequence[Mapping[str, Any]] = route.get("spec", {}).get("rules") or []
    first: Mapping[str, Any] = rules[0] if rules else {}
    notes = route.get("metadata", {}).get("annotations", {})
    weights: dict[int, int] = {}
    for backend in first.get("backendRefs") or []:
        number = _number(backend, model)
        if number is not None:
            weights[number] = int(backend.get("weight", 1))
    stable_history = tuple(
        int(version)
        for version in notes.get(STABLE_HISTORY, "").split(",")
        if version.strip().isdecimal()
    )
    return Traffic(
        weights,
        tuple(version for version in stable_history if version in weights),
        _read_shadow(first, notes.get(SHADOW, ""), model),
    )


def _read_shadow(rule: Mapping[str, Any], note: str, model: str) -> Shadow | None:
    """The rule says who gets copies, the note since when, until when and by whom."""
    mirrors = [one["requestMirror"] for one in rule.get("filters") or [] if "requestMirror" in one]
    if not mirrors or (number := _number(mirrors[0]["backendRef"], model)) is None:
        return None
    try:
        said = json.loads(note or "{}")
        since, until = (
            datetime.fromisoformat(said[name]) if said.get(name) else None
            for name in ("since", "until")
        )
        who = str(said.get("who", ""))
    except (ValueError, TypeError, AttributeError):
        since, until, who = None, None, ""
    return Shadow(number, int(mirrors[0].get("percent", ALL)), since, until, who)


def _number(backend: Mapping[str, Any], model: str) -> int | None:
    """The version whose Service this is; None for another Service."""
    prefix, suffix = f"{model}-v", "-predictor"
    name = str(backend.get("name", ""))
    number = name.removeprefix(prefix).removesuffix(suffix)
    return int(number) if name == f"{prefix}{number}{suffix}" and number.isdecimal() else None


def _copies(traffic: Traffic, model: str, port: int) -> Object:
    """Filters that copy requests to a shadow, and mark both so that a server can tell the copy."""
    if traffic.shadow is None:
        return {}
    number = traffic.shadow.version
    backend = _backend(model, number, port, 1)
    del backend["weight"]
    mark = {"name": SHADOW_HEADER, "value": str(number)}
    return {
        "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [mark]}},
            {
                "type": "RequestMirror",
                "requestMirror": {"backendRef": backend, "percent": traffic.shadow.percent},
            },
        ]
    }


def _split(traffic: Traffic, model: str, port: int) -> list[Object]:
    return [
        _backend(model, version, port, traffic.weights[version])
        for version in sorted(traffic.weights, reverse=True)
    ]


def _backend(model: str, version: int, port: int, weight: int) -> Object:
    # What the API server would fill in is written out, so that nothing differs when read again.
    name = f"{service_name(model, version)}-predictor"
    return {"group": "", "kind": "Service", "name": name, "port": port, "weight": weight}
