"""What a registry answers is not believed: names of files and numbers are checked before use.

Against a real MLflow: tests/integration/test_registry.py, test_served_versions.py. It cannot be
made to answer so; a registry that somebody else writes can.
"""

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import ModelVersion, require_champions_dataset
from forecasting.errors import (
    BundleRejected,
    InvalidSettings,
    RegistryUnavailable,
    UnknownVersion,
)
from tests.hostile_names import HOSTILE_NAMES

RECORD = ModelVersion("3", "run", {"bundle_digest": "d" * 64}, (), 0)


def reader(answers):
    """A reader of a registry that gives these answers, by the end of the path."""

    def answer(request):
        path = request.url.path.rpartition("/")[2]
        found = answers.get(path)
        return (
            httpx.Response(200, content=b"x") if found is None else httpx.Response(200, json=found)
        )

    reader = RegistryReader("http://registry", "bellwether")
    reader._client = httpx.Client(base_url="http://registry", transport=httpx.MockTransport(answer))
    return reader


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE_NAMES)
def test_a_bundles_files_cannot_be_named_out_of_their_folder(tmp_path, name):
    (tmp_path / "notes.txt").write_text("of somebody")
    for path in (f"bundle/{name}", name):
        listed = reader({"list": {"files": [{"path": path, "is_dir": False}]}})
        with pytest.raises(BundleRejected, match="plain files"):
            listed.download_bundle(RECORD, tmp_path / "copy")
    assert [path.name for path in tmp_path.rglob("*")] == ["notes.txt"]


def test_a_bundle_of_plain_files_is_downloaded(tmp_path):
    files = [{"path": f"bundle/{name}"} for name in ("manifest.json", "model.onnx")]
    folder = reader({"list": {"files": files}}).download_bundle(RECORD, tmp_path / "copy")
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "model.onnx"}


@given(HOSTILE_NAMES)
def test_no_version_is_asked_for_that_is_no_number(name):
    with pytest.raises(UnknownVersion):
        reader({}).version(name)


@given(HOSTILE_NAMES)
def test_a_version_that_is_no_number_is_not_believed(name):
    one = {"version": name, "run_id": "run"}
    asked = reader({"get": {"model_version": one}})
    with pytest.raises(RegistryUnavailable, match="which is no number"):
        asked.version("3")


def test_a_challenger_of_another_data_set_than_the_champions_is_refused_unless_it_may_change():
    champion = ModelVersion("3", "run", {"dataset": "files-1d"}, ("champion",), 0)
    require_champions_dataset(None, "sample-1d", may_change=False)
    require_champions_dataset(champion, "files-1d", may_change=False)
    require_champions_dataset(champion, "sample-1d", may_change=True)
    with pytest.raises(InvalidSettings, match="version 3, is of 'files-1d', this training of 'sam"):
        require_champions_dataset(champion, "sample-1d", may_change=False)
