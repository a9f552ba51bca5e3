"""Builds the panels of a Grafana dashboard: time series, single numbers, bar gauges and tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict, Unpack

Json = dict[str, Any]
Steps = Sequence[tuple[str, str | float | None]]

PROMETHEUS: Final = {"type": "prometheus", "uid": "${datasource}"}
POSTGRESQL: Final = {"type": "grafana-postgresql-datasource", "uid": "${predictions}"}
COLUMNS: Final = 24
"""The width of a dashboard, in units of gridPos."""
PODS: Final = 'namespace="$namespace"'
SYMBOLS: Final = f'{PODS}, symbol=~"$symbol"'

RED, GREEN, GREY = "red", "green", "text"


class Common(TypedDict, total=False):
    """What panels of every type may be given.

    Attributes:
        unit: Grafana's name of the values' unit.
        runbooks: alerts whose runbooks the panel links to.
        steps: colours of the thresholds, each from its value upwards.
        overrides: exceptions to the fields' defaults (`field`, `dashed`).
    """

    unit: str
    runbooks: Sequence[str]
    steps: Steps
    overrides: Sequence[Json]


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

    def target(self, index: int) -> Json:
        """The query as Grafana writes it."""
        return {
            "refId": chr(ord("A") + index),
            "datasource": PROMETHEUS,
            "expr": self.expr,
            "legendFormat": self.legend or "__auto",
            "instant": self.instant,
            "range": not self.instant,
            "format": "table" if self.instant else "time_series",
            "editorMode": "code",
        }


def panel(
    kind: str,
    title: str,
    description: str,
    queries: Iterable[Query],
    *,
    width: int,
    height: int,
    defaults: Json | None = None,
    options: Json | None = None,
    transformations: Sequence[Json] = (),
    **common: Unpack[Common],
) -> Json:
    """A panel without its position, which the dashboard's layout gives it.

    Args:
        kind: Grafana's name of the panel's type.
        title: shown above it.
        description: shown when its corner is pointed at.
        queries: what it shows; lettered A, B, ... in this order.
        width: in units of gridPos; a dashboard has COLUMNS.
        height: in units of gridPos.
        defaults: more defaults of its fields.
        options: of this type of panel.
        transformations: applied to the queries' results in this order.
        common: as its class says; by default without runbooks or overrides, and green.
    """
    steps = common.get("steps", ((GREEN, None),))
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": PROMETHEUS,
        "gridPos": {"w": width, "h": height},
        "links": [
            {"title": f"Runbook: {alert}", "url": f"@runbook{alert}@", "targetBlank": True}
            for alert in common.get("runbooks", ())
        ],
        "targets": [query.target(index) for index, query in enumerate(queries)],
        "fieldConfig": {
            "defaults": {
                "unit": common.get("unit", "short"),
                "color": {"mode": "palette-classic"},
                "thresholds": {
                    "mode": "absolute",
                    "steps": [{"color": color, "value": value} for color, value in steps],
                },
                **(defaults or {}),
            },
            "overrides": list(common.get("overrides", ())),
        },
        "options": options or {},
        "transformations": list(transformations),
    }


def time_series(
    title: str,
    description: str,
    *queries: Query,
    stacked: bool = False,
    share: bool = False,
    minimum: float | None = 0,
    **common: Unpack[Common],
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
        "thresholdsStyle": {"mode": "dashed" if "steps" in common else "off"},
        "axisPlacement": "auto",
    }
    defaults: Json = {"custom": custom}
    if minimum is not None:
        defaults["min"] = minimum
    return panel(
        "timeseries",
        title,
        description,
        queries,
        width=8,
        height=8,
        defaults=defaults,
        options={
            "legend": {
                "showLegend": True,
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        **common,
    )


def stat(title: str, description: str, query: Query, **common: Unpack[Common]) -> Json:
    """One number, coloured by its thresholds; grey without any."""
    common.setdefault("steps", ((GREY, None),))
    return panel(
        "stat",
        title,
        description,
        [query],
        width=4,
        height=4,
        defaults={"color": {"mode": "thresholds"}, "noValue": "none"},
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "textMode": "auto",
        },
        **common,
    )


def bar_gauge(title: str, description: str, query: Query, **common: Unpack[Common]) -> Json:
    """One bar for each series' newest value."""
    return panel(
        "bargauge",
        title,
        description,
        [query],
        width=8,
        height=8,
        defaults={"min": 0, "color": {"mode": "continuous-BlPu"}},
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "orientation": "horizontal",
            "displayMode": "basic",
            "showUnfilled": True,
            "valueMode": "color",
        },
        **common,
    )


def table(
    title: str,
    description: str,
    *queries: Query,
    columns: dict[str, str],
    **common: Unpack[Common],
) -> Json:
    """Newest values of several queries, joined by the labels they share.

    `columns` has the titles of the columns by the fields' names, in the order shown.
    """
    return panel(
        "table",
        title,
        description,
        queries,
        width=8,
        height=8,
        options={"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
        transformations=[
            {"id": "merge", "options": {}},
            {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
            {
                "id": "organize",
                "options": {
                    "indexByName": {name: index for index, name in enumerate(columns)},
                    "renameByName": columns,
                },
            },
        ],
        **common,
    )


def field(name: str, **properties: Any) -> Json:
    """An override for the field of this name as shown; `custom__width` sets custom.width."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": key.replace("__", "."), "value": value} for key, value in properties.items()
        ],
    }


def dashed(pattern: str) -> Json:
    """An override that draws the series whose names match as dashed lines."""
    style = {"fill": "dash", "dash": [8, 6]}
    return {
        "matcher": {"id": "byRegexp", "options": pattern},
        "properties": [
            {"id": "custom.lineStyle", "value": style},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.lineWidth", "value": 2},
        ],
    }
