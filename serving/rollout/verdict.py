"""Evidence before weight: a version that its evaluation refused gets requests only for a stated reason."""

from typing import Final

from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import CHAMPION
from forecasting.errors import InvalidSettings
from forecasting.evaluation.promotion_outcome import PromotionOutcome

DESPITE_TAG: Final = "rollout_despite_verdict"
"""Tag of a version that was refused and may have requests all the same: who says so, and why."""


def require_verdict(registry: RegistryReader, version: int, despite: str = "") -> None:
    """Refuse a version whose evaluation refused it, unless somebody gives a reason.

    A reason is kept as a tag of the version and counts from then on. The champion needs none: how
    it became champion stands in the ledger.

    Args:
        registry: of the release.
        version: that is to get requests.
        despite: why it may have them whatever its verdict, and who says so; "" for no reason.

    Raises:
        InvalidSettings: it was refused, and nobody gave a reason.
        UnknownVersion: the registry has no such version.
        RegistryUnavailable: the registry cannot be asked.
    """
    number = str(version)
    record = registry.version(number)
    judged = PromotionOutcome.of_tags(number, record.tags)
    if judged is None or judged.outcome == "promoted":
        return
    if registry.aliases().get(CHAMPION) == number:
        return
    if despite:
        registry.tag(number, {DESPITE_TAG: despite})
    elif not record.tags.get(DESPITE_TAG):
        raise InvalidSettings(
            "a version that gets requests must have earned it",
            f"the evaluation of version {version} says refuse: {judged.reason or 'no reason kept'}",
            'Give a reason to have it all the same: --despite-verdict "REASON"',
        )
