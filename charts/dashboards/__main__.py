"""Writes the Grafana dashboards of charts/bellwether: `make dashboards`.

The chart fills in what depends on an installation when it renders them: `@name@` is a fact of the
release, and the text "=@name@" a number of values.monitoring.thresholds.
"""

import json
from pathlib import Path
from typing import Final

from charts.dashboards.dashboards import main_dashboard, runbooks_dashboard

CHART: Final = Path(__file__).parents[1] / "bellwether"


def dashboard_files() -> dict[str, str]:
    """The content of every dashboard's file by the file's name."""
    dashboards = {
        "main.json": main_dashboard(),
        "runbooks.json": runbooks_dashboard(CHART / "runbooks"),
    }
    return {name: json.dumps(made, indent=1) + "\n" for name, made in dashboards.items()}


if __name__ == "__main__":
    for name, content in dashboard_files().items():
        (CHART / "dashboards" / name).write_text(content, encoding="utf-8")
