"""Only what registers versions gets the key that signs, and the rollout cannot choose whose count."""

import json
import shutil

import pytest
import yaml

from forecasting.adapters.cluster.manifests import RolloutConfig
from forecasting.bundle.signature import Signer, TrustedKeys, new_key
from tests.chart.rendering import (
    CHART,
    PROFILES,
    REGISTRY,
    helm,
    one,
    pods,
    refusal,
    render,
    template,
)  # fmt: skip

FIRST, SECOND = (Signer(new_key()).public_pem().decode() for _ in "ab")
KFP = ("training.engine=kfp", "kubeflowPipelines.signingSecret=theirs")
SIGNED = ("signing.existingSecret=bellwether-signing", f"signing.trustedKeys={FIRST}")


def variables(rendered, name):
    """Pod and container -> what the variable is in it."""
    return {
        (pod, container["name"]): variable.get("value") or variable["valueFrom"]
        for pod, spec in pods(rendered)
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        for variable in container.get("env", [])
        if variable["name"] == name
    }


@pytest.mark.parametrize("profile", ["", *PROFILES])
def test_only_the_container_that_registers_versions_gets_the_private_key(profile):
    rendered = render(profile, *SIGNED)
    given = {("CronJob/bellwether-training", "train")} if profile != "kfp" else set()
    assert set(variables(rendered, "BELLWETHER_SIGNING_KEY")) == given
    # Neither by another variable, nor as a volume or a whole environment.
    named = [
        (pod, container["name"])
        for pod, spec in pods(rendered)
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        if "bellwether-signing" in json.dumps({k: v for k, v in container.items() if k != "env"})
    ]
    assert named == []
    assert not [pod for pod, spec in pods(rendered) if "signing" in json.dumps(spec["volumes"])]


def test_the_key_comes_from_the_secret_that_the_value_names():
    reference = {"secretKeyRef": {"name": "mine", "key": "signing.pem"}}
    rendered = render("", "signing.existingSecret=mine")
    place = ("CronJob/bellwether-training", "train")
    assert variables(rendered, "BELLWETHER_SIGNING_KEY") == {place: reference}
    assert variables(rendered, "BELLWETHER_TRUSTED_KEYS") == {}


def test_on_kubeflow_pipelines_only_what_signs_finds_key_and_trusted_keys():
    rendered = render("", *KFP, "kubeflowPipelines.native=true", *SIGNED)
    (training,) = (
        o["spec"]["platformSpec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        for o in rendered
        if o["kind"] == "PipelineVersion" and "training" in o["metadata"]["name"]
    )
    given = {
        (name.removeprefix("exec-"), secret["secretName"], secret["optional"])
        for name, step in training.items()
        for secret in step.get("secretAsEnv", [])
        if any(key["envVar"] == "BELLWETHER_SIGNING_KEY" for key in secret["keyToEnv"])
    }
    assert given == {("register", "theirs", True), ("recalibrate", "theirs", True)}
    trusting = {
        name.removeprefix("exec-")
        for name, step in training.items()
        if "BELLWETHER_TRUSTED_KEYS" in json.dumps(step)
    }
    assert trusting == {"register", "recalibrate"}
    steps = [o for o in rendered if o["metadata"].get("namespace") == "kubeflow"]
    settings = one(steps, "ConfigMap", "bellwether-settings")["data"]
    assert settings["BELLWETHER_TRUSTED_KEYS"] == FIRST
    hook = {p: s for p, s in pods(rendered) if p == "Job/bellwether-submit"}
    (submit,) = {
        variable["value"]
        for spec in hook.values()
        for container in [*spec["initContainers"], *spec["containers"]]
        for variable in container["env"]
        if variable["name"] == "BELLWETHER_STEP_SIGNING"
    }
    assert submit == "theirs"


def config(rendered):
    data = one(rendered, "ConfigMap", "bellwether-rollout")["data"]
    return RolloutConfig.parse("bellwether-rollout", data)


def test_the_rollout_and_the_training_read_the_same_keys_byte_for_byte(tmp_path):
    both = tmp_path / "values.yaml"
    text = f"\n{FIRST}{SECOND}\n"
    both.write_text(yaml.safe_dump({"signing": {"existingSecret": "s", "trustedKeys": text}}))
    rendered = [o for o in yaml.safe_load_all(template("--values", both).stdout) if o]
    keys = config(rendered).trusted_keys
    assert keys == FIRST + SECOND
    assert len(TrustedKeys(keys.encode()).ids) == 2
    assert set(variables(rendered, "BELLWETHER_TRUSTED_KEYS").values()) == {keys}


def test_without_keys_nothing_speaks_of_them():
    rendered = render()
    assert config(rendered).trusted_keys == ""
    assert variables(rendered, "BELLWETHER_SIGNING_KEY") == {}
    assert variables(rendered, "BELLWETHER_TRUSTED_KEYS") == {}


def rules_about_trusted_keys(*settings):
    (policy,) = (
        o["spec"]
        for o in render("", *settings)
        if o["kind"] == "ValidatingAdmissionPolicy" and "rollout-versions" in o["metadata"]["name"]
    )
    (rule,) = (
        r["expression"] for r in policy["validations"] if "variables.trusted" in r["expression"]
    )
    return rule


def test_the_api_server_holds_the_rollout_to_the_charts_keys():
    on, off = rules_about_trusted_keys(*SIGNED), rules_about_trusted_keys()
    assert f"variables.trusted == [{json.dumps(FIRST)}]" in on
    assert "variables.numbers == [variables.labels['bellwether.io/model-version']]" in on
    assert off == "variables.trusted.all(keys, keys == '')"


def test_the_rollout_reaches_the_ledger_and_what_users_ask():
    def reached():
        rollout = one(render("", KFP[0]), "NetworkPolicy", "bellwether-rollout")["spec"]
        return {port["port"] for rule in rollout["egress"] for port in rule["ports"]}

    assert 5432 in reached()
    (given,) = {
        address
        for (pod, _), address in variables(
            render("", KFP[0], *SIGNED), "BELLWETHER_PREDICTION_LOG_URL"
        ).items()
        if pod == "CronJob/bellwether-rollout"
    }
    assert given.endswith("@postgresql.bellwether-data:5432/bellwether?sslmode=prefer")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ((SIGNED[1],), "signing.existingSecret must name the Secret"),
        (("signing.trustedKeys=words",), "trustedKeys"),
        ((f"signing.trustedKeys={new_key().decode()}",), "trustedKeys"),
        (("signing.existingSecret=No Name",), "existingSecret"),
    ],
)
def test_values_that_would_serve_nobody_are_refused(settings, says):
    assert says in refusal(*settings)


def test_the_notes_say_whether_versions_are_verified(tmp_path):
    # `helm template` leaves the notes out; as a file that a template renders they are seen.
    chart = tmp_path / "bellwether"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "NOTES.txt").rename(chart / "notes.txt")
    (chart / "templates" / "notes.yaml").write_text(
        '{kind: Notes, notes: {{ tpl (.Files.Get "notes.txt") . | toJson }}}'
    )

    def notes(*settings):
        sets = [part for setting in settings for part in ("--set", setting)]
        shown = ("--show-only", "templates/notes.yaml")
        made = helm("template", "bellwether", chart, *shown, "--set", REGISTRY, *sets)
        return yaml.safe_load(made.stdout)["notes"]

    assert "Signatures of versions are verified:" in notes(*SIGNED)
    assert "Signatures of versions are not asked for (signing.trustedKeys)" in notes()
