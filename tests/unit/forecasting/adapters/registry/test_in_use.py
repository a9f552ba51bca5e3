"""Which versions count as in use, and that what cannot be seen is said and never guessed."""

import hashlib
from dataclasses import replace

import orjson
import pytest

from forecasting.adapters.registry import in_use
from forecasting.adapters.registry.in_use import roles_of, versions_in_use
from forecasting.adapters.registry.ledger import Promotion
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import RUNS, ModelVersion
from forecasting.bundle.files import canonical_json
from forecasting.errors import BundleRejected, RegistryUnavailable
from forecasting.settings import Settings
from tests.clock import NOW
from tests.served_models import DATASET, SPEC, make_bundle


def record(number, *aliases, **tags):
    return ModelVersion(number, f"run {number}", tags, aliases, 0)


def by_number(*records):
    return {record.version: record for record in records}


def promotion(before, after):
    return Promotion(2, "bellwether", before, after, "me", NOW, "", "done")


def test_aliases_the_ledger_a_rollouts_tags_a_pin_and_answers_put_versions_into_use():
    records = by_number(
        record("1"), record("2", "champion", "challenger"), record("3", **{RUNS: "yes"}),
        record("4", **{RUNS: "no", "rollout": "serving"}), record("5", rollout="rolled back"),
        record("6", rollout="retired"), record("7", "challenger"), record("8"), record("9"),
    )  # fmt: skip
    assert roles_of(records, promotion("1", "2"), "8", ["3", "10"]) == {
        "2": "champion",
        "7": "challenger",
        "1": "champion before",
        "3": "runs",
        "5": "runs",  # of a rollout that wrote no other tag
        "8": "pinned",
        "10": "answered lately",
    }
    assert roles_of({}, promotion("", "1"), "") == {"1": "ledger's champion"}


class Registry:
    """Records, and the manifest of one bundle for all of them."""

    def __init__(self, records, error=None):
        self.records, self.error = records, error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def versions(self):
        if self.error:
            raise self.error
        return self.records

    def specification(self, record):
        if record.tags.get("damaged"):
            raise BundleRejected("a manifest must be what its digest promises", "it is not")
        return SPEC


@pytest.fixture
def settings(tmp_path):
    return Settings(state_dir=tmp_path)


def test_what_is_not_seen_is_said(settings, monkeypatch):
    found = [record("2", "champion", dataset=DATASET), record("3", "challenger", damaged="yes")]
    monkeypatch.setattr(in_use, "RegistryReader", lambda *_: Registry(found))
    seen = versions_in_use(settings, ["1"])
    assert [(one.version, one.role, one.spec) for one in seen.versions] == [("2", "champion", SPEC)]
    assert seen.champion(DATASET).version == "2"
    assert seen.champion("elsewhere") is None
    assert seen.symbols(DATASET) == SPEC.symbols
    assert seen.unseen == (
        "version 3 (challenger): it is not",
        "version 1 (answered lately) is not in the registry",
    )
    away = RegistryUnavailable("the MLflow server must be reachable", "it is away")
    monkeypatch.setattr(in_use, "RegistryReader", lambda *_: Registry([], away))
    assert versions_in_use(settings).unseen == ("registry: it is away",)


def test_every_version_is_in_use_where_a_server_loads_them_on_demand(settings, monkeypatch):
    found = [record("2", "champion", dataset=DATASET), record("1", dataset=DATASET)]
    monkeypatch.setattr(in_use, "RegistryReader", lambda *_: Registry(found))
    assert [one.version for one in versions_in_use(settings).versions] == ["2"]
    asked = settings.model_copy(update={"versions_on_demand": 4})
    assert [one.version for one in versions_in_use(asked).versions] == ["2", "1"]


def test_a_bundle_in_a_folder_is_in_use_where_the_settings_serve_it(
    settings, tmp_path, monkeypatch
):
    make_bundle(tmp_path / "bundle", kind="random_walk")
    monkeypatch.setattr(in_use, "RegistryReader", lambda *_: Registry([]))
    pinned = settings.model_copy(update={"bundle_url": f"file://{tmp_path / 'bundle'}"})
    (one,) = versions_in_use(pinned).versions
    assert (one.version, one.role, one.dataset, one.spec) == ("local", "pinned", DATASET, SPEC)
    gone = pinned.model_copy(update={"bundle_url": str(tmp_path / "nowhere")})
    assert "the bundle at" in versions_in_use(gone).unseen[0]


def test_a_versions_specification_is_that_of_the_manifest_its_digest_promises(
    tmp_path, monkeypatch
):
    make_bundle(tmp_path / "bundle", kind="random_walk")
    manifest = (tmp_path / "bundle" / "manifest.json").read_bytes()
    digest = hashlib.sha256(manifest).hexdigest()
    known = record("1", bundle_digest=digest)
    reader = RegistryReader("http://registry", "bellwether")
    monkeypatch.setattr(reader, "artifact", lambda *_: manifest)
    assert reader.specification(known) == SPEC
    other = canonical_json({**orjson.loads(manifest), "kind": "ridge"})
    for data in (other, None):
        monkeypatch.setattr(reader, "artifact", lambda *_, data=data: data)
        with pytest.raises(BundleRejected, match="must be what its digest promises"):
            reader.specification(known)
    with pytest.raises(BundleRejected, match="is missing"):
        reader.specification(replace(known, tags={}))
