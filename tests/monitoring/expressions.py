"""Every PromQL expression and SQL query that the chart installs, with variables filled in.

Works on Kubernetes objects as dictionaries: rendered by helm, or read back from a cluster.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

NAMES = re.compile(r"\bbellwether_[a-z0-9_]+")
RECORDED = re.compile(r"\b(?:[a-z_]+:)+bellwether_[a-z0-9_]+:[a-z0-9_]+|\bbellwether:[a-z0-9_:]+")
_VARIABLE = re.compile(r"\$\{?(\w+)(?::\w+)?\}?")


def _escaped(symbol: str) -> str:
    """As Grafana writes a variable's value into a matcher: a regular expression in a string."""
    return re.sub(r"([.^$*+?()|\[\]{}])", r"\\\\\1", symbol)


@dataclass(frozen=True)
class Expression:
    """Something to ask Prometheus or PostgreSQL.

    Attributes:
        where: dashboard and panel, or the rule.
        kind: panel, annotation, variable, alert, record or sql.
        text: PromQL or SQL, variables filled in.
    """

    where: str
    kind: str
    text: str

    @property
    def metrics(self) -> set[str]:
        """Raw metrics of ours that it reads; recorded series are not raw."""
        return set(NAMES.findall(RECORDED.sub("", self.text)))

    @property
    def recorded(self) -> set[str]:
        """Recorded series that it reads."""
        return set(RECORDED.findall(self.text))


def rules(objects: Iterable[Any]) -> list[Any]:
    """The rules of every PrometheusRule."""
    return [
        rule
        for one in objects
        if one["kind"] == "PrometheusRule"
        for group in one["spec"]["groups"]
        for rule in group["rules"]
    ]


def dashboards(objects: Iterable[Any]) -> dict[str, Any]:
    """Every dashboard by its title."""
    found: dict[str, Any] = {}
    for one in objects:
        if one["kind"] != "ConfigMap" or "-dashboard-" not in one["metadata"]["name"]:
            continue
        for text in one["data"].values():
            dashboard = json.loads(text)
            found[dashboard["title"]] = dashboard
    return found


def panels(dashboard: Any) -> Iterator[Any]:
    """Every panel but the rows' headings."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def expressions(
    objects: Iterable[Any], *, namespace: str = "bellwether", symbols: Iterable[str] = ("AAPL",)
) -> list[Expression]:
    """Everything that Prometheus or PostgreSQL is asked."""
    objects = list(objects)
    known = list(symbols)
    filled = {
        "namespace": namespace,
        "symbol": f"({'|'.join(map(_escaped, known))})",
        "__rate_interval": "1m",
        "__range": "1h",
    }
    quoted = filled | {"symbol": ", ".join(f"'{one}'" for one in known)}

    def fill(text: str, values: dict[str, str] = filled) -> str:
        return _VARIABLE.sub(lambda found: values[found[1]], text)

    found = []
    for rule in rules(objects):
        kind = "alert" if "alert" in rule else "record"
        found.append(Expression(rule[kind], kind, rule["expr"]))
    for title, dashboard in dashboards(objects).items():
        for panel in panels(dashboard):
            where = f"{title}: {panel['title']}"
            for target in panel.get("targets", []):
                if "rawSql" in target:
                    found.append(Expression(where, "sql", fill(target["rawSql"], quoted)))
                else:
                    found.append(Expression(where, "panel", fill(target["expr"])))
        for annotation in dashboard["annotations"]["list"]:
            where = f"{title}: {annotation['name']}"
            found.append(Expression(where, "annotation", fill(annotation["expr"])))
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                inner = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])
                assert inner, variable["query"]
                where = f"{title}: ${variable['name']}"
                found.append(Expression(where, "variable", fill(inner[1])))
    return found
