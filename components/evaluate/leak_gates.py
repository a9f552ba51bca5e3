"""What the leak checks of the steps before found, as gates of the verdict."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from components.artifacts import Artifact, listed_in

if TYPE_CHECKING:
    from forecasting.evaluation.gates import GateResult

LEAKS: Final = "leaks"
"""Key of an artifact's metadata that holds its findings."""


def leak_gates(table: Artifact, out_of_sample: Sequence[Artifact]) -> "list[GateResult]":
    """One gate a check; a check that was not made, or not for every candidate, did not pass.

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
        who = str(artifact.metadata.get("kind", ""))
        made = [LeakFinding.from_dict(one) for one in listed_in(artifact, LEAKS)]
        if who and not made:
            made = [gap for gap in gaps([]) if gap.check == OF_FORECASTS]
        for one in made:
            found = f"{who}: {one.found}" if who and one.leaks else one.found
            findings.append(LeakFinding(one.check, one.leaks, found))
    findings += gaps(findings)
    gates = []
    for check in dict.fromkeys(one.check for one in findings):
        same = [one for one in findings if one.check == check]
        told = [one for one in same if one.leaks] or same[:1]
        gates.append(
            GateResult(
                check,
                not told[0].leaks,
                told[0].rule,
                "; ".join(one.found for one in told),
            )
        )
    return gates
