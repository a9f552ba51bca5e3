"""Where versions are signed, the registry is not believed: real MLflow, ledger, keys and server."""

import hashlib
import shutil
import uuid
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from mlflow import MlflowClient

from bellwether.adoption import adopt_version, adopt_what_is_served
from forecasting.adapters.registry.ledger import Ledger
from forecasting.adapters.registry.registry import CandidateRun, Registry
from forecasting.adapters.signing_keys import make_keys, signer_of, trusted_keys_of
from forecasting.bundle.signature import Signer, Statement, new_key
from forecasting.errors import BundleRejected, InvalidSettings, NotReady
from forecasting.settings import Settings
from serving.loader import Loader
from serving.state import ServingState
from tests.served_models import make_bundle, make_features, publish

pytestmark = pytest.mark.integration

OF_78929E3 = Path(__file__).parents[1] / "fixtures" / "78929e3"


class House:
    """A pipeline with a key, a server that trusts it, and a stranger who may write to MLflow."""

    def __init__(self, url, folder):
        self.model = f"signed-{uuid.uuid4().hex[:8]}"
        self.settings = Settings(state_dir=folder, registry_url=url, registered_model=self.model)
        self.ledger = Ledger(self.settings.prediction_log)
        self.stranger = MlflowClient(url)
        self.failures = []
        self.open()

    def open(self):
        self.registry = Registry(
            self.settings.registry_url,
            self.model,
            ledger=self.ledger,
            signer=signer_of(self.settings),
            keys=trusted_keys_of(self.settings),
        )
        self.loader = Loader(self.settings, self.report)
        return self

    def report(self, what, outcome, sentence):
        if outcome == "failed" and sentence:
            self.failures.append(sentence)

    def register(self, bundle, digest, *, dataset="default"):
        run = self.registry.log_candidate(
            self.model,
            CandidateRun(
                name="x", params={}, metrics={}, tags={}, files=((bundle, "bundle"),),
                dataset=dataset, snapshot="0",
            ),
        )  # fmt: skip
        tags = {"bundle_digest": digest, "kind": "ridge", "dataset": dataset}
        return self.registry.register(run, tags)

    def sign(self, record):
        return self.registry.sign(
            record, bundle_digest=record.bundle_digest, dataset="default", snapshot="0"
        )

    def train(self, bundle, digest):
        """A version as the register step makes it."""
        return self.sign(self.register(bundle, digest)).version

    def promote(self, version, expected=None):
        self.registry.promote(version, expected_champion=expected, who="ada", why="skill")

    def state(self, before=None):
        return self.loader.next_state(before or ServingState())

    def close(self):
        self.loader.close()
        self.registry.close()
        self.ledger.close()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return {
        kind: (folder / kind, make_bundle(folder / kind, kind=kind).digest)
        for kind in ("random_walk", "ridge")
    }


@pytest.fixture
def forged(bundles, tmp_path):
    """A stranger's bundle: well formed, with digests of its own."""
    folder = shutil.copytree(bundles["ridge"][0], tmp_path / "forged")
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    manifest["training"]["by"] = "a stranger"
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest))
    return folder, hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


@pytest.fixture
def house(mlflow_url, tmp_path):
    make_keys(tmp_path / "keys")
    publish(tmp_path / "lake", make_features())
    house = House(mlflow_url, tmp_path)
    yield house
    house.close()


def test_what_the_pipeline_signed_and_the_ledger_promoted_is_served(house, bundles):
    first = house.train(*bundles["random_walk"])
    house.promote(first)
    second = house.train(*bundles["ridge"])
    house.registry.set_challenger(second)
    house.promote(second, expected=first)
    state = house.state()
    assert state.default == second
    assert state.find().fitted()
    head = house.ledger.head(house.model)
    assert (head.bundle_digest, head.signer) == (bundles["ridge"][1], signer_of(house.settings).key)


def test_a_strangers_version_that_is_asked_for_by_number_is_refused(house, bundles, forged):
    house.promote(house.train(*bundles["random_walk"]))
    unsigned = house.register(*forged).version
    house.loader.settings = house.settings.model_copy(update={"versions_on_demand": 1})
    state = house.state()
    assert unsigned in state.registered
    with pytest.raises(BundleRejected, match="must be signed"):
        house.loader.on_demand(unsigned, state, lambda _: True)
    signed = house.train(*bundles["ridge"])
    assert house.loader.on_demand(signed, state, lambda _: True).find(signed).fitted()


def test_a_strangers_champion_is_never_served_and_the_alias_is_put_back(house, bundles, forged):
    first = house.train(*bundles["random_walk"])
    house.promote(first)
    before = house.state()
    theirs = house.register(*forged).version
    house.stranger.set_registered_model_alias(house.model, "champion", theirs)
    for state in (house.state(before), house.state()):
        assert (state.default, list(state.versions)) == (first, [first])
        assert state.find().fitted()
    assert any(f"the registry names version {theirs}" in words for words in house.failures)
    house.registry.repair()
    assert house.registry.champion().version == first


@pytest.mark.parametrize("signer", [None, Signer(new_key())])
def test_a_strangers_challenger_is_not_served_and_holds_up_nothing(house, bundles, forged, signer):
    house.promote(house.train(*bundles["random_walk"]))
    theirs = house.register(*forged)
    if signer is not None:
        statement = Statement(house.model, theirs.version, forged[1], "default", "0", theirs.run_id)
        house.registry.tag(theirs.version, {"bundle_signature": signer.sign(statement).to_text()})
    house.registry.set_challenger(theirs.version)
    state = house.state()
    assert state.find().fitted()
    with pytest.raises(NotReady, match="must be signed"):
        state.find(theirs.version).fitted()


def test_an_old_version_cannot_be_passed_off_as_the_champion(house, bundles):
    old, new = house.train(*bundles["random_walk"]), house.train(*bundles["ridge"])
    house.promote(old)
    house.promote(new, expected=old)
    house.stranger.set_registered_model_alias(house.model, "champion", old)
    record = house.registry.version(old)
    for tag in ("bundle_digest", "bundle_signature"):
        house.registry.tag(new, {tag: record.tags[tag]})
    with pytest.raises(NotReady, match="of the version"):
        house.state().find().fitted()


def test_files_that_were_changed_after_signing_are_not_served(house, bundles, forged):
    version = house.train(*bundles["ridge"])
    house.promote(version)
    run = house.registry.version(version).run_id
    house.stranger.log_artifact(run, str(forged[0] / "manifest.json"), "bundle")
    with pytest.raises(NotReady, match="SHA-256 must be the one"):
        house.state().find().fitted()
    house.registry.tag(version, {"bundle_digest": forged[1]})
    with pytest.raises(NotReady, match="SHA-256 must be the one"):
        house.state().find().fitted()


def test_a_version_reads_no_other_data_set_than_it_was_signed_with(house, bundles):
    house.promote(version := house.train(*bundles["ridge"]))
    house.registry.tag(version, {"dataset": "another"})
    with pytest.raises(NotReady, match="reads the data set that it was signed with"):
        house.state().find().fitted()


def test_an_unsigned_version_cannot_be_promoted(house, bundles):
    record = house.register(*bundles["ridge"])
    with pytest.raises(BundleRejected, match="must be signed"):
        house.promote(record.version)
    assert house.ledger.head(house.model) is None


def test_a_champion_that_only_the_registry_knows_is_adopted_by_nobody_but_an_operator(
    house, bundles, forged
):
    theirs = house.register(*forged).version
    house.stranger.set_registered_model_alias(house.model, "champion", theirs)
    with pytest.raises(BundleRejected, match="must be one that the ledger knows"):
        house.promote(house.train(*bundles["ridge"]), expected=theirs)
    with pytest.raises(NotReady, match="the ledger must know a champion"):
        house.state().find()
    assert house.ledger.head(house.model) is None


def test_a_champion_that_was_deleted_is_not_replaced_by_what_the_alias_says(house, bundles, forged):
    house.promote(first := house.train(*bundles["random_walk"]))
    theirs = house.register(*forged).version
    house.stranger.delete_model_version(house.model, first)
    house.stranger.set_registered_model_alias(house.model, "champion", theirs)
    house.registry.repair()
    head = house.ledger.head(house.model)
    assert (head.from_version, head.to_version) == (first, "")
    with pytest.raises(NotReady, match="the ledger must know a champion"):
        house.state().find()


def test_a_signature_in_a_pods_variable_is_verified_by_the_pod(house, bundles):
    version = house.train(*bundles["ridge"])
    folder, digest = bundles["ridge"]
    pod = house.settings.model_copy(
        update={
            "bundle_url": str(folder),
            "model_version": version,
            "bundle_digest": digest,
            "bundle_signature": house.registry.version(version).signature,
            "registry_url": "http://127.0.0.1:9",
        }
    )
    with closing(Loader(pod, house.report)) as loader:
        assert loader.next_state(ServingState()).find().fitted()
    for change in ({"model_version": "99"}, {"bundle_signature": ""}):
        with closing(Loader(pod.model_copy(update=change), house.report)) as loader:
            state = loader.next_state(ServingState())
            with pytest.raises(NotReady, match=r"of the version|must be signed"):
                state.find().fitted()


@pytest.fixture
def installation(mlflow_url, tmp_path):
    """What commit 78929e3 left: a bundle, a lake, a champion in registry and ledger, no key."""
    shutil.copytree(OF_78929E3, tmp_path, dirs_exist_ok=True)
    digest = hashlib.sha256((tmp_path / "bundle" / "manifest.json").read_bytes()).hexdigest()
    house = House(mlflow_url, tmp_path)
    version = house.register(tmp_path / "bundle", digest).version
    house.registry.set_challenger(version)
    house.promote(version)
    assert house.state().find().fitted()
    assert house.ledger.head(house.model).signer == ""
    house.close()
    yield house, version
    house.close()


def test_a_champion_of_78929e3_is_served_again_after_one_command(installation):
    house, version = installation
    make_keys(house.settings.state_dir / "keys")
    house.open()
    with pytest.raises(NotReady, match="bellwether rollout adopt"):
        house.state().find().fitted()
    key = adopt_version(house.settings, version, who="ada", why="trained by us in May")
    assert house.state().find().fitted()
    head = house.ledger.head(house.model)
    assert (head.from_version, head.to_version, head.who) == (version, version, "ada")
    assert head.why.startswith(f"adopted version {version}, bundle ")
    assert head.why.endswith("trained by us in May")
    assert (head.signer, head.state) == (key, "done")
    # And the next training goes on from it.
    house.registry.repair()
    assert house.registry.champion().version == version


def test_the_demo_adopts_what_it_served_before_once(installation):
    house, version = installation
    make_keys(house.settings.state_dir / "keys")
    house.open()
    assert adopt_what_is_served(house.settings, who="demo", why="before") == (version,)
    assert house.state().find().fitted()
    assert adopt_what_is_served(house.settings, who="demo", why="before") == ()
    assert len(house.ledger.history(house.model)) == 2


def test_a_version_whose_files_were_changed_is_not_adopted(installation, tmp_path):
    house, version = installation
    make_keys(tmp_path / "keys")
    (tmp_path / "other.json").write_text("{}")
    shutil.copy(tmp_path / "other.json", tmp_path / "manifest.json")
    run = house.registry.version(version).run_id
    house.stranger.log_artifact(run, str(tmp_path / "manifest.json"), "bundle")
    with pytest.raises(BundleRejected, match="SHA-256 must be the one"):
        adopt_version(house.settings, version, who="ada", why="trained by us")
    assert house.registry.version(version).signature == ""
    assert len(house.ledger.history(house.model)) == 1


def test_adopting_needs_a_key_that_is_trusted_and_a_reason(installation, tmp_path):
    house, version = installation
    with pytest.raises(InvalidSettings, match="takes the key that signs"):
        adopt_version(house.settings, version, who="ada", why="trained by us")
    make_keys(tmp_path / "keys")
    with pytest.raises(InvalidSettings, match="needs a reason"):
        adopt_version(house.settings, version, who="ada", why=" ")
    other = house.settings.model_copy(update={"signing_key": new_key().decode()})
    with pytest.raises(InvalidSettings, match="must be trusted"):
        adopt_version(other, version, who="ada", why="trained by us")


def test_after_the_key_was_stolen_only_what_was_adopted_anew_is_served(house, bundles, tmp_path):
    house.promote(version := house.train(*bundles["ridge"]))
    shutil.rmtree(tmp_path / "keys")
    make_keys(tmp_path / "keys")
    house.close()
    house.open()
    with pytest.raises(NotReady, match="by a trusted key"):
        house.state().find().fitted()
    adopt_version(house.settings, version, who="ada", why="looked at it")
    assert house.state().find().fitted()


def test_after_the_key_was_lost_its_versions_are_served_beside_those_of_the_new_key(
    house, bundles, tmp_path
):
    house.promote(first := house.train(*bundles["random_walk"]))
    (tmp_path / "keys" / "signing.pem").unlink()
    make_keys(tmp_path / "keys")
    house.close()
    house.open()
    assert house.state().find().fitted()
    house.promote(second := house.train(*bundles["ridge"]), expected=first)
    assert house.state().default == second
    assert house.state().find().fitted()
