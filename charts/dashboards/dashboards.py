"""Puts panels into the two dashboards: the main one and that of the runbooks."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from charts.dashboards.panels import COLUMNS, PODS, PROMETHEUS, Json
from charts.dashboards.rows import canary, data, log, model, service

_SCHEMA_VERSION: Final = 39


def _arranged(rows: Iterable[tuple[str, list[Json]]]) -> list[Json]:
    """The panels at their positions: side by side until a line is full, each row below its heading."""
    panels: list[Json] = []
    top = 0
    for title, row in rows:
        heading = {"type": "row", "title": title, "collapsed": False, "panels": []}
        panels.append(heading | {"gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1}})
        top, left, height = top + 1, 0, 0
        for panel in row:
            size = panel["gridPos"]
            if left + size["w"] > COLUMNS:
                top, left, height = top + height, 0, 0
            panels.append(panel | {"gridPos": {"x": left, "y": top, **size}})
            left, height = left + size["w"], max(height, size["h"])
        top += height
    return [{"id": number} | panel for number, panel in enumerate(panels, 1)]


def _datasource_variable(name: str, label: str, plugin: str, text: str) -> Json:
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


def _label_variable(name: str, label: str, query: str, *, multiple: bool) -> Json:
    everything = {"text": ["All"], "value": ["$__all"]}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": multiple,
        "includeAll": multiple,
        "current": everything if multiple else {"text": "@namespace@", "value": "@namespace@"},
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


def main_dashboard() -> Json:
    """What the service does now and how good its forecasts were."""
    variables = [
        _datasource_variable("datasource", "Prometheus", "prometheus", ""),
        _datasource_variable(
            "predictions",
            "Prediction log",
            "grafana-postgresql-datasource",
            "bellwether-predictions",
        ),
        _label_variable(
            "namespace",
            "Namespace",
            "label_values(bellwether_model_info, namespace)",
            multiple=False,
        ),
        _label_variable(
            "symbol",
            "Symbol",
            f"label_values(bellwether_bars_held{{{PODS}}}, symbol)",
            multiple=True,
        ),
    ]
    weights = 'model_version:bellwether_route_weight:max{namespace="$namespace"}'
    rollouts = {
        "name": "Rollouts",
        "enable": True,
        "iconColor": "purple",
        "datasource": PROMETHEUS,
        "expr": f"{weights} != {weights} offset 1m",
        "step": "1m",
        "titleFormat": "Weight changed",
        "textFormat": "version {{model_version}}",
        "tagKeys": "model_version",
        "useValueForTime": False,
    }
    rows = [
        ("Service", service.PANELS),
        ("Model", model.PANELS),
        ("Data", data.PANELS),
        ("Canary", canary.PANELS),
        ("Log", log.PANELS),
    ]
    return _dashboard(
        "bellwether",
        "Bellwether",
        "Forecasts, their models, the prices they are made from, and their realised accuracy.",
        templating={"list": variables},
        annotations={"list": [rollouts]},
        panels=_arranged(rows),
    )


def runbooks_dashboard(runbooks: Path) -> Json:
    """The Markdown files of a folder as a dashboard, for installations that publish them nowhere."""
    panels = [
        {
            "id": number + 1,
            "type": "text",
            "title": path.stem,
            "gridPos": {"w": 12, "h": 14, "x": number % 2 * 12, "y": number // 2 * 14},
            "options": {"mode": "markdown", "content": path.read_text(encoding="utf-8")},
        }
        for number, path in enumerate(sorted(runbooks.glob("*.md")))
    ]
    return _dashboard(
        "bellwether-runbooks",
        "Bellwether runbooks",
        "What each alert means and what to do about it.",
        templating={"list": []},
        annotations={"list": []},
        panels=panels,
    )
