"""Files stay in their folder, and a store that is not there is said in words, and soon."""

import contextlib
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecasting.adapters.lake.blobs import Blobs
from forecasting.errors import InvalidSettings, Unavailable
from tests.hostile_names import HOSTILE_NAMES
from tests.time_limits import seconds


def test_an_object_store_that_is_down_is_unavailable_within_seconds(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    blobs = Blobs("s3://bucket/lake")
    acts = (
        lambda: blobs.read("x"),
        lambda: blobs.write("x", b"1"),
        lambda: blobs.names("x"),
        lambda: blobs.exists("x"),
        lambda: blobs.remove("x"),
        blobs.make_root,
    )
    start = time.monotonic()
    for act in acts:
        with pytest.raises(Unavailable, match="Check AWS_ENDPOINT_URL"):
            act()
    assert time.monotonic() - start < seconds(20)


def test_a_folder_is_made_once(tmp_path):
    blobs = Blobs(str(tmp_path / "deep" / "lake"))
    assert (blobs.make_root(), blobs.make_root()) == (True, False)


def test_all_of_a_folder_is_removed_and_again_is_harmless(tmp_path):
    blobs = Blobs(str(tmp_path))
    blobs.write("run/one", b"1")
    blobs.write("run/two", b"2")
    blobs.remove_all("run")
    blobs.remove_all("run")
    assert blobs.names("") == ()


OUTSIDE = st.sampled_from(["../{}", "a/../../{}", "/{}", "a//{}", "./{}", "..", "a\x00b"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OUTSIDE)
def test_no_name_leads_out_of_the_folder(tmp_path, form):
    (tmp_path / "notes.txt").write_text("of somebody")
    blobs = Blobs(str(tmp_path / "lake"))
    name = form.format("notes.txt")
    for act in (
        blobs.read, blobs.read_if_there, blobs.exists, blobs.names, blobs.remove, blobs.remove_all,
        lambda name: blobs.write(name, b"1"),
    ):  # fmt: skip
        with pytest.raises(InvalidSettings, match="in the lake"):
            act(name)
    assert (tmp_path / "notes.txt").read_text() == "of somebody"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE_NAMES)
def test_a_name_that_is_taken_makes_a_file_in_the_folder_or_none(tmp_path, name):
    (tmp_path / "beside").mkdir(exist_ok=True)
    blobs = Blobs(str(tmp_path / "lake"))
    with contextlib.suppress(InvalidSettings, Unavailable):
        blobs.write(f"deep/{name}", b"1")
    assert {path.name for path in tmp_path.iterdir()} <= {"beside", "lake"}
    assert not list((tmp_path / "beside").iterdir())
