"""A store that is not there is said in words, and soon."""

import time

import pytest

from forecasting.adapters.lake.blobs import Blobs
from forecasting.errors import Unavailable
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
