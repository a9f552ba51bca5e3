"""Which versions are served: read from a real MLflow, verified, swapped, kept when it is down."""

import hashlib
import shutil
import uuid

import orjson
import pytest

from forecasting.adapters.registry.ledger import Ledger
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.registry import CandidateRun, Registry
from forecasting.bundle.bundle import load_bundle
from forecasting.errors import BundleRejected, NotReady, RegistryUnavailable, UnknownVersion
from forecasting.settings import Settings
from serving.loader import Loader
from serving.state import ServingState
from tests.ports import free_port
from tests.served_models import make_bundle, make_features, publish
from tests.time_limits import seconds

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Folder and digest of three different bundles."""
    folder = tmp_path_factory.mktemp("bundles")
    kinds = {"first": "random_walk", "second": "ridge", "third": "xgboost"}
    return {
        name: (folder / name, make_bundle(folder / name, kind=kind).digest)
        for name, kind in kinds.items()
    }


class House:
    """A registry, a lake and a loader over them."""

    def __init__(self, url, folder, bundles):
        self.bundles = bundles
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")
        self.model = f"served-{uuid.uuid4().hex[:8]}"
        self.registry = Registry(url, self.model, ledger=self.ledger)
        self.reader = RegistryReader(url, self.model, timeout_seconds=seconds(10))
        self.settings = Settings(state_dir=folder, registry_url=url, registered_model=self.model)
        self.told = []
        self.loader = self.open(self.settings)
        publish(folder / "lake", make_features())

    def open(self, settings):
        return Loader(settings, lambda *what: self.told.append(what))

    def register(self, name, *, digest=None, files=None):
        folder, true_digest = self.bundles[name]
        run = self.registry.log_candidate(
            "served",
            CandidateRun(
                name=name,
                params={},
                metrics={},
                tags={},
                files=((files or folder, "bundle"),),
                dataset="default",
                snapshot="0",
            ),
        )
        tags = {"bundle_digest": digest or true_digest, "kind": name, "dataset": "default"}
        return self.registry.register(run, tags).version

    def promote(self, version, expected=None):
        self.registry.promote(version, expected_champion=expected, who="test", why="test")


@pytest.fixture
def house(mlflow_url, tmp_path, bundles):
    house = House(mlflow_url, tmp_path, bundles)
    yield house
    house.loader.close()
    house.reader.close()
    house.registry.close()
    house.ledger.close()


def test_the_reader_sees_what_the_registry_wrote(house):
    assert house.reader.aliases() == {}
    assert house.reader.versions() == []
    first, second = house.register("first"), house.register("second")
    house.promote(first)
    house.registry.set_challenger(second)
    assert house.reader.aliases() == {"champion": first, "challenger": second}
    newest, oldest = house.reader.versions()
    assert (newest.version, oldest.version) == (second, first)
    assert oldest.aliases == ("champion",)
    record = house.reader.version(second)
    assert record.bundle_digest == house.bundles["second"][1]
    assert (record.kind, record.dataset) == ("second", "default")
    with pytest.raises(UnknownVersion, match="no version '99'"):
        house.reader.version("99")


def test_a_bundle_is_downloaded_byte_for_byte_once(house, tmp_path):
    record = house.reader.version(house.register("second"))
    folder = house.reader.download_bundle(record, tmp_path / "copy")
    original = house.bundles["second"][0]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in original.iterdir()
    }
    (folder / "mark").touch()
    assert house.reader.download_bundle(record, folder) == folder
    assert (folder / "mark").exists()


def test_a_run_without_a_plain_bundle_is_refused(house, tmp_path):
    nested = tmp_path / "nested"
    (nested / "inner").mkdir(parents=True)
    (nested / "inner" / "x").write_text("x")
    record = house.reader.version(house.register("second", files=nested))
    with pytest.raises(BundleRejected, match="plain files"):
        house.reader.download_bundle(record, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_champion_and_challenger_are_served_and_the_champion_answers_by_default(house):
    first, second = house.register("first"), house.register("second")
    house.promote(first)
    house.registry.set_challenger(second)
    state = house.loader.next_state(ServingState())
    assert state.default == first
    assert {n: one.alias for n, one in state.versions.items()} == {
        first: "champion",
        second: "challenger",
    }
    for one in state.versions.values():
        assert one.fitted()
    assert state.versions[second].bundle.kind == "ridge"
    assert house.loader.next_state(state) is state


def test_without_a_champion_there_is_nothing_to_serve_and_it_says_so(house):
    house.register("first")
    state = house.loader.next_state(ServingState())
    with pytest.raises(NotReady, match="registry must have a champion"):
        state.find()


def test_a_promotion_swaps_the_default_and_keeps_what_was_loaded(house):
    first, second = house.register("first"), house.register("second")
    house.promote(first)
    house.registry.set_challenger(second)
    before = house.loader.next_state(ServingState())
    house.promote(second, expected=first)
    after = house.loader.next_state(before)
    assert after.default == second
    assert after.versions[second].bundle is before.versions[second].bundle


def test_a_champion_whose_bundle_is_not_what_the_registry_promises_never_answers(house):
    first = house.register("first")
    house.promote(first)
    before = house.loader.next_state(ServingState())
    second = house.register("second", digest="f" * 64)
    house.promote(second, expected=first)
    after = house.loader.next_state(before)
    assert after.default == first
    assert after.find().fitted()
    with pytest.raises(NotReady, match="SHA-256"):
        after.find(second).fitted()
    assert any(what == ("model", "failed") for what in [(w, o) for w, o, _ in house.told])
    # The same again, told once: no log that fills up.
    house.told.clear()
    house.loader.next_state(after)
    assert all(not sentence for _, outcome, sentence in house.told if outcome == "failed")


@pytest.mark.parametrize("promised", ["..", "../..", ".", "/", "{elsewhere}", "A" * 64, "a" * 65])
def test_a_tag_that_is_no_digest_is_refused_and_removes_nothing(house, tmp_path, promised):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "notes.txt").write_text("of somebody")
    first = house.register("first")
    house.promote(first)
    before = house.loader.next_state(ServingState())
    kept = sorted(path for path in tmp_path.rglob("*") if "ledger" not in path.name)
    second = house.register("second", digest=promised.format(elsewhere=elsewhere))
    house.promote(second, expected=first)
    after = house.loader.next_state(before)
    assert after.default == first
    with pytest.raises(NotReady, match="64 lower-case hexadecimal digits"):
        after.find(second).fitted()
    assert sorted(path for path in tmp_path.rglob("*") if "ledger" not in path.name) == kept


def test_a_challenger_that_cannot_be_read_keeps_the_next_champion_from_nothing(house, tmp_path):
    first, second = house.register("first"), house.register("second")
    house.promote(first)
    before = house.loader.next_state(ServingState())
    odd = shutil.copytree(house.bundles["third"][0], tmp_path / "odd")
    manifest = orjson.loads((odd / "manifest.json").read_bytes()) | {"selected_features": [["x"]]}
    (odd / "manifest.json").write_bytes(orjson.dumps(manifest))
    digest = hashlib.sha256((odd / "manifest.json").read_bytes()).hexdigest()
    challenger = house.register("third", digest=digest, files=odd)
    house.registry.set_challenger(challenger)
    house.promote(second, expected=first)
    after = house.loader.next_state(before)
    assert after.default == second
    assert after.find().fitted()
    with pytest.raises(NotReady, match="ones this version knows"):
        after.find(challenger).fitted()


def test_a_defect_in_reading_one_version_keeps_the_others_from_nothing(house, monkeypatch):
    first, second = house.register("first"), house.register("second")
    house.promote(first)
    house.registry.set_challenger(second)
    digest = house.bundles["second"][1]

    def load(folder, *, expected_digest):
        if expected_digest == digest:
            raise ZeroDivisionError("a defect")
        return load_bundle(folder, expected_digest=expected_digest)

    monkeypatch.setattr("serving.loader.load_bundle", load)
    state = house.loader.next_state(ServingState())
    assert state.find(first).fitted()
    with pytest.raises(NotReady, match="ZeroDivisionError: a defect"):
        state.find(second).fitted()


def test_a_damaged_download_of_before_is_fetched_anew(house, tmp_path):
    digest = house.bundles["first"][1]
    (tmp_path / "serving" / digest).mkdir(parents=True)
    house.promote(house.register("first"))
    damaged = house.loader.next_state(ServingState())
    with pytest.raises(NotReady):
        damaged.find().fitted()
    assert house.loader.next_state(damaged).find().fitted()


def test_a_link_in_the_place_of_a_download_is_not_followed_to_be_removed(house, tmp_path):
    digest = house.bundles["first"][1]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "notes.txt").write_text("of somebody")
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / digest).symlink_to(elsewhere)
    house.promote(house.register("first"))
    with pytest.raises(NotReady):
        house.loader.next_state(ServingState()).find().fitted()
    assert (elsewhere / "notes.txt").read_text() == "of somebody"


def test_a_swapped_file_in_the_registry_is_found_and_fetched_anew_when_mended(house, tmp_path):
    swapped = tmp_path / "swapped"
    shutil.copytree(house.bundles["second"][0], swapped)
    shutil.copy(house.bundles["first"][0] / "model.onnx", swapped / "model.onnx")
    version = house.register("second", files=swapped)
    house.promote(version)
    state = house.loader.next_state(ServingState())
    with pytest.raises(NotReady, match=r"model\.onnx"):
        state.find().fitted()


def test_a_registry_that_goes_down_costs_nothing_that_is_served(house):
    first = house.register("first")
    house.promote(first)
    state = house.loader.next_state(ServingState())
    down = house.settings.model_copy(update={"registry_url": f"http://127.0.0.1:{free_port()}"})
    loader = house.open(down)
    kept = loader.next_state(state)
    assert kept.find().bundle is state.find().bundle
    # New features still come in.
    publish(house.settings.state_dir / "lake", make_features(snapshot_id="9" * 16))
    fresh = loader.next_state(kept)
    assert fresh.find().parameters["snapshot"] == "9" * 16
    assert ("registry", "failed") in {(what, outcome) for what, outcome, _ in house.told}
    loader.close()


def test_a_registry_that_is_down_at_the_start_is_said_to_be(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    loader = Loader(Settings(state_dir=tmp_path, registry_url=url), lambda *_: None)
    state = loader.next_state(ServingState())
    with pytest.raises(NotReady, match="MLflow server must be reachable"):
        state.find()
    loader.close()


def test_another_server_at_the_registrys_address_is_not_believed(house):
    for url in ("nonsense", "http://["):
        with pytest.raises(RegistryUnavailable):
            RegistryReader(url, "bellwether").aliases()


def test_a_pinned_version_is_served_alone(house):
    first, second = house.register("first"), house.register("second")
    house.promote(first)
    pinned = house.open(house.settings.model_copy(update={"model_version": second}))
    state = pinned.next_state(ServingState())
    assert (state.default, list(state.versions)) == (second, [second])
    assert state.find().alias == "pinned"
    pinned.close()


def test_bundles_of_the_past_do_not_pile_up_and_other_folders_stay(house, tmp_path):
    (tmp_path / "serving" / "of-somebody").mkdir(parents=True)
    for number in range(10):
        (tmp_path / "serving" / f"{number:064x}").mkdir(parents=True)
    first = house.register("first")
    house.promote(first)
    house.loader.next_state(ServingState())
    assert len(list((tmp_path / "serving").iterdir())) == 8
    assert (tmp_path / "serving" / "of-somebody").is_dir()
    assert (tmp_path / "serving" / house.bundles["first"][1]).is_dir()
