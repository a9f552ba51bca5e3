"""Alerts and recording rules, as the chart installs them, in the real promtool."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from forecasting import prometheus_metrics
from tests.monitoring.expressions import expressions, rules
from tests.monitoring.rendered import CHART, RUNBOOKS, rendered, the
from tests.programs import program

CASES = Path(__file__).parent / "cases"
ALERTS = sorted(path.stem for path in (CHART / "alerts").glob("*.yaml"))
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
OTHERS = {"bellwether_reader", "envoy_cluster_upstream_rq_time_bucket"}
"""Of Grafana's data source, and of Envoy."""


def table_of_metrics():
    """Names as Prometheus has them: a histogram is three."""
    names = set()
    for metric in prometheus_metrics.ALL:
        parts = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
        names |= {metric.name + part for part in parts}
    return names


def promtool(*words):
    command = [program("promtool"), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture(scope="session")
def rules_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    spec = the("PrometheusRule", "bellwether", rendered())["spec"]
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    return file


def test_prometheus_takes_every_rule(rules_file):
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules_file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_when_it_should_and_is_silent_when_it_should(alert, rules_file, tmp_path):
    groups = yaml.safe_load(rules_file.read_text())["groups"]
    for group in groups:  # promtool judges the case's own alert; the others would only take time
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert", alert) == alert]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}, sort_keys=False))
    case = tmp_path / "case.yaml"
    case.write_text((CASES / f"{alert}.yaml").read_text())
    done = promtool("test", "rules", str(case))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_firing_and_a_silent_case(alert):
    tests = yaml.safe_load((CASES / f"{alert}.yaml").read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    assert {check["alertname"] for check in checks} == {alert}
    assert any(check["exp_alerts"] for check in checks)
    silent = [t for t in tests if not any(check["exp_alerts"] for check in t["alert_rule_test"])]
    assert silent or any(not check["exp_alerts"] for check in checks)


def test_every_alert_has_a_file_a_runbook_and_cases_and_nothing_is_left_over():
    assert sorted(rule["alert"] for rule in rules(rendered()) if "alert" in rule) == ALERTS
    assert sorted(path.stem for path in (CHART / "runbooks").glob("*.md")) == ALERTS
    assert sorted(path.stem for path in CASES.glob("*.yaml")) == ALERTS


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(alert):
    (rule,) = (rule for rule in rules(rendered()) if rule.get("alert") == alert)
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["labels"]["namespace"] == "bellwether"
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}/{alert}.md"
    assert rule["annotations"]["summary"]
    assert re.search(r"\$value|\$labels|\d|@", rule["annotations"]["description"])


@pytest.mark.parametrize("alert", ALERTS)
def test_a_runbook_says_what_it_means_what_it_costs_how_to_look_and_what_to_do(alert):
    text = (CHART / "runbooks" / f"{alert}.md").read_text()
    assert text.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    for block in re.findall(r"```\n(.*?)```", text, re.DOTALL):
        for line in block.strip().splitlines():
            assert line.split()[0] in {"kubectl", "bellwether", "curl"}, line


def test_rules_read_only_metrics_that_somebody_makes():
    known = table_of_metrics()
    for one in expressions(rendered()):
        unknown = one.metrics - known - OTHERS
        assert one.kind == "sql" or not unknown, f"{one.where}: {unknown}"


def test_recorded_series_that_are_read_are_recorded():
    made = {rule["record"] for rule in rules(rendered()) if "record" in rule}
    for one in expressions(rendered()):
        assert one.recorded <= made, f"{one.where}: {one.recorded - made}"


def test_every_recorded_series_is_read():
    read = set().union(*(one.recorded for one in expressions(rendered())))
    assert {rule["record"] for rule in rules(rendered()) if "record" in rule} <= read


def test_a_suspended_job_is_not_missed():
    def watched(*settings):
        return {
            rule["labels"]["job_name"]
            for rule in rules(rendered(*settings))
            if rule.get("record") == "job_name:bellwether_job_allowed_age_seconds:max"
        }

    assert watched() == {"training", "refresh", "drift"}
    assert watched("training.suspend=true") == {"refresh", "drift"}


def test_thresholds_are_the_installations_own():
    objects = rendered("monitoring.thresholds.errorRatio=0.125")
    (rule,) = (r for r in rules(objects) if r.get("alert") == "BellwetherErrorRatioHigh")
    assert "> 0.125" in rule["expr"]
    assert "0.125" in rule["annotations"]["description"]


def test_every_threshold_is_used():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = "".join(
        path.read_text()
        for folder in ("alerts", "dashboards", "templates/monitoring")
        for path in (CHART / folder).rglob("*")
        if path.is_file()
    )
    for name in values["monitoring"]["thresholds"]:
        assert f"@{name}@" in text or f'"{name}"' in text, name


def test_two_installations_record_series_of_their_own():
    for rule in rules(rendered(namespace="elsewhere")):
        assert rule["labels"]["namespace"] == "elsewhere"
        assert 'namespace="bellwether"' not in rule["expr"]


def test_pods_are_scraped_with_the_name_of_their_inference_service():
    monitor = the("PodMonitor", "bellwether-models", rendered("monitoring.interval=7s"))
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["interval"] == "7s"
    assert endpoint["relabelings"] == [
        {
            "sourceLabels": ["__meta_kubernetes_pod_label_serving_kserve_io_inferenceservice"],
            "targetLabel": "inferenceservice",
        }
    ]


def test_monitoring_may_be_left_out_whole_or_in_parts():
    assert rendered("monitoring.enabled=false") == []
    without = rendered("monitoring.rules=false", "monitoring.dashboards=false")
    assert {one["kind"] for one in without} == {"PodMonitor", "ConfigMap"}
    assert [one["kind"] for one in rendered("monitoring.datasource.enabled=false")].count(
        "ConfigMap"
    ) == 2


def test_labels_of_the_values_are_on_what_prometheus_and_grafana_select():
    objects = rendered(
        "monitoring.labels.release=stack",
        "monitoring.dashboardLabels.folder=models",
    )
    for one in objects:
        labels = one["metadata"]["labels"]
        if one["kind"] in {"PodMonitor", "PrometheusRule"}:
            assert labels["release"] == "stack"
        elif "-dashboard-" in one["metadata"]["name"]:
            assert (labels["grafana_dashboard"], labels["folder"]) == ("1", "models")
        else:
            assert labels["grafana_datasource"] == "1"
