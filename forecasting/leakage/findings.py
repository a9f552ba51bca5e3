"""The result of a leak check, and which checks must be made before a promotion."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from forecasting.errors import Corrupted, LeakFound

ECHO: Final = 0.7
"""Rank correlation of a feature with a coming bar's return that no honest feature reaches: the
bounce between bid and ask, the strongest effect there is, stays below 0.5 (Roll, 1984)."""

RULES: Final = {
    "features_survive_truncation": "features of the past must not change when later bars are cut off",
    "features_ignore_the_future": "features of the past must not change when later bars are others",
    "labels_lie_ahead": "a label of h bars must depend on the h bars after its row, on all of them "
    "and on none besides",
    "labels_not_in_features": "no feature may tell the return of a bar that has not closed "
    f"(rank correlation below {ECHO:g})",
    "prices_as_known_then": "a row must use prices as they were known at its close, not as they "
    "were delivered or restated later",
    "survivorship_free": "where a direction is claimed, symbols must not be chosen for having survived",
    "forecasts_ignore_the_future": "walk-forward forecasts must not change when later rows and "
    "labels are others",
}
"""Every check by name, with its rule. All must be made, and pass, before a promotion."""

OF_UNIVERSE: Final = "survivorship_free"
"""The check whose findings bar claims of a direction, not of a width: survivors have risen more than
anybody could have had, but how far they moved is no secret of theirs."""

FORMER_NAMES: Final = {"universe_keeps_its_dead": "survivorship_free"}
"""Checks by the name that versions before 0.1.0's release stored, with their name of today."""

OF_FORECASTS: Final = "forecasts_ignore_the_future"
"""The check that needs a candidate; all others look at the table alone."""


@dataclass(frozen=True)
class LeakFinding:
    """The result of one check.

    Attributes:
        check: its name, a key of RULES.
        leaks: whether it found a leak, or could not be made.
        found: what was found, in words.
        hindsight: whether it found that the universe was chosen with hindsight, which bars claims
            of a direction only.
    """

    check: str
    leaks: bool
    found: str
    hindsight: bool = False

    @property
    def rule(self) -> str:
        """What has to hold."""
        return RULES[self.check]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; `from_dict` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LeakFinding":
        """The finding that `to_dict` wrote.

        Raises:
            Corrupted: it is none.
        """
        name = check_name(str(values.get("check", "")))
        needed = {"check", "leaks", "found"}
        if not needed <= set(values) <= {*needed, "hindsight"} or name not in RULES:
            raise Corrupted(
                "a finding of the leak check has the fields check, leaks and found",
                str(dict(values)),
                "Run the pipeline again",
            )
        # Findings stored before hindsight was told apart do not say that there was none.
        hindsight = bool(values.get("hindsight", name == OF_UNIVERSE))
        return cls(name, bool(values["leaks"]), str(values["found"]), hindsight)


def check_name(stored: str) -> str:
    """The name of a check or gate today, whatever name a file, tag or manifest holds."""
    return FORMER_NAMES.get(stored, stored)


def finding(check: str, wrong: Sequence[str], looked: str) -> LeakFinding:
    """A finding from what went wrong, "" where nothing did, and what was looked at."""
    leaks = [sentence for sentence in wrong if sentence]
    if not leaks:
        return LeakFinding(check, False, f"none do ({looked})")
    more = f"; and {len(leaks) - 1} more like it" if len(leaks) > 1 else ""
    return LeakFinding(check, True, leaks[0] + more)


def gaps(findings: Sequence[LeakFinding]) -> list[LeakFinding]:
    """A failed finding for every check that was not made."""
    made = {finding.check for finding in findings}
    return [LeakFinding(name, True, "the check was not made") for name in RULES if name not in made]


def refuse_leaks(findings: Sequence[LeakFinding]) -> None:
    """Let a table of features through only if every check of it was made and found nothing.

    Args:
        findings: of the checks that look at the table.

    Raises:
        LeakFound: one found something, or was not made.
    """
    needed = [*findings, *(gap for gap in gaps(findings) if gap.check != OF_FORECASTS)]
    wrong = [finding for finding in needed if finding.leaks]
    if wrong:
        raise LeakFound(
            "; ".join(finding.rule for finding in wrong),
            "; ".join(f"{finding.check}: {finding.found}" for finding in wrong),
            "The features published before stay. Mend the feature or the prices named, then "
            "refresh again",
        )
