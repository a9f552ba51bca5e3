"""The row of a rollout: each version's share of the traffic and how it does."""

from typing import Final

from charts.dashboards.panels import GREEN, RED, Query, dashed, time_series

_HERE: Final = '{namespace="$namespace"}'
_PER_SERVICE: Final = "namespace_inferenceservice:bellwether_request"

PANELS: Final = [
    time_series(
        "Share of traffic: weight and observed",
        "Dashed: the weight on the route. Solid: the share of requests of the last 5 minutes.",
        Query(
            f"model_version:bellwether_requests:share_rate5m{_HERE}", "v{{model_version}} observed"
        ),
        Query(
            f"model_version:bellwether_route_weight:max{_HERE} / 100",
            "v{{model_version}} weight",
        ),
        unit="percentunit",
        overrides=[dashed(".* weight")],
        runbooks=["BellwetherSplitOff", "BellwetherCanaryStuck"],
    ),
    time_series(
        "Requests per second",
        "Mean of 5 minutes, by InferenceService.",
        Query(f"{_PER_SERVICE}s:rate5m{_HERE}", "{{inferenceservice}}"),
        unit="reqps",
    ),
    time_series(
        "Error ratio",
        "Shares of each InferenceService's requests with a 5xx and with a 4xx status, 5 minutes."
        " The line is the threshold of a version that shares the traffic; of 4xx it holds for the"
        " difference to the version beside it.",
        Query(f"{_PER_SERVICE}_errors:ratio_rate5m{_HERE}", "{{inferenceservice}} 5xx"),
        Query(f"{_PER_SERVICE}_refusals:ratio_rate5m{_HERE}", "{{inferenceservice}} 4xx"),
        unit="percentunit",
        steps=((GREEN, None), (RED, "=@canaryErrorRatio@")),
        overrides=[dashed(".* 4xx")],
        runbooks=[
            "BellwetherCanaryFailing",
            "BellwetherCanaryRefusing",
            "BellwetherRefusalRatioHigh",
        ],
    ),
    time_series(
        "99th percentile of latency",
        "By InferenceService in the model server, and by version at the gateway (dashed), 5 minutes."
        " While traffic is shared, the gateway's figure is of requests that name their version.",
        Query(f"{_PER_SERVICE}_duration_seconds:p99_rate5m{_HERE}", "{{inferenceservice}}"),
        Query(
            f"model_version:bellwether_gateway_request_duration_seconds:p99_rate5m{_HERE}",
            "v{{model_version}} gateway",
        ),
        unit="s",
        steps=((GREEN, None), (RED, "=@latencyP99Seconds@")),
        overrides=[dashed(".* gateway")],
        runbooks=["BellwetherLatencyHigh", "BellwetherGatewayLatencyHigh"],
    ),
    time_series(
        "Ready pods",
        "Pods that have loaded each version, and pods that answer on /metrics.",
        Query(f"model_version:bellwether_model_info:count{_HERE}", "v{{model_version}} ready"),
        Query(
            'sum by (inferenceservice) (up{namespace="$namespace", inferenceservice!=""})',
            "{{inferenceservice}} up",
        ),
        overrides=[dashed(".* up")],
        runbooks=["BellwetherPodNotServing", "BellwetherNoReadyModel"],
    ),
    time_series(
        "Alerts over time",
        "Number of firing alerts by name.",
        Query(
            'sum by (alertname) (ALERTS{alertname=~"Bellwether.*", alertstate="firing",'
            ' namespace="$namespace"})'
            ' or label_replace(vector(0), "alertname", "none", "", "")',
            "{{alertname}}",
        ),
        stacked=True,
    ),
]
