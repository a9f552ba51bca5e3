"""What a training decided, as data: the file outcome.json, and the tags of a registered version.

The file is one JSON object:

    {
      "outcome": "promoted",       or "refused": the champion stayed
      "version": "3",              the registered version that was judged; "" when none was
      "reason": "...",             why, in one sentence
      "gates": [                   every promotion gate, in the order they were judged
        {"name": "beats_random_walk", "passed": true, "because": "rule: what was found"}
      ]
    }

Readers ignore fields they do not know. A version's tags carry the verdict and the reason only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, Self

from forecasting.errors import Corrupted

VERDICT_TAG: Final = "verdict"
"""Tag of a version: "promote", "refuse", or "default" for the first random walk."""

REASON_TAG: Final = "verdict_reason"
"""Tag of a version: the reasons of its verdict in one sentence, shortened to what a tag holds."""

RUN_TAG: Final = "kfp_run_id"
"""Tag of a version: the pipeline run on the cluster that registered it."""

_LONGEST_TAG: Final = 4_000
_OUTCOMES: Final[Mapping[str, Literal["promoted", "refused"]]] = {
    "promote": "promoted",
    "refuse": "refused",
}


@dataclass(frozen=True)
class GateOutcome:
    """One promotion gate: its name, whether it passed, and its rule with what was found."""

    name: str
    passed: bool
    because: str


@dataclass(frozen=True)
class PromotionOutcome:
    """What a training came to.

    Attributes:
        outcome: whether the version it judged was promoted.
        version: that version; "" when there was no candidate but the random walk.
        reason: why, in one sentence.
        gates: every gate judged; empty where only a version's tags tell.
    """

    outcome: Literal["promoted", "refused"]
    version: str
    reason: str
    gates: tuple[GateOutcome, ...] = ()

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        draft = path.with_name(f".{path.name}.part")
        draft.write_text(json.dumps(asdict(self), indent=2))
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            Corrupted: it is missing, or not as the module's docstring says.
        """
        try:
            document = json.loads(path.read_bytes())
            gates = [
                GateOutcome(str(gate["name"]), bool(gate["passed"]), str(gate["because"]))
                for gate in document["gates"]
            ]
            outcome = {known: known for known in _OUTCOMES.values()}[document["outcome"]]
            return cls(outcome, str(document["version"]), str(document["reason"]), tuple(gates))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Corrupted(
                "a training must leave its outcome as a JSON file",
                f"{path}: {type(error).__name__}: {error}",
                "Read the training's log",
            ) from error

    @classmethod
    def of_tags(cls, version: str, tags: Mapping[str, str]) -> Self | None:
        """The outcome that a version's tags tell of; None when it was judged by no gate."""
        outcome = _OUTCOMES.get(tags.get(VERDICT_TAG, ""))
        return cls(outcome, version, tags.get(REASON_TAG, "")) if outcome else None


def joined(reasons: Sequence[str]) -> str:
    """Reasons in one sentence, as tags, the promotions' ledger and outcome.json hold them."""
    return "; ".join(reasons)


def verdict_tags(verdict: str, reasons: Sequence[str]) -> dict[str, str]:
    """The tags that tell a verdict.

    Args:
        verdict: "promote", "refuse" or "default".
        reasons: why, one sentence each.
    """
    return {VERDICT_TAG: verdict, REASON_TAG: joined(reasons)[:_LONGEST_TAG]}
