"""A refresh asks for the symbols that versions in use know besides those that the values name."""

from types import SimpleNamespace

from components.needs import step
from components.parameters import listed_in_file
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.registry.in_use import InUse, VersionInUse
from forecasting.features.spec import FeatureSpec
from forecasting.settings import Settings
from tests.served_models import DATASET, make_features


def besides(folder, symbols):
    kept = SimpleNamespace(path=str(folder / "kept"), metadata={})
    step.run(symbols=symbols, dataset=DATASET, kept=kept)
    assert kept.metadata["symbols"] == len(listed_in_file(kept))
    return ",".join(listed_in_file(kept))


def test_symbols_of_versions_in_use_and_of_features_that_are_kept_are_fetched_besides(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path))
    spec = FeatureSpec(symbols=("AAPL", "GONE"))
    used = VersionInUse("1", "champion", DATASET, spec)
    elsewhere = VersionInUse("2", "runs", "elsewhere", FeatureSpec(symbols=("OTHER",)))
    monkeypatch.setattr(step, "versions_in_use", lambda _: InUse((used, elsewhere)))
    assert besides(tmp_path, "aapl,GOOG") == "GONE"
    assert besides(tmp_path, "") == ""
    lake = Lake(Settings().lake)
    published = make_features()
    lake.publish_features(DATASET, published)
    assert besides(tmp_path, "aapl,GOOG") == "GONE,MSFT,BTC-USD"


def test_features_of_an_installation_of_before_are_given_to_their_specification(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(step, "versions_in_use", lambda _: InUse(unseen=("registry: away",)))
    lake = Lake(Settings().lake)
    served = make_features()
    lake.publish_features(DATASET, served)
    lake.point_servers_of_before(DATASET, served.spec_digest)
    lake.remove_specification(DATASET, served.spec_digest)
    assert lake.specifications(DATASET) == {}
    assert besides(tmp_path, "AAPL") == "MSFT,BTC-USD"
    assert lake.served_id(DATASET, served.spec_digest) == served.id
