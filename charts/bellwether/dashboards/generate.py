"""Writes the Grafana dashboards beside this file: `make dashboards`.

The chart fills in what depends on an installation when it renders them: `@name@` is a fact of the
release, and the text "=@name@" a number of values.monitoring.thresholds.
"""
# ruff: noqa: INP001 - a script of the chart, not a module of a package

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Json = dict[str, Any]

FOLDER: Final = Path(__file__).parent
RUNBOOKS: Final = FOLDER.parent / "runbooks"

_PROMETHEUS: Final = {"type": "prometheus", "uid": "${datasource}"}
_POSTGRESQL: Final = {"type": "grafana-postgresql-datasource", "uid": "${predictions}"}
_COLUMNS: Final = 24
_SCHEMA_VERSION: Final = 39
_PODS: Final = 'namespace="$namespace"'
_SYMBOLS: Final = f'{_PODS}, symbol=~"$symbol"'

_RED, _YELLOW, _GREEN, _GREY = "red", "yellow", "green", "text"

LAST_PREDICTIONS: Final = """\
SELECT
  to_timestamp(made_at / 1000.0) AS "made",
  symbol AS "symbol",
  model_version AS "version",
  model_kind AS "model",
  horizon AS "horizon",
  to_timestamp(as_of / 1000.0) AS "as of",
  last_close AS "last close",
  (quantiles::json -> -1 ->> 0)::double precision AS "p05",
  (quantiles::json -> -1 ->> 2)::double precision AS "p50",
  (quantiles::json -> -1 ->> 4)::double precision AS "p95",
  (probability_of_rise::json ->> -1)::double precision AS "P(rise)",
  signal AS "signal",
  stale AS "stale",
  source AS "source",
  replay AS "replay",
  own_bars AS "own bars",
  protocol AS "protocol",
  processing_seconds AS "processing time",
  request_id AS "request"
FROM predictions
WHERE symbol IN (${symbol:sqlstring}) OR own_bars
ORDER BY made_at DESC, id
LIMIT 100"""


@dataclass(frozen=True)
class Query:
    """A PromQL expression of a panel.

    Attributes:
        expr: the expression.
        legend: how its series are called.
        instant: only the newest value, as a table's row, not a range.
    """

    expr: str
    legend: str = ""
    instant: bool = False

    def target(self, place: int) -> Json:
        """The query as Grafana writes it."""
        return {
            "refId": chr(ord("A") + place),
            "datasource": _PROMETHEUS,
            "expr": self.expr,
            "legendFormat": self.legend or "__auto",
            "instant": self.instant,
            "range": not self.instant,
            "format": "table" if self.instant else "time_series",
            "editorMode": "code",
        }


def _panel(
    kind: str,
    title: str,
    description: str,
    queries: Iterable[Query],
    *,
    width: int,
    height: int,
    unit: str = "short",
    runbooks: Sequence[str] = (),
    steps: Sequence[tuple[str, str | float | None]] = ((_GREEN, None),),
    defaults: Json | None = None,
    overrides: Sequence[Json] = (),
    options: Json | None = None,
    transformations: Sequence[Json] = (),
) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": _PROMETHEUS,
        "gridPos": {"w": width, "h": height},
        "links": [
            {"title": f"Runbook: {one}", "url": f"@runbook{one}@", "targetBlank": True}
            for one in runbooks
        ],
        "targets": [query.target(place) for place, query in enumerate(queries)],
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "color": {"mode": "palette-classic"},
                "thresholds": {
                    "mode": "absolute",
                    "steps": [{"color": color, "value": value} for color, value in steps],
                },
                **(defaults or {}),
            },
            "overrides": list(overrides),
        },
        "options": options or {},
        "transformations": list(transformations),
    }


def series(
    title: str,
    description: str,
    *queries: Query,
    width: int = 8,
    height: int = 8,
    stacked: bool = False,
    share: bool = False,
    steps: Sequence[tuple[str, str | float | None]] = (),
    overrides: Sequence[Json] = (),
    unit: str = "short",
    runbooks: Sequence[str] = (),
    low: float | None = 0,
) -> Json:
    """Lines over time; thresholds, where given, are dashed lines."""
    mode = "percent" if share else "normal" if stacked else "none"
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked or share else 8,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": mode, "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if steps else "off"},
        "axisPlacement": "auto",
    }
    defaults: Json = {"custom": custom}
    if low is not None:
        defaults["min"] = low
    return _panel(
        "timeseries",
        title,
        description,
        queries,
        width=width,
        height=height,
        unit=unit,
        runbooks=runbooks,
        steps=steps or ((_GREEN, None),),
        defaults=defaults,
        overrides=overrides,
        options={
            "legend": {
                "showLegend": True,
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    )


def figure(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "short",
    steps: Sequence[tuple[str, str | float | None]] = ((_GREY, None),),
    runbooks: Sequence[str] = (),
    width: int = 4,
) -> Json:
    """One number, coloured by its thresholds."""
    return _panel(
        "stat",
        title,
        description,
        [query],
        width=width,
        height=4,
        unit=unit,
        runbooks=runbooks,
        steps=steps,
        defaults={"color": {"mode": "thresholds"}, "noValue": "none"},
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "textMode": "auto",
        },
    )


def bars(
    title: str, description: str, query: Query, *, unit: str = "short", width: int = 8
) -> Json:
    """One bar for each series' newest value."""
    return _panel(
        "bargauge",
        title,
        description,
        [query],
        width=width,
        height=8,
        unit=unit,
        defaults={"min": 0, "color": {"mode": "continuous-BlPu"}},
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "orientation": "horizontal",
            "displayMode": "basic",
            "showUnfilled": True,
            "valueMode": "color",
        },
    )


def table(
    title: str,
    description: str,
    *queries: Query,
    columns: dict[str, str],
    width: int,
    height: int = 8,
    overrides: Sequence[Json] = (),
    runbooks: Sequence[str] = (),
) -> Json:
    """Newest values of several queries, joined by the labels they share; `columns` in order."""
    return _panel(
        "table",
        title,
        description,
        queries,
        width=width,
        height=height,
        runbooks=runbooks,
        overrides=overrides,
        options={"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "filterFieldsByName",
                "options": {"include": {"names": list(columns)}},
            },
            {
                "id": "organize",
                "options": {
                    "indexByName": {name: place for place, name in enumerate(columns)},
                    "renameByName": columns,
                },
            },
        ],
    )


def column(name: str, **properties: Any) -> Json:
    """An override for one field, by its name as shown."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": key.replace("__", "."), "value": value} for key, value in properties.items()
        ],
    }


def _dashed(pattern: str) -> Json:
    style = {"fill": "dash", "dash": [8, 6]}
    return {
        "matcher": {"id": "byRegexp", "options": pattern},
        "properties": [
            {"id": "custom.lineStyle", "value": style},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.lineWidth", "value": 2},
        ],
    }


def _service() -> list[Json]:
    rate = f"bellwether_request_duration_seconds_count{{{_PODS}}}"
    bucket = f"bellwether_request_duration_seconds_bucket{{{_PODS}}}"

    def quantile(level: float) -> Query:
        total = f"sum by (le) (rate({bucket}[$__rate_interval]))"
        return Query(f"histogram_quantile({level}, {total})", f"p{level * 100:.0f}")

    return [
        figure(
            "Firing alerts",
            "Alerts of Bellwether that fire now. Their runbooks are linked at the top.",
            Query(
                'count(ALERTS{alertname=~"Bellwether.*", alertstate="firing",'
                ' namespace="$namespace"}) or vector(0)'
            ),
            steps=((_GREEN, None), (_RED, 1)),
        ),
        figure(
            "Ready versions",
            "Model versions that at least one pod holds, verified and with features made for it.",
            Query(
                'count(model_version:bellwether_model_info:count{namespace="$namespace"}) or vector(0)'
            ),
            steps=((_RED, None), (_GREEN, 1)),
            runbooks=["BellwetherNoReadyModel"],
        ),
        figure(
            "Requests",
            "Requests in the time shown, with or without success.",
            Query(f"sum(increase({rate}[$__range])) or vector(0)"),
        ),
        figure(
            "Forecasts since start",
            "Forecasts given since the pods that run now were started, one for each symbol asked for.",
            Query(f"sum(bellwether_predictions_total{{{_PODS}}}) or vector(0)"),
        ),
        figure(
            "Error ratio",
            "Share of requests of the last 5 minutes with a 5xx status; none without requests.",
            Query('namespace:bellwether_request_errors:ratio_rate5m{namespace="$namespace"}'),
            unit="percentunit",
            steps=((_GREEN, None), (_RED, "=@errorRatio@")),
            runbooks=["BellwetherErrorRatioHigh"],
        ),
        figure(
            "Age of the newest bar",
            "How old the newest bar behind the forecasts is. Replayed prices count from their fetch.",
            Query(f"max(bellwether_feature_age_seconds{{{_PODS}}})"),
            unit="s",
            steps=((_GREEN, None), (_RED, "=@featureAgeSeconds@")),
            runbooks=["BellwetherFeaturesStale"],
        ),
        series(
            "Requests per second",
            "By InferenceService, which holds one model version each.",
            Query(
                f"sum by (inferenceservice) (rate({rate}[$__rate_interval]))",
                "{{inferenceservice}}",
            ),
            unit="reqps",
            stacked=True,
        ),
        series(
            "Latency",
            "In the model server, from a request's last byte to its answer. The line is the"
            " threshold of the 99th percentile.",
            quantile(0.5),
            quantile(0.95),
            quantile(0.99),
            unit="s",
            steps=((_GREEN, None), (_RED, "=@latencyP99Seconds@")),
            runbooks=["BellwetherLatencyHigh"],
        ),
        series(
            "Errors",
            "Refused requests per second by status: 4xx is the caller's to mend, 5xx ours. What"
            " never reached a model server is not in here.",
            Query(
                f'sum by (status) (rate(bellwether_requests_total{{{_PODS}, status=~"[45].."}}'
                '[$__rate_interval])) or label_replace(vector(0), "status", "none", "", "")',
                "{{status}}",
            ),
            unit="reqps",
            stacked=True,
            runbooks=["BellwetherErrorRatioHigh"],
        ),
    ]


def _model() -> list[Json]:
    predictions = f"bellwether_predictions_total{{{_SYMBOLS}}}[$__rate_interval]"
    return [
        series(
            "Forecasts per symbol",
            "Forecasts per second by symbol; 'other' are callers' own bars.",
            Query(
                f'sum by (symbol) (rate(bellwether_predictions_total{{{_PODS}, symbol=~"$symbol|other"}}'
                "[$__rate_interval]))",
                "{{symbol}}",
            ),
            unit="reqps",
            stacked=True,
        ),
        series(
            "Up against down",
            "Share of forecasts whose median at the signal horizon lies above, on or below the"
            " last close.",
            Query(f"sum by (direction) (rate({predictions}))", "{{direction}}"),
            unit="reqps",
            share=True,
            overrides=[
                column("up", color={"mode": "fixed", "fixedColor": "green"}),
                column("down", color={"mode": "fixed", "fixedColor": "red"}),
                column("flat", color={"mode": "fixed", "fixedColor": "blue"}),
            ],
        ),
        series(
            "Signals",
            "Trading signals per second, net of costs.",
            Query(
                f"sum by (signal) (rate(bellwether_signals_total{{{_PODS}}}[$__rate_interval]))",
                "{{signal}}",
            ),
            unit="reqps",
            stacked=True,
        ),
        table(
            "Versions and weights",
            "Every version that a pod holds, and the share of the traffic its route gives it.",
            Query(
                "sum by (model_version, kind, alias, bundle_digest)"
                f" (bellwether_model_info{{{_PODS}}})",
                instant=True,
            ),
            Query("max by (model_version) (bellwether_route_weight)", instant=True),
            columns={
                "model_version": "version",
                "kind": "model",
                "alias": "alias",
                "Value #A": "ready pods",
                "Value #B": "weight",
                "bundle_digest": "bundle",
            },
            width=8,
            overrides=[
                column(
                    "weight", unit="percent", custom__cellOptions={"type": "gauge"}, min=0, max=100
                ),
                column("ready pods", decimals=0),
            ],
            runbooks=[
                "BellwetherWeightOnMissingVersion",
                "BellwetherWeightsDoNotSum",
                "BellwetherWeightsUnknown",
            ],
        ),
        series(
            "Realised error",
            "Mean pinball loss of forecasts whose day has come, in log return units, by version"
            " and horizon in bars.",
            Query(
                "max by (model_version, horizon) (bellwether_realised_pinball_loss)",
                "v{{model_version}}, {{horizon}} bars",
            ),
            width=8,
        ),
        series(
            "Realised skill",
            "1 - loss / loss of the random walk: above 0 is better than the random walk. The dashed"
            " lines are what chance allows the champion.",
            Query(
                "max by (model_version, horizon) (bellwether_realised_skill)",
                "v{{model_version}}, {{horizon}} bars",
            ),
            Query(
                'max by (column) (bellwether_drift_threshold{scope="error"})',
                "limit of {{column}}",
            ),
            width=8,
            low=None,
            overrides=[_dashed("limit of .*")],
            runbooks=["BellwetherSkillLow"],
        ),
        series(
            "Realised coverage of the 90 % interval",
            "Share of prices that fell into the interval forecast for them. It should be near 90 %;"
            " the dashed lines are what chance allows the champion.",
            Query(
                "max by (model_version, horizon) (bellwether_realised_coverage)",
                "v{{model_version}}, {{horizon}} bars",
            ),
            Query(
                'max by (column) (bellwether_drift_threshold{scope="coverage"})',
                "limit of {{column}}",
            ),
            unit="percentunit",
            width=8,
            low=None,
            overrides=[_dashed("limit of .*")],
            runbooks=["BellwetherCoverageOff"],
        ),
        series(
            "Matured forecasts",
            "Forecasts whose day has come: what stands behind error, skill and coverage.",
            Query(
                "max by (model_version, horizon) (bellwether_matured_forecasts)",
                "v{{model_version}}, {{horizon}} bars",
            ),
            width=8,
        ),
        series(
            "Drift",
            "Share of watched columns past their calibrated limit, by scope, at the newest drift run:"
            " one is enough for an alert.",
            Query("max by (scope) (bellwether_drift_share)", "{{scope}}"),
            Query("max by (scope) (bellwether_drift_detected)", "{{scope}}: past a limit"),
            Query("max(bellwether_retraining_due)", "training due"),
            unit="percentunit",
            width=8,
            overrides=[_dashed(".*past a limit")],
            runbooks=[
                "BellwetherFeaturesDrifted",
                "BellwetherPredictionsDrifted",
                "BellwetherRetrainingDue",
            ],
        ),
    ]


def _data() -> list[Json]:
    return [
        bars(
            "Bars held",
            "Bars behind the served features, by symbol.",
            Query(f"max by (symbol) (bellwether_bars_held{{{_SYMBOLS}}})", "{{symbol}}"),
        ),
        bars(
            "Freshness of the last price",
            "How long ago the newest bar closed, by symbol. Replayed prices are history and say so.",
            Query(
                f"time() - max by (symbol) (bellwether_last_price_timestamp_seconds{{{_SYMBOLS}}})",
                "{{symbol}}",
            ),
            unit="s",
        ),
        series(
            "Quarantine",
            "Bars that broke the price contract, by fault, at the newest drift run.",
            Query(
                "max by (fault) (bellwether_quarantined_bars)"
                ' or label_replace(vector(0), "fault", "none", "", "")',
                "{{fault}}",
            ),
            stacked=True,
            runbooks=["BellwetherQuarantineGrowing"],
        ),
        table(
            "Batch jobs",
            "When each job last ended well, and how long ago that may be.",
            Query(
                'job_name:bellwether_job_last_success_age_seconds:min{namespace="$namespace"}',
                instant=True,
            ),
            Query(
                'job_name:bellwether_job_allowed_age_seconds:max{namespace="$namespace"}',
                instant=True,
            ),
            columns={"job_name": "job", "Value #A": "last success", "Value #B": "allowed"},
            width=8,
            overrides=[column("last success", unit="s"), column("allowed", unit="s")],
            runbooks=["BellwetherJobStale", "BellwetherJobAbsent"],
        ),
        series(
            "Who gave the prices",
            "1 while something stands in for the price source, and the share of closes in which a"
            " second provider differs from it.",
            Query("max by (dataset, kind) (bellwether_prices_fallback)", "{{dataset}}: {{kind}}"),
            Query(
                "max by (dataset, provider) (bellwether_provider_disagreement_share)"
                ' or label_replace(vector(0), "provider", "no second provider", "", "")',
                "differs: {{provider}}",
            ),
            unit="percentunit",
            runbooks=["BellwetherPricesFallback", "BellwetherProvidersDisagree"],
        ),
        series(
            "Loads and reloads",
            "Attempts to load models and features in 5 minutes, by outcome.",
            Query(
                f"sum by (what, outcome) (increase(bellwether_reloads_total{{{_PODS}}}[5m]))",
                "{{what}} {{outcome}}",
            ),
            runbooks=["BellwetherBundleRejected", "BellwetherReloadFailing"],
        ),
        series(
            "Prediction log",
            "Rows written to the log, and lost because its queue was full, per second.",
            Query(
                "sum by (outcome)"
                f" (rate(bellwether_prediction_log_rows_total{{{_PODS}}}[$__rate_interval]))",
                "{{outcome}}",
            ),
            unit="ops",
            runbooks=["BellwetherPredictionsDropped"],
        ),
    ]


def _canary() -> list[Json]:
    here = '{namespace="$namespace"}'
    per_service = "namespace_inferenceservice:bellwether_request"
    return [
        series(
            "Share of traffic: wanted and seen",
            "Dashed: the weight on the route. Solid: the share of requests of the last 5 minutes.",
            Query(
                f"model_version:bellwether_requests:share_rate5m{here}", "v{{model_version}} seen"
            ),
            Query(
                f"model_version:bellwether_route_weight:max{here} / 100",
                "v{{model_version}} wanted",
            ),
            unit="percentunit",
            overrides=[_dashed(".* wanted")],
            runbooks=["BellwetherSplitOff", "BellwetherCanaryStuck"],
        ),
        series(
            "Requests per second",
            "Mean of 5 minutes, by InferenceService.",
            Query(f"{per_service}s:rate5m{here}", "{{inferenceservice}}"),
            unit="reqps",
        ),
        series(
            "Error ratio",
            "Share of each InferenceService's requests with a 5xx status, 5 minutes. The line is"
            " the threshold of a version that shares the traffic.",
            Query(f"{per_service}_errors:ratio_rate5m{here}", "{{inferenceservice}}"),
            unit="percentunit",
            steps=((_GREEN, None), (_RED, "=@canaryErrorRatio@")),
            runbooks=["BellwetherCanaryFailing"],
        ),
        series(
            "99th percentile of latency",
            "By InferenceService, 5 minutes.",
            Query(f"{per_service}_duration_seconds:p99_rate5m{here}", "{{inferenceservice}}"),
            unit="s",
            steps=((_GREEN, None), (_RED, "=@latencyP99Seconds@")),
            runbooks=["BellwetherLatencyHigh"],
        ),
        series(
            "Ready pods",
            "Pods that hold each version, and pods that answer on /metrics at all.",
            Query(f"model_version:bellwether_model_info:count{here}", "v{{model_version}} ready"),
            Query(
                'sum by (inferenceservice) (up{namespace="$namespace", inferenceservice!=""})',
                "{{inferenceservice}} up",
            ),
            overrides=[_dashed(".* up")],
            runbooks=["BellwetherPodNotServing", "BellwetherNoReadyModel"],
        ),
        series(
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


def _log() -> list[Json]:
    prices = {"unit": "short", "decimals": 2}
    flags = ("stale", "replay", "own bars")
    rows = _panel(
        "table",
        "Last 100 forecasts",
        "Straight from the prediction log: each with what it was asked, what it stood on and how"
        " long it took. p05, p50 and p95 are prices at the last bar of the horizon.",
        (),
        width=_COLUMNS,
        height=14,
        defaults={"custom": {"align": "auto", "filterable": True, "inspect": False}},
        overrides=[
            column("made", unit="dateTimeAsIso", custom__width=170),
            column("as of", unit="dateTimeAsIso", custom__width=170),
            column(
                "processing time", unit="s", custom__cellOptions={"type": "gauge", "mode": "basic"}
            ),
            column("P(rise)", unit="percentunit", decimals=1),
            *(column(name, **prices) for name in ("last close", "p05", "p50", "p95")),
            *(column(name, custom__width=80) for name in flags),
        ],
        options={
            "showHeader": True,
            "cellHeight": "sm",
            "footer": {"show": False},
            "sortBy": [{"displayName": "made", "desc": True}],
        },
    )
    rows["datasource"] = _POSTGRESQL
    rows["targets"] = [
        {
            "refId": "A",
            "datasource": _POSTGRESQL,
            "format": "table",
            "editorMode": "code",
            "rawQuery": True,
            "rawSql": LAST_PREDICTIONS,
        }
    ]
    return [rows]


def _laid_out(rows: Iterable[tuple[str, list[Json]]]) -> list[Json]:
    """Panels side by side until a line is full, each row of the dashboard under its heading."""
    panels: list[Json] = []
    top = 0
    for title, content in rows:
        heading = {"type": "row", "title": title, "collapsed": False, "panels": []}
        panels.append(heading | {"gridPos": {"x": 0, "y": top, "w": _COLUMNS, "h": 1}})
        top, left, height = top + 1, 0, 0
        for panel in content:
            size = panel["gridPos"]
            if left + size["w"] > _COLUMNS:
                top, left, height = top + height, 0, 0
            panels.append(panel | {"gridPos": {"x": left, "y": top, **size}})
            left, height = left + size["w"], max(height, size["h"])
        top += height
    return [{"id": number} | panel for number, panel in enumerate(panels, 1)]


def _datasource(name: str, label: str, plugin: str, text: str) -> Json:
    return {
        "type": "datasource",
        "name": name,
        "label": label,
        "query": plugin,
        "current": {"text": text, "value": text} if text else {},
        "regex": "",
        "refresh": 1,
        "hide": 0,
    }


def _labels(name: str, label: str, query: str, *, many: bool) -> Json:
    everything = {"text": ["All"], "value": ["$__all"]}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": _PROMETHEUS,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        "current": everything if many else {"text": "@namespace@", "value": "@namespace@"},
        "hide": 0,
    }


def _dashboard(uid: str, title: str, description: str, **more: Any) -> Json:
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["bellwether"],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": _SCHEMA_VERSION,
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "refresh": "15s",
        "links": [
            {
                "type": "link",
                "title": name,
                "url": url,
                "targetBlank": True,
                "icon": "external link",
            }
            for name, url in (
                ("Forecasts", "@page@"),
                ("Models (MLflow)", "@mlflow@"),
                ("Runbooks", "@runbooks@"),
            )
        ],
        **more,
    }


def _main() -> Json:
    variables = [
        _datasource("datasource", "Prometheus", "prometheus", ""),
        _datasource(
            "predictions",
            "Prediction log",
            "grafana-postgresql-datasource",
            "bellwether-predictions",
        ),
        _labels(
            "namespace", "Namespace", "label_values(bellwether_model_info, namespace)", many=False
        ),
        _labels(
            "symbol", "Symbol", f"label_values(bellwether_bars_held{{{_PODS}}}, symbol)", many=True
        ),
    ]
    weights = 'model_version:bellwether_route_weight:max{namespace="$namespace"}'
    rollouts = {
        "name": "Rollouts",
        "enable": True,
        "iconColor": "purple",
        "datasource": _PROMETHEUS,
        "expr": f"{weights} != {weights} offset 1m",
        "step": "1m",
        "titleFormat": "Weight changed",
        "textFormat": "version {{model_version}}",
        "tagKeys": "model_version",
        "useValueForTime": False,
    }
    rows = [
        ("Service", _service()),
        ("Model", _model()),
        ("Data", _data()),
        ("Canary", _canary()),
        ("Log", _log()),
    ]
    return _dashboard(
        "bellwether",
        "Bellwether",
        "Forecasts, the models that make them, the prices they stand on, and how good they were.",
        templating={"list": variables},
        annotations={"list": [rollouts]},
        panels=_laid_out(rows),
    )


def _runbooks() -> Json:
    """The runbooks as a dashboard, for installations that have them at no address."""
    texts = [
        {
            "type": "text",
            "title": path.stem,
            "gridPos": {"w": 12, "h": 14},
            "options": {"mode": "markdown", "content": path.read_text(encoding="utf-8")},
        }
        for path in sorted(RUNBOOKS.glob("*.md"))
    ]
    panels = []
    for place, panel in enumerate(texts):
        size = panel["gridPos"] | {"x": place % 2 * 12, "y": place // 2 * 14}
        panels.append({"id": place + 1} | panel | {"gridPos": size})
    return _dashboard(
        "bellwether-runbooks",
        "Bellwether runbooks",
        "What each alert means and what to do about it.",
        templating={"list": []},
        annotations={"list": []},
        panels=panels,
    )


def dashboards() -> dict[str, str]:
    """Every dashboard's file name and content."""
    made = {"main.json": _main(), "runbooks.json": _runbooks()}
    return {name: json.dumps(one, indent=1) + "\n" for name, one in made.items()}


if __name__ == "__main__":
    for name, content in dashboards().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
