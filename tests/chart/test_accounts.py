"""Who may what: the Secrets that each pod gets, and what they open, are those SECURITY.md's table names."""

import pytest
import yaml

from bellwether.cluster.helmfile import merged
from bellwether.cluster.up import wiring
from bellwether.doctor import PROBES
from forecasting.adapters.database_roles import GRAFANA, NAMES
from forecasting.adapters.drift.history import FOLDER
from tests.accounts_table import OWNER, account_rows, row_of
from tests.chart.rendering import CHART, one, pods, refusal, render, rollout_templates
from tests.chart.test_platform import (
    bellwether_on_the_platform,
    foundation,
    objects,
    pipelines,
    releases,
    secrets,
)

STORE, DATABASE = "bellwether-objectstore", "bellwether-database"
WHO = {
    "bellwether-page: page": "the page",
    "bellwether: kserve-container": "a model server",
    "bellwether-mlflow: mlflow": "MLflow",
    "bellwether-mlflow: prepare": "`bellwether prepare`, before MLflow starts",
    "bellwether-training: train": "the training",
    "bellwether-training: rollout": "the rollout",
    "bellwether-rollout: rollout": "the rollout",
    "bellwether-quality: quality": "the rollout's look at realised forecasts",
    "bellwether-restore-1: rollout": "the rollout",
    "bellwether-refresh: refresh": "the refresh",
    "bellwether-drift: drift": "the drift job",
}


def credentials_in(part):
    """Names of the Secrets with keys or logins that a part of a pod refers to, however it does."""
    if isinstance(part, list):
        return {name for one in part for name in credentials_in(one)}
    if not isinstance(part, dict):
        return set()
    found = {name for value in part.values() for name in credentials_in(value)}
    for reference in ("secretKeyRef", "secretRef", "secret"):
        named = part.get(reference)
        if isinstance(named, dict):
            found.add(str(named.get("name") or named.get("secretName")))
    return {name for name in found if name.startswith((STORE, DATABASE))}


def held(rendered):
    """Container -> Secrets with keys and logins it gets."""
    found = {}
    for name, spec in pods(rendered):
        assert not credentials_in(spec.get("volumes", [])), name
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            found[f"{name.partition('/')[2]}: {container['name']}"] = credentials_in(container)
    return found


def due(who):
    """Secrets that a row of the table says somebody has."""
    row = row_of(who)
    if row.account == OWNER:
        roles = {f"{DATABASE}-{name}" for name in NAMES if name != GRAFANA}
        return {STORE, DATABASE, *roles}
    places = ((STORE, row.store), (DATABASE, row.database))
    return {f"{prefix}-{row.account}" for prefix, may in places if may != {}}


@pytest.mark.parametrize("without", ["nothing", "kubeflow"], ids=["kfp", "job"])
def test_each_container_has_the_secrets_of_its_row_and_no_others(without):
    found = held(bellwether_on_the_platform(without=without))
    assert {name for name in found if found[name]} <= set(WHO)
    assert {name: found[name] for name in found if name in WHO} == {
        name: due(who) for name, who in WHO.items() if name in found
    }
    missing = {"bellwether-training: train", "bellwether-training: rollout"}
    missing |= {"bellwether-refresh: refresh"}
    assert set(WHO) - set(found) == (
        missing if without == "nothing" else {"bellwether-rollout: rollout"}
    )


def test_model_servers_fetch_bundles_with_the_key_they_run_with():
    rendered = bellwether_on_the_platform()
    account = one(rendered, "ServiceAccount", "bellwether-models")
    assert account["secrets"] == [{"name": f"{STORE}-models"}]
    predictor = rollout_templates(rendered)[0]["spec"]["predictor"]
    assert predictor["serviceAccountName"] == "bellwether-models"


@pytest.mark.parametrize(
    "who",
    [
        "other steps of our pipelines",
        "the steps that weigh, register, recalibrate and ask models and look up which are in use",
    ],
)
def test_steps_have_the_account_of_the_jobs(who):
    made = secrets(objects(foundation().stdout))
    steps = render("kfp")
    values = {
        container["name"]: {v["name"]: v.get("value") for v in container.get("env", [])}
        for name, spec in pods(steps)
        if name == "Job/bellwether-submit"
        for container in [*spec["initContainers"], *spec["containers"]]
    }["submit"]
    named = {
        STORE: values["BELLWETHER_STEP_OBJECT_STORE"],
        DATABASE: values["BELLWETHER_STEP_DATABASE"],
    }
    for secret in due(who):
        prefix = secret.rpartition("-")[0]
        ours = made["bellwether", secret]["stringData"]
        assert made["kubeflow", named[prefix]]["stringData"] == ours


def test_kubeflow_pipelines_has_a_key_of_its_own():
    launcher = one(pipelines(), "ConfigMap", "kfp-launcher")["data"]
    secret = yaml.safe_load(launcher["providers"])["minio"]["default"]["credentials"]["secretRef"]
    made = secrets(objects(foundation().stdout))
    keys = [one["stringData"] for place, one in made.items() if "object" in place[1]]
    own = made["kubeflow", secret["secretName"]]["stringData"]
    assert keys.count(own) == 1
    bucket = merged(next(r for r in releases() if r.name == "kubeflow-pipelines").values)
    assert row_of("Kubeflow Pipelines").store == {
        "reads": {bucket["objectStore"]["bucket"]},
        "writes": {bucket["objectStore"]["bucket"]},
    }


def identities(*settings):
    """Name -> what it may, as SeaweedFS reads it."""
    made = secrets(objects(foundation(*settings).stdout))
    text = made["bellwether-objectstore", "bellwether-objectstore-identities"]["stringData"]
    listed = yaml.safe_load(text["seaweedfs_s3_config"])["identities"]
    return {one["name"]: one["actions"] for one in listed}


def may(actions, action, path):
    """Whether SeaweedFS lets an identity: an action alone, of a bucket, or of what begins so."""
    bucket = path.partition("/")[0]
    return any(
        given in {action, "Admin", f"{action}:{bucket}", f"Admin:{bucket}"}
        or (given.endswith("*") and f"{action}:{path}".startswith(given[:-1]))
        for given in actions
    )


def test_the_store_lets_each_account_do_what_its_row_says_and_no_more():
    listed = identities("objectStore.bucket=prices")
    places = {
        "prices/mlflow/1/x": "mlflow/",
        "prices/lake/prices/x": "lake/",
        "prices/lake/features/x": "lake/features/",
        "prices/lake/drift/x": "lake/drift/",
        "prices/lake/doctor/x": "lake/doctor/",
        "prices/x": "",
        "kubeflow-pipelines/x": "kubeflow-pipelines",
        "other/x": "other",
    }
    for row in account_rows():
        if not row.account or row.account == OWNER or row.store == {}:
            continue
        for path, place in places.items():
            for verb, action in (("reads", "Read"), ("writes", "Write")):
                said = any(place.startswith(prefix) for prefix in row.store.get(verb, ()))
                assert may(listed[row.account], action, path) is said, (row.who, verb, path)
    with_keys = {row.account for row in account_rows() if row.store} | {"bellwether"}
    assert set(listed) == with_keys


def test_the_drift_job_and_the_doctor_write_where_their_account_may():
    assert row_of("the drift job").store["writes"] == {f"lake/{FOLDER}/", f"lake/{PROBES}/"}


def test_foundation_draws_a_login_for_each_role_and_bellwether_is_told_of_all():
    made = secrets(objects(foundation().stdout))
    accounts = merged(wiring(releases(), ["database"]))["database"]["accounts"]
    assert set(accounts) == set(NAMES) - {GRAFANA}
    assert set(accounts) == set(
        yaml.safe_load((CHART / "values.yaml").read_text())["database"]["accounts"]
    )
    words = {made["bellwether", DATABASE]["stringData"]["password"]}
    for name, secret in accounts.items():
        login = made["bellwether", secret]["stringData"]
        assert login["username"] == f"bellwether_{name}"
        words.add(login["password"])
    assert len(words) == len(accounts) + 1


def test_prepare_is_told_each_role_with_the_password_its_component_has():
    rendered = bellwether_on_the_platform()
    pod = next(spec for name, spec in pods(rendered) if name == "Deployment/bellwether-mlflow")
    (prepare,) = pod["initContainers"]
    told = {
        variable["name"]: tuple(variable["valueFrom"]["secretKeyRef"].values())[:2]
        for variable in prepare["env"]
        if variable["name"].startswith("BELLWETHER_ROLE_")
    }
    assert told == {
        f"BELLWETHER_ROLE_{name.upper()}{ending}": (f"{DATABASE}-{name}", key)
        for name in NAMES
        if name != GRAFANA
        for ending, key in (("", "username"), ("_PASSWORD", "password"))
    }


def test_without_accounts_everybody_has_the_owners():
    assert {name for found in held(render()).values() for name in found} == {STORE, DATABASE}


def test_mlflows_role_needs_a_database_of_its_own():
    said = refusal("database.accounts.mlflow=own", "database.registryName=bellwether")
    assert "database.registryName must not be database.logName" in said
