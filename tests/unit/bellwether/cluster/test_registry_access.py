"""A command here adopts with the release's registry, ledger and key, or says which is missing."""

import base64
import json
from urllib.parse import urlsplit

import pytest

from bellwether.cluster import registry_access
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl
from bellwether.cluster.registry_access import opened_settings
from bellwether.cluster.signing import KeyPair
from forecasting.bundle.signature import new_key
from forecasting.errors import InvalidSettings

HERE = Installation(Kubectl("here"), "bw", "bellwether")
PAIR, OTHER = (KeyPair.of(new_key().decode()) for _ in "ab")


def encoded(data):
    return {"data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}


def rollout(**other):
    """The rollout's ConfigMap; tests/chart says that the chart's is such."""
    settings = {
        "route": "r", "model": "bellwether", "artifactStore": "s3://b/mlflow", "steps": [100],
        "minutesPerStep": 1, "servicePort": 80, "registryService": "bellwether-mlflow",
        "registryPort": 5000, "ledgerSecret": "bellwether-database",
        "ledgerUrl": "postgresql+psycopg://postgresql.bellwether-data:5432/bellwether"
        "?sslmode=prefer",
        **other,
    }  # fmt: skip
    return {"rollout.json": json.dumps(settings), "inferenceservice.yaml": "{}"}


@pytest.fixture
def release(programs, monkeypatch, tmp_path):
    """A release as our chart renders it, its ports forwarded, and an empty folder to run in."""
    monkeypatch.chdir(tmp_path)
    programs.answer("get configmap bellwether-rollout", out={"data": rollout()})
    programs.answer("get service", out="service/there")
    programs.answer(
        "get secret bellwether-database", out=encoded({"username": "u", "password": "p@:/"})
    )
    programs.answer("get secret bellwether-signing", out="secret/bellwether-signing")
    keys = {"signing.pem": PAIR.signing, "trusted.pem": PAIR.trusted}
    programs.answer("get secret bellwether-signing", "--output json", out=encoded(keys))

    class Forward:
        def __init__(self, namespace, service, port, context):
            self.target = f"{namespace}/{service}:{port}@{context}"

        def __enter__(self):
            return self

        def __exit__(self, *raised):
            opened.remove(self.target)

        def address(self):
            opened.append(self.target)
            return "http://127.0.0.1:4711"

    opened = []
    monkeypatch.setattr(registry_access, "PortForward", Forward)
    monkeypatch.setattr("bellwether.cluster.connections.PortForward", Forward)
    programs.opened = opened
    return programs


def test_registry_ledger_and_keys_are_the_releases_for_as_long_as_they_are_used(release):
    with opened_settings(HERE) as settings:
        assert settings.registry_url == "http://127.0.0.1:4711"
        assert settings.registered_model == "bellwether"
        ledger = urlsplit(settings.prediction_log_url)
        assert ledger.netloc == "u:p%40%3A%2F@postgresql.bellwether-data:4711"
        assert (ledger.path, ledger.query) == ("/bellwether", "sslmode=prefer&hostaddr=127.0.0.1")
        assert (settings.signing_key, settings.trusted_keys) == (PAIR.signing, PAIR.trusted)
        assert sorted(release.opened) == [
            "bellwether-data/postgresql:5432@here", "bw/bellwether-mlflow:5000@here",
        ]  # fmt: skip
    assert release.opened == []
    assert not [call for call in release.calls() if "PRIVATE" in call or "p@" in call]


def test_what_is_set_wins_and_a_database_outside_is_asked_itself(release, monkeypatch):
    monkeypatch.setenv("BELLWETHER_SIGNING_KEY", OTHER.signing)
    monkeypatch.setenv("BELLWETHER_REGISTRY_URL", "http://registry")
    outside = "postgresql+psycopg://db.example.org:5432/bellwether?sslmode=require"
    data = {**rollout(ledgerUrl=outside), "trusted-keys.pem": PAIR.trusted}
    release.answer("get configmap bellwether-rollout", out={"data": data})
    with opened_settings(HERE) as found:
        assert found.signing_key == OTHER.signing
        assert found.trusted_keys == PAIR.trusted
        assert found.registry_url == "http://registry"
        assert found.prediction_log_url.endswith("@db.example.org:5432/bellwether?sslmode=require")
    assert release.opened == []


def test_a_key_of_the_state_folder_is_not_an_installations(release, monkeypatch, tmp_path):
    release.answer("get secret bellwether-signing", err="not found", code=1)
    keys = tmp_path / ".bellwether" / "keys"
    keys.mkdir(parents=True)
    (keys / "signing.pem").write_text(OTHER.signing)
    with (
        pytest.raises(InvalidSettings, match="no Secret bellwether-signing"),
        opened_settings(HERE),
    ):
        pass


def test_a_release_of_before_does_not_say_where_its_ledger_is(release):
    release.answer("get configmap bellwether-rollout", out={"data": rollout(ledgerUrl="")})
    with pytest.raises(InvalidSettings, match="Upgrade it"), opened_settings(HERE):
        pass
