"""What a training left in the registry links to MLflow and to its run where they have a page."""

import pytest

from components.register.links import pipeline_links, registered_markdown
from components.run_notes import RUN_ID
from forecasting.settings import Settings


def outcome(**other: object) -> dict[str, object]:
    return {
        "champion": "1",
        "challenger": "2",
        "promoted": False,
        "reasons": ["skill is too small"],
        "runs": {"ridge": "aa11", "random_walk": "bb22"},
        "versions": {"ridge": "2", "random_walk": "1"},
        "snapshot": "0123",
    } | other


def test_a_laptops_run_has_no_page_and_a_cluster_without_an_address_no_link(
    pipeline_run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(pipelines_public_url="http://pipelines")
    page = f"http://pipelines/#/runs/details/{pipeline_run}"
    assert pipeline_links(settings) == {"kfp_run_id": pipeline_run, "kfp_run_url": page}
    assert pipeline_links(Settings()) == {"kfp_run_id": pipeline_run}
    monkeypatch.delenv(RUN_ID)
    assert pipeline_links(settings) == {}


def test_a_promoted_candidate_is_shown_as_the_champion_it_became() -> None:
    promoted = outcome(
        champion="2", promoted=True, reasons=[], runs={"ridge": "aa11"}, versions={"ridge": "2"}
    )
    page = registered_markdown(promoted, Settings(registry_public_url="http://mlflow/"), "7")
    assert page.startswith("## Promoted: version 2")
    version = "[2](http://mlflow/#/models/bellwether/versions/2) (champion)"
    assert f"| ridge | {version} | [aa11](http://mlflow/#/experiments/7/runs/aa11) |" in page


def test_without_a_public_address_of_mlflow_the_page_names_runs_and_links_nothing() -> None:
    page = registered_markdown(outcome(), Settings(), "7")
    assert page.startswith("## Nothing was promoted\n\n- skill is too small\n")
    assert "| ridge | 2 (challenger) | aa11 |" in page
    assert "| random_walk | 1 (champion) | bb22 |" in page
    assert page.endswith("\nChampion is version 1. Snapshot `0123`.\n")
    assert "http" not in page
