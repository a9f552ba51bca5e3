"""The row of the model servers: requests, latency and errors."""

from typing import Final

from charts.dashboards.panels import GREEN, PODS, RED, Query, stat, time_series

_REQUESTS: Final = f"bellwether_request_duration_seconds_count{{{PODS}}}"
_LATENCY: Final = f"bellwether_request_duration_seconds_bucket{{{PODS}}}"


def _quantile(level: float) -> Query:
    total = f"sum by (le) (rate({_LATENCY}[$__rate_interval]))"
    return Query(f"histogram_quantile({level}, {total})", f"p{level * 100:.0f}")


PANELS: Final = [
    stat(
        "Firing alerts",
        "Alerts of Bellwether that fire now. Their runbooks are linked at the top.",
        Query(
            'count(ALERTS{alertname=~"Bellwether.*", alertstate="firing",'
            ' namespace="$namespace"}) or vector(0)'
        ),
        steps=((GREEN, None), (RED, 1)),
    ),
    stat(
        "Ready versions",
        "Model versions that at least one pod has loaded and verified, with features made for it.",
        Query(
            'count(model_version:bellwether_model_info:count{namespace="$namespace"}) or vector(0)'
        ),
        steps=((RED, None), (GREEN, 1)),
        runbooks=["BellwetherNoReadyModel"],
    ),
    stat(
        "Requests",
        "Requests in the time range shown, failed ones included.",
        Query(f"sum(increase({_REQUESTS}[$__range])) or vector(0)"),
    ),
    stat(
        "Forecasts since start",
        "Forecasts served since the current pods started, one for each symbol requested.",
        Query(f"sum(bellwether_predictions_total{{{PODS}}}) or vector(0)"),
    ),
    stat(
        "Error ratio",
        "Share of requests of the last 5 minutes with a 5xx status; no value without requests.",
        Query('namespace:bellwether_request_errors:ratio_rate5m{namespace="$namespace"}'),
        unit="percentunit",
        steps=((GREEN, None), (RED, "=@errorRatio@")),
        runbooks=["BellwetherErrorRatioHigh"],
    ),
    stat(
        "Age of the newest bar",
        "Age of the newest bar that forecasts are made from. Replayed prices count from their fetch.",
        Query(f"max(bellwether_feature_age_seconds{{{PODS}}})"),
        unit="s",
        steps=((GREEN, None), (RED, "=@featureAgeSeconds@")),
        runbooks=["BellwetherFeaturesStale"],
    ),
    time_series(
        "Requests per second",
        "By InferenceService; each serves one model version.",
        Query(
            f"sum by (inferenceservice) (rate({_REQUESTS}[$__rate_interval]))",
            "{{inferenceservice}}",
        ),
        unit="reqps",
        stacked=True,
    ),
    time_series(
        "Latency",
        "In the model server, from the request's last byte to the response. The line is the"
        " threshold of the 99th percentile.",
        _quantile(0.5),
        _quantile(0.95),
        _quantile(0.99),
        unit="s",
        steps=((GREEN, None), (RED, "=@latencyP99Seconds@")),
        runbooks=["BellwetherLatencyHigh"],
    ),
    time_series(
        "Errors",
        "Failed requests per second by status: 4xx is an error of the caller, 5xx of the server."
        " Requests that never reached a model server are not counted.",
        Query(
            f'sum by (status) (rate(bellwether_requests_total{{{PODS}, status=~"[45].."}}'
            '[$__rate_interval])) or label_replace(vector(0), "status", "none", "", "")',
            "{{status}}",
        ),
        unit="reqps",
        stacked=True,
        runbooks=["BellwetherErrorRatioHigh"],
    ),
    time_series(
        "Refused unread",
        "Requests refused and connections closed before any handler saw them, by reason, per second.",
        Query(
            f"sum by (reason) (rate(bellwether_refusals_total{{{PODS}}}[$__rate_interval]))"
            ' or label_replace(vector(0), "reason", "none", "", "")',
            "{{reason}}",
        ),
        unit="ops",
    ),
]
