"""An installation that begins to verify versions: what it adopts serves on, what it did not sign never does."""

import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from forecasting.adapters.cluster.manifests import (
    SIGNATURE,
    RolloutConfig,
    VersionSpec,
    inference_service,
    storage_uri,
)
from forecasting.adapters.signing_keys import SIGNING, TRUSTED
from forecasting.bundle.signature import TrustedKeys
from tests.e2e.cluster import ROLLOUT, eventually
from tests.e2e.installation import install
from tests.e2e.load import Load
from tests.e2e.poison import bundle_of, registered
from tests.e2e.stage import both, pods_of, train

SECRET = "bellwether-signing"
WHY = "trained by our pipeline, looked at by the tests"


@dataclass(frozen=True)
class Keys:
    """The installation's key pair, as files."""

    folder: Path

    @property
    def trusted(self) -> str:
        return (self.folder / TRUSTED).read_text()

    @property
    def id(self) -> str:
        return TrustedKeys(self.trusted.encode()).ids[0]


@pytest.fixture(scope="module")
def keys(cluster, images, versions, tmp_path_factory):
    """Signing is on, begun as docs/signing.md says; afterwards it is off again."""
    folder = tmp_path_factory.mktemp("keys")
    cluster.bellwether("key", "--out", str(folder)).expect()
    both(cluster, versions)
    files = [f"--from-file={folder / name}" for name in (SIGNING, TRUSTED)]
    cluster.kubectl("create", "secret", "generic", SECRET, *files)
    try:
        for version in (versions.stable, versions.candidate):
            cluster.rollout("adopt", str(version), "--why", WHY, "--who", "tests").expect()
        install(
            cluster, images,
            f"--set=signing.existingSecret={SECRET}",
            f"--set-file=signing.trustedKeys={folder / TRUSTED}",
        )  # fmt: skip
        with Load(cluster.forecasts) as load:
            cluster.rollout("sync", seconds=600).expect()
        assert load.report.failed == 0, str(load.report)
        yield Keys(folder)
    finally:
        install(cluster, images)
        cluster.rollout("sync", seconds=600).expect()
        cluster.delete("secret", SECRET)


def variables(service):
    """Variables of a version's pods, by name."""
    model = service["spec"]["predictor"]["model"]
    return {one["name"]: one.get("value", "") for one in model["env"]}


def test_versions_that_were_adopted_run_with_their_signature_and_verify_it(cluster, versions, keys):
    for version in (versions.stable, versions.candidate):
        service = cluster.get("inferenceservices.serving.kserve.io", f"bellwether-v{version}")
        given = variables(service)
        tag = cluster.versions()[version]["tags"]["bundle_signature"]
        assert given["BELLWETHER_BUNDLE_SIGNATURE"] == tag
        assert service["metadata"]["annotations"][SIGNATURE] == tag
        assert given["BELLWETHER_TRUSTED_KEYS"] == keys.trusted
    said = cluster.rollout("status").expect().output
    assert f"Signatures: verified by key {keys.id[:16]}" in said


def test_the_ledger_keeps_who_adopted_and_why_and_its_champion(cluster, versions, keys):
    rows = cluster.database_query("SELECT * FROM promotions ORDER BY number DESC LIMIT 2")
    champion = str(versions.stable)
    assert {row["to_version"] for row in rows} == {champion}
    assert {row["who"] for row in rows} == {"tests"}
    for version, row in zip((versions.candidate, versions.stable), rows, strict=True):
        assert row["why"].startswith(f"adopted version {version}, bundle ")
        assert row["why"].endswith(WHY)
        assert row["signer"] == keys.id


def test_the_private_key_is_in_the_pod_that_trains_and_in_no_other(cluster, keys):
    name = "BELLWETHER_SIGNING_KEY"
    training = cluster.get("cronjob", "bellwether-training")["spec"]["jobTemplate"]
    pod = training["spec"]["template"]["spec"]
    having = {
        container["name"]
        for container in [*pod["initContainers"], *pod["containers"]]
        if name in json.dumps(container)
    }
    assert having == {"train"}
    others = [
        one for one in cluster.get("pods") if "job-name" not in one["metadata"].get("labels", {})
    ]
    assert others
    assert [one["metadata"]["name"] for one in others if SECRET in json.dumps(one["spec"])] == []


def test_a_training_signs_what_it_registers_and_its_rollout_accepts_it(
    cluster, versions, figures, keys
):
    body = {"name": "bellwether", "version": str(versions.candidate), "key": "bundle_signature"}
    cluster.change_registry("DELETE", "model-versions/delete-tag", body)
    assert "bundle_signature" not in cluster.versions()[versions.candidate]["tags"]
    train(cluster, figures, name="e2e-signed-training")
    for number in (cluster.version_called(alias) for alias in ("champion", "challenger")):
        tags = cluster.versions()[number]["tags"]
        assert tags["signed_by"] == keys.id
        TrustedKeys(keys.trusted.encode()).verified(
            tags["bundle_signature"],
            model="bellwether",
            version=str(number),
            digest=tags["bundle_digest"],
        )


def changed(good):
    """A bundle with other intervals, whose manifest promises them: (files, digest)."""
    files = {**good, "calibration.npy": good["calibration.npy"][:-1] + b"\x01"}
    manifest = json.loads(good["manifest.json"])
    assert "calibration.npy" in manifest["files"]
    digest = hashlib.sha256(files["calibration.npy"]).hexdigest()
    manifest["files"]["calibration.npy"] = digest
    written = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    files["manifest.json"] = written
    return files, hashlib.sha256(written).hexdigest()


@pytest.fixture(scope="module")
def forged(cluster, versions, keys):
    """A version that somebody wrote into MLflow: another's signature, and the alias champion."""
    both(cluster, versions)
    model = cluster.versions()[versions.stable]
    alias = {"name": "bellwether", "alias": "champion"}
    with registered(cluster, model, *changed(bundle_of(cluster, model))) as version:
        try:
            cluster.change_registry(
                "POST", "registered-models/alias", {**alias, "version": str(version)}
            )
            yield version
        finally:
            cluster.change_registry(
                "POST", "registered-models/alias", {**alias, "version": str(versions.stable)}
            )


def rolls_out(job):
    """The training's job without the training: the rollout of the champion, in a pod of ours."""
    job["spec"]["backoffLimit"] = 0
    pod = job["spec"]["template"]["spec"]
    del pod["initContainers"]
    (container,) = pod["containers"]
    assert container["args"][:3] == ["rollout", "run", "champion"]


def test_an_alias_that_was_moved_brings_nobody_another_model(cluster, versions, forged):
    with Load(cluster.forecasts) as load:
        cluster.start_job("bellwether-training", "e2e-forged", change=rolls_out)
        ended = eventually(
            "the rollout ends", lambda: cluster.job_outcome("e2e-forged"), seconds=120
        )
        by_alias = cluster.rollout("start", "champion")
        by_number = cluster.rollout("start", str(forged))
    said = cluster.job_logs("e2e-forged")
    assert ended == "Failed", said
    assert f"the registry names version {forged}, the ledger {versions.stable}" in said
    # From outside the cluster the ledger is not seen, and that is said.
    assert by_alias.code != 0
    assert "its database is not known here" in by_alias.output
    assert by_number.code != 0
    assert "a signature must be of the version that it is used for" in by_number.output
    assert not cluster.exists("inferenceservices.serving.kserve.io", f"bellwether-v{forged}")
    assert load.report.failed == 0, str(load.report)
    assert load.report.share(versions.stable) == 100


def as_it_would_run(cluster, version, signature):
    """The InferenceService of a version with a signature, checked by nobody."""
    data = cluster.get("configmap", "bellwether-rollout")["data"]
    config = RolloutConfig.parse("bellwether-rollout", data)
    record = cluster.versions()[version]
    address = cluster.registry("runs/get", run_id=record["run_id"])["run"]["info"]["artifact_uri"]
    where = storage_uri(address, config.artifact_store)
    tags = record["tags"]
    spec = VersionSpec(version, where, tags["bundle_digest"], tags["kind"], signature)
    made = inference_service(config, spec, cluster.namespace)
    made["spec"]["predictor"]["minReplicas"] = 1
    return made


def test_a_server_refuses_it_even_where_somebody_runs_it_without_the_rollout(
    cluster, versions, forged
):
    signature = cluster.versions()[forged]["tags"]["bundle_signature"]
    made = as_it_would_run(cluster, forged, signature)
    with Load(cluster.forecasts) as load:
        cluster.apply(json.dumps(made))
        try:
            said = eventually(
                "the server says why it does not serve",
                lambda: refusal_in_log(cluster, forged),
                seconds=120,
                every=1,
            )
            assert "must be of the version that it is used for" in said
            assert cluster.ready_pods(pods_of(forged)) == []
        finally:
            cluster.rollout("delete", str(forged)).expect()
    assert load.report.failed == 0, str(load.report)


def refusal_in_log(cluster, version):
    words = ("logs", "--selector", pods_of(version), "--container=kserve-container", "--tail=-1")
    said = cluster.run("kubectl", "--namespace", cluster.namespace, *words).output
    return next((line for line in said.splitlines() if "a signature must be" in line), "")


def without_keys(service):
    change(service, "BELLWETHER_TRUSTED_KEYS", None)


def with_keys_of_others(service):
    change(service, "BELLWETHER_TRUSTED_KEYS", "-----BEGIN PUBLIC KEY-----\nothers\n")


def with_empty_keys(service):
    change(service, "BELLWETHER_TRUSTED_KEYS", "")


def as_another_number(service):
    change(service, "BELLWETHER_MODEL_VERSION", "1000")


def with_keys_twice(service):
    model = service["spec"]["predictor"]["model"]
    model["env"].append({"name": "BELLWETHER_TRUSTED_KEYS", "value": ""})


def change(service, name, value):
    model = service["spec"]["predictor"]["model"]
    assert name in variables(service)
    others = [one for one in model["env"] if one["name"] != name]
    model["env"] = others + ([{"name": name, "value": value}] if value is not None else [])


@pytest.fixture(scope="module")
def version(cluster, versions, keys):
    """The stable version's service under a number that nobody has."""
    signature = cluster.versions()[versions.stable]["tags"]["bundle_signature"]
    made = as_it_would_run(cluster, versions.stable, signature)
    made["metadata"]["name"] = "bellwether-v9999"
    made["metadata"]["labels"]["bellwether.io/model-version"] = "9999"
    change(made, "BELLWETHER_MODEL_VERSION", "9999")
    return made


def asked_by_the_rollout(cluster, service):
    """What the API server says to the rollout's account; nothing is written."""
    words = ("create", "--filename=-", "--dry-run=server", f"--as={ROLLOUT}")
    return cluster.run(
        "kubectl", "--namespace", cluster.namespace, *words, text=json.dumps(service)
    )


def test_the_rollout_may_run_a_version_that_verifies(cluster, version):
    made = asked_by_the_rollout(cluster, version)
    assert made.code == 0, made.output


@pytest.mark.parametrize(
    "spoil",
    [without_keys, with_empty_keys, with_keys_of_others, with_keys_twice, as_another_number],
    ids=lambda spoil: spoil.__name__,
)
def test_the_rollouts_account_cannot_switch_verification_off(cluster, version, spoil):
    spoiled = copy.deepcopy(version)
    spoil(spoiled)
    made = asked_by_the_rollout(cluster, spoiled)
    assert made.code != 0
    if spoil is not with_keys_twice or "may only run versions" in made.output:
        # Of a name that is there twice, the API server may say so first.
        assert "the rollout may only run versions that verify their signature" in made.output
