"""Provenance: the checkout's own revision, and versions of installed packages only."""

from importlib.metadata import version
from pathlib import Path

from components import provenance


def test_the_revision_is_the_checkouts_commit_and_says_so_if_files_differ(monkeypatch):
    root = str(Path(provenance.__file__).resolve().parent.parent)
    answers = {"--show-toplevel": root, "HEAD": "a" * 40, "status": ""}
    monkeypatch.setattr(
        provenance, "_git", lambda _, *words: answers[words[0] if "status" in words else words[1]]
    )
    assert provenance.git_revision() == "a" * 40
    answers["status"] = " M components/provenance.py"
    assert provenance.git_revision() == "a" * 40 + "+changes"


def test_outside_a_checkout_the_images_variable_counts(monkeypatch):
    monkeypatch.setattr(provenance, "_git", lambda *_: "")
    monkeypatch.setenv(provenance.REVISION, "abc")
    assert provenance.git_revision() == "abc"
    monkeypatch.delenv(provenance.REVISION)
    assert provenance.git_revision() == "unknown"


def test_versions_are_those_installed_and_of_every_package_named():
    versions = provenance.package_versions()
    assert versions["numpy"] == version("numpy")
    assert set(versions) <= set(provenance.PACKAGES)
