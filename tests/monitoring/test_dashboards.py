"""Dashboards: generated, complete, readable, and about what the alerts are about."""

import re
import sqlite3

import pytest
import yaml

from charts.dashboards.__main__ import dashboard_files
from forecasting.adapters.prediction_log.rows import table
from tests.monitoring.expressions import dashboards, expressions, panels, rules
from tests.monitoring.rendered import CHART, rendered, the

FOLDER = CHART / "dashboards"
ALERTS = sorted(path.stem for path in (CHART / "alerts").glob("*.yaml"))
UNITS = {
    "short", "s", "reqps", "ops", "percent", "percentunit",
}  # fmt: skip


@pytest.fixture(scope="module")
def main():
    return dashboards(rendered())["Bellwether"]


def test_the_committed_dashboards_are_what_the_generator_writes():
    generated = dashboard_files()
    assert sorted(generated) == sorted(path.name for path in FOLDER.glob("*.json"))
    for name, text in generated.items():
        assert (FOLDER / name).read_text() == text, f"{name} is old: make dashboards"


def test_the_main_dashboard_has_its_rows_in_order(main):
    rows = [panel["title"] for panel in main["panels"] if panel["type"] == "row"]
    assert rows == ["Service", "Model", "Data", "Canary", "Log"]


def test_every_panel_says_what_it_shows_and_in_which_unit(main):
    for panel in panels(main):
        assert panel["title"], panel
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]


def test_panels_neither_overlap_nor_leave_the_screen():
    for dashboard in dashboards(rendered()).values():
        taken = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {
                (place["x"] + x, place["y"] + y)
                for x in range(place["w"])
                for y in range(place["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells
        numbers = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(numbers)) == len(numbers)


def test_every_line_has_a_name(main):
    for panel in panels(main):
        for target in panel["targets"]:
            if panel["type"] in {"timeseries", "bargauge"}:
                assert target["legendFormat"] != "__auto", panel["title"]


def test_every_alert_is_linked_from_a_panel(main):
    linked = {link["url"] for panel in panels(main) for link in panel["links"]}
    assert linked == {f"https://runbooks.example/{alert}.md" for alert in ALERTS}


def test_without_an_address_runbooks_are_a_dashboard_that_alerts_link_to():
    objects = rendered(runbooks="")
    texts = {
        panel["id"]: panel["title"]
        for panel in dashboards(objects)["Bellwether runbooks"]["panels"]
    }
    for rule in (one for one in rules(objects) if "alert" in one):
        address = rule["annotations"]["runbook_url"]
        found = re.search(r"^http://grafana\..+/d/bellwether-runbooks\?viewPanel=(\d+)$", address)
        assert found, address
        assert texts[int(found[1])] == rule["alert"]


def test_thresholds_are_numbers_of_the_values(main):
    values = yaml.safe_load((CHART / "values.yaml").read_text())["monitoring"]["thresholds"]
    (panel,) = (panel for panel in panels(main) if panel["title"] == "Latency")
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps[1]["value"] == values["latencyP99Seconds"]


def test_links_lead_to_the_page_mlflow_and_the_runbooks():
    objects = rendered(
        "monitoring.links.page=https://page.example",
        "monitoring.links.mlflow=https://models.example",
    )
    urls = [link["url"] for link in dashboards(objects)["Bellwether"]["links"]]
    assert urls == ["https://page.example", "https://models.example", "https://runbooks.example"]
    derived = dashboards(rendered("gateway.domain=b.example", "gateway.publicPort=80"))[
        "Bellwether"
    ]
    assert derived["links"][1]["url"] == "http://mlflow.b.example"


def test_the_log_is_asked_for_columns_that_it_has():
    (query,) = (one.text for one in expressions(rendered()) if one.kind == "sql")
    log = sqlite3.connect(":memory:")
    columns = ", ".join(column.name for column in table().columns)
    log.execute(f"CREATE TABLE predictions ({columns})")
    plain = re.sub(r"::\w+( precision)?", "", query)
    plain = re.sub(r"to_timestamp\((.+?)\)", r"(\1)", plain).replace("-> -1 ->>", "->>")
    assert log.execute(plain.replace("->> -1", "->> 0")).fetchall() == []


def test_the_datasource_holds_no_password():
    config = the("ConfigMap", "bellwether-datasource", rendered("database.sslMode=require"))
    (source,) = yaml.safe_load(config["data"]["bellwether.yaml"])["datasources"]
    assert source["secureJsonData"] == {"password": "$BELLWETHER_READER_PASSWORD"}
    assert source["user"] == "bellwether_reader"
    assert source["jsonData"]["sslmode"] == "require"
    assert source["uid"] == "bellwether-predictions"


def test_the_logs_datasource_is_the_one_the_dashboard_asks_for(main):
    chosen = {one["name"]: one for one in main["templating"]["list"]}
    assert set(chosen) == {"datasource", "predictions", "namespace", "symbol"}
    assert chosen["predictions"]["current"]["value"] == "bellwether-predictions"
    assert chosen["namespace"]["current"]["value"] == "bellwether"
