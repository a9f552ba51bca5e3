"""What earlier trainings of the data set have weighed, and the note of what this one weighs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from components.artifacts import Artifact
from forecasting.errors import Corrupted

if TYPE_CHECKING:
    from forecasting.adapters.registry.trials import Trial
    from forecasting.evaluation.lifetime import Lifetime

CONFIGURATION: Final = "configuration"
"""Metadata of a candidate's forecasts: what was asked for, as JSON."""


def configurations(out_of_sample: Sequence[Artifact]) -> dict[str, int]:
    """The challengers' configurations, each with the settings that a search tried for it.

    Args:
        out_of_sample: the candidates' forecasts with their metadata.

    Raises:
        Corrupted: forecasts do not say of what configuration they are.
    """
    from forecasting.models.candidates import NULLS

    found: dict[str, int] = {}
    for artifact in out_of_sample:
        kind = str(artifact.metadata["kind"])
        if kind in NULLS:
            continue
        configuration = artifact.metadata.get(CONFIGURATION)
        if not isinstance(configuration, str) or not configuration:
            raise Corrupted(
                "forecasts say of what configuration they are, so that it counts as a trial",
                f"those of {kind[:80]!r} do not",
                "Train again",
            )
        found[configuration] = int(artifact.metadata["trials"])
    return found


def lifetime_of(known: "Sequence[Trial]", own: Mapping[str, int]) -> "Lifetime":
    """The trainings before this one.

    Args:
        known: trials of the data set, the oldest first.
        own: configurations of this training; weighed again, they are no other trials.
    """
    from forecasting.evaluation.lifetime import Lifetime

    if not known:
        return Lifetime()
    others = [trial for trial in known if trial.configuration not in own]
    return Lifetime(
        known[0].periods,
        sum(trial.settings for trial in others),
        known[0].at.date().isoformat(),
    )
