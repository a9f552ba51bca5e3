"""A step's surroundings on a cluster: the lake it writes to, and the id of its run."""

from pathlib import Path

import pytest

from components.run_notes import RUN_ID


@pytest.fixture
def pipeline_run(monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of the pipeline run that a step belongs to."""
    name = "5b7e4f0a-run"
    monkeypatch.setenv(RUN_ID, name)
    return name


@pytest.fixture
def lake(pipeline_run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The lake of a cluster's run."""
    del pipeline_run
    address = str(tmp_path / "lake")
    monkeypatch.setenv("BELLWETHER_LAKE_URL", address)
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path / "state"))
    return address
