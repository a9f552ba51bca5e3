"""Every value is used, and settings are the program's own."""

import re

import yaml

from charts.generate import ADDRESSES, camel
from forecasting.settings import Settings
from tests.chart.rendering import CHART, one, pods, refusal, render
from tests.chart.shapes import faults

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = {path: path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file()}

OF_PODS = {
    "BUNDLE_URL", "BUNDLE_DIGEST", "BUNDLE_SIGNATURE", "MODEL_VERSION", "PREDICTION_LOG_URL",
    "SIGNING_KEY", "TRUSTED_KEYS",
    "TIINGO_TOKEN", "TINVEST_TOKEN", "VERSIONS_ON_DEMAND",
}  # fmt: skip
"""Settings that a pod has of its own: the bundle's, and what has or is a secret. And one that none
has: on a cluster each version is a service of its own."""


def leaves(node, path=()):
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def test_a_start_may_take_as_long_as_the_values_say():
    def seconds(rendered, name):
        (container,) = one(rendered, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        probe = container["startupProbe"]
        return probe["periodSeconds"] * probe["failureThreshold"]

    for name in ("page", "mlflow"):
        assert seconds(render(), f"bellwether-{name}") == 600
        assert seconds(render("", f"{name}.startupSeconds=901"), f"bellwether-{name}") == 902


def test_every_value_is_used_by_some_template():
    text = "\n".join(TEMPLATES.values()) + (CHART / "flows.yaml").read_text()
    alerts = "\n".join(
        p.read_text() for f in ("alerts", "dashboards") for p in (CHART / f).rglob("*.*")
    )
    unused = []
    for path in leaves(VALUES):
        if path[:2] == ("monitoring", "thresholds"):
            used = re.search(rf"@{path[-1]}@|\"{path[-1]}\"", alerts + text)
        else:
            # Some part of the path is read as a whole, e.g. by toYaml, or the key after a `with`.
            used = any(
                re.search(rf"[.$a-z]{re.escape('.'.join(path[:n]))}\b", text)
                and (n == len(path) or _read_below(path, n, text))
                for n in range(len(path), 0, -1)
            )
        if not used:
            unused.append(".".join(path))
    assert unused == []


def _read_below(path, n, text):
    """Whether what is below the first n keys is read through a variable, `with` or toYaml."""
    if path[n - 1] in {"resources", "requests", "limits", "labels", "label", "dashboardLabels"}:
        return True
    return bool(re.search(rf"[.]{re.escape(path[-1])}\b|\"{re.escape(path[-1])}\"", text))


def test_a_value_that_is_set_reaches_the_settings_in_plain_numbers():
    data = one(
        render("", "settings.staleAfterSeconds=345600", "settings.refuseAfterSeconds=12096000"),
        "ConfigMap", "bellwether-settings",
    )["data"]  # fmt: skip
    assert data["BELLWETHER_STALE_AFTER_SECONDS"] == "345600"
    assert data["BELLWETHER_REFUSE_AFTER_SECONDS"] == "12096000"


def test_settings_and_the_charts_own_variables_are_together_the_programs_fields():
    fields = {name.upper() for name in Settings.model_fields}
    data = one(render(), "ConfigMap", "bellwether-settings")["data"]
    derived = {name.removeprefix("BELLWETHER_") for name in data}
    free = {name.upper() for name in Settings.model_fields if name not in ADDRESSES}
    assert {name.upper() for name in ADDRESSES} == derived | OF_PODS
    assert derived | OF_PODS | free == fields
    assert derived & free == set()


def test_every_free_setting_is_taken_and_understood(monkeypatch):
    examples = {
        "keep_forecasts": "false", "compare_sources": "false", "page_user": "ann",
        "prediction_log_own_bars": "false", "dataset_may_change": "false",
        "promotion_alpha": "0.01",
        "source_base_url": "http://x", "fallback_source": "tiingo", "fallback_base_url": "http://y",
    }  # fmt: skip
    free = [name for name in Settings.model_fields if name not in ADDRESSES]
    sets = [f"settings.{camel(name)}={examples.get(name, '100')}" for name in free]
    data = one(render("", *sets), "ConfigMap", "bellwether-settings")["data"]
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.keep_forecasts is False
    assert {str(getattr(settings, n)).removesuffix(".0") for n in free} == {
        "100", "0.01", "ann", "http://x", "tiingo", "http://y", "False",
    }  # fmt: skip


def test_the_settings_of_pods_are_given_to_pods():
    found = {
        variable["name"]
        for _, spec in pods(render())
        for container in spec["containers"]
        for variable in container.get("env", [])
    }
    assert {"BELLWETHER_PREDICTION_LOG_URL", "BELLWETHER_BUNDLE_URL"} <= found


def test_tokens_of_price_providers_come_from_a_secret_and_only_to_jobs():
    def variables(*settings):
        return {
            (name, variable["name"])
            for name, spec in pods(render("", *settings))
            for container in spec["containers"]
            for variable in container.get("env", [])
            if variable["name"].endswith("_TOKEN")
        }

    assert variables() == set()
    given = variables("providers.existingSecret=accounts")
    assert {variable for _, variable in given} == {
        "BELLWETHER_TIINGO_TOKEN", "BELLWETHER_TINVEST_TOKEN",
    }  # fmt: skip
    assert "not allowed" in refusal("settings.tiingoToken=abc")


def test_a_password_is_known_before_the_address_that_needs_it():
    for name, spec in pods(render()):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            order = [variable["name"] for variable in container.get("env", [])]
            if "BELLWETHER_PREDICTION_LOG_URL" in order:
                assert order.index("DATABASE_PASSWORD") < order.index(
                    "BELLWETHER_PREDICTION_LOG_URL"
                ), name


def test_a_setting_that_the_chart_derives_cannot_be_set():
    assert "not allowed" in refusal("settings.registryUrl=http://elsewhere:5000")


EMAIL = (
    "monitoring.receivers.email.to={ada@b.example,bob@b.example}",
    "monitoring.receivers.email.from=alerts@b.example",
    "monitoring.receivers.email.smarthost=smtp.b.example:587",
    "monitoring.receivers.email.username=ada",
    "monitoring.receivers.email.existingSecret=smtp",
)


def test_alerts_go_nowhere_by_default_and_to_those_whom_the_values_name():
    assert not [o for o in render() if o["kind"] == "AlertmanagerConfig"]
    slack = "monitoring.receivers.slack.existingSecret=slack"
    webhook = "monitoring.receivers.webhook.existingSecret=hook"
    made = one(render("", *EMAIL, slack, webhook), "AlertmanagerConfig", "bellwether")
    assert list(faults(made)) == []
    (receiver,) = made["spec"]["receivers"]
    assert made["spec"]["route"]["receiver"] == receiver["name"]
    (email,), (chat,) = receiver["emailConfigs"], receiver["slackConfigs"]
    assert email["to"] == "ada@b.example, bob@b.example"
    assert email["authPassword"] == {"name": "smtp", "key": "password"}
    assert chat["apiURL"] == {"name": "slack", "key": "url"}
    assert "{{ .CommonAnnotations.summary }}" in chat["title"]
    assert receiver["webhookConfigs"][0]["urlSecret"] == {"name": "hook", "key": "url"}
    (alone,) = one(render("", slack), "AlertmanagerConfig", "bellwether")["spec"]["receivers"]
    assert set(alone) == {"name", "slackConfigs"}
