"""Links from MLflow to the pipeline run that filled it, and from the pipeline's page to MLflow."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from components.run_notes import run_id
from forecasting.evaluation.promotion_outcome import RUN_TAG
from forecasting.settings import Settings

LINK_TAG: Final = "kfp_run_url"
"""Tag of MLflow runs and versions: that pipeline run's page."""


def pipeline_links(settings: Settings) -> dict[str, str]:
    """Tags that lead from MLflow to the pipeline run; none on a laptop, which has no such page."""
    run = run_id()
    if not run:
        return {}
    if not settings.pipelines_public_url:
        return {RUN_TAG: run}
    page = f"{settings.pipelines_public_url.rstrip('/')}/#/runs/details/{quote(run, safe='')}"
    return {RUN_TAG: run, LINK_TAG: page}


def registered_markdown(outcome: Mapping[str, Any], settings: Settings, experiment: str) -> str:
    """What a training left in the registry, for the pipeline's page.

    Args:
        outcome: the register step's outcome.
        settings: where MLflow is for a reader; without a public address there are no links.
        experiment: MLflow's id of the experiment the runs are in.
    """
    root = settings.registry_public_url.rstrip("/")
    champion, challenger = outcome["champion"], outcome["challenger"]
    head = f"Promoted: version {champion}" if outcome["promoted"] else "Nothing was promoted"
    lines = [f"## {head}", "", *(f"- {reason}" for reason in outcome["reasons"]), ""]
    lines += ["| candidate | version | MLflow run |", "|---|---|---|"]
    for kind, run in sorted(outcome["runs"].items()):
        version = outcome["versions"].get(kind, "")
        role = {challenger: " (challenger)", champion: " (champion)"}.get(version, "")
        model = f"#/models/{quote(settings.registered_model, safe='')}/versions/{version}"
        page = f"#/experiments/{experiment}/runs/{run}"
        shown = _link(version, root, model) + role if version else ""
        lines.append(f"| {kind} | {shown} | {_link(run, root, page)} |")
    lines += ["", f"Champion is version {champion or 'none'}. Snapshot `{outcome['snapshot']}`."]
    return "\n".join(lines) + "\n"


def _link(text: str, root: str, page: str) -> str:
    return f"[{text}]({root}/{page})" if root else text
