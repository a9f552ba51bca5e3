"""Turns the findings of the leak checks into promotion gates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from components.artifacts import Artifact, listed_in

if TYPE_CHECKING:
    from forecasting.evaluation.gates import GateResult

LEAKS: Final = "leaks"
"""Key of an artifact's metadata that holds its findings."""


def leak_gates(table: Artifact, out_of_sample: Sequence[Artifact]) -> "list[GateResult]":
    """One gate a check; a check that was not made, or not for every candidate, did not pass.

    A universe chosen with hindsight bars claims of a direction only.

    Args:
        table: the training table, with what the features step found.
        out_of_sample: every candidate's forecasts, with what its train step found.

    Raises:
        Corrupted: what is there is no finding.
    """
    from forecasting.evaluation.gates import GateResult
    from forecasting.leakage.findings import OF_FORECASTS, LeakFinding, gaps

    findings = []
    for artifact in (table, *out_of_sample):
        kind = str(artifact.metadata.get("kind", ""))
        of_artifact = [LeakFinding.from_dict(finding) for finding in listed_in(artifact, LEAKS)]
        if kind and not of_artifact:
            of_artifact = [gap for gap in gaps([]) if gap.check == OF_FORECASTS]
        for finding in of_artifact:
            found = f"{kind}: {finding.found}" if kind and finding.leaks else finding.found
            findings.append(replace(finding, found=found))
    findings += gaps(findings)
    gates = []
    for check in dict.fromkeys(finding.check for finding in findings):
        of_check = [finding for finding in findings if finding.check == check]
        leaking = [finding for finding in of_check if finding.leaks]
        shown = leaking or [finding for finding in of_check if finding.hindsight] or of_check[:1]
        found = "; ".join(finding.found for finding in shown)
        hindsight = not leaking and shown[0].hindsight
        passed = not (leaking or hindsight)
        gates.append(GateResult(check, passed, shown[0].rule, found, of_direction=hindsight))
    return gates
