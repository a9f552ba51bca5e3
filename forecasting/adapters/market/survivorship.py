"""How the symbols of a universe were chosen, and what that does to every result on them.

Who picks today's winners and looks at their past finds a market in which nobody failed.
"""

from dataclasses import dataclass
from typing import Final, Literal

Choice = Literal["hindsight", "point in time", "named", "none", "undeclared"]

MARK: Final = "Survivorship: "
"""How the sentence begins, in the notes of a snapshot."""

_MEANING: Final[dict[Choice, str]] = {
    "hindsight": "the symbols were chosen afterwards, so those that failed are missing and results "
    "look better than anybody could have had.",
    "point in time": "the symbols are those that could have been chosen then, failures included.",
    "named": "the symbols were named for this run; nothing is known of those that were not.",
    "none": "there is nothing here that could have failed and gone.",
    "undeclared": "the source does not say how its symbols were chosen; take them for survivors.",
}


@dataclass(frozen=True)
class Survivorship:
    """What a source declares of its universe.

    Attributes:
        choice: how the symbols were chosen.
        why: what in particular makes that so, a sentence or nothing.
    """

    choice: Choice
    why: str = ""

    @property
    def sentence(self) -> str:
        """For the notes of a snapshot and the report."""
        return f"{MARK}{_MEANING[self.choice]} {self.why}".rstrip()


UNDECLARED: Final = Survivorship("undeclared")
