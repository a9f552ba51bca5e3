"""Retires old versions by the rule of `forecasting.rollout.retirement`, with values of the chart."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from forecasting.adapters.registry.in_use import roles_of
from forecasting.clock import utc_now
from forecasting.errors import BellwetherError, InvalidSettings
from forecasting.rollout.retirement import KeepRule, retired

if TYPE_CHECKING:
    from serving.rollout.rollout import Rollout

HISTORY: int = 1_000
"""Changes of the weights that are read, to see when a version had requests last."""


def retire_old(rollout: "Rollout") -> list[int]:
    """End the versions that the rule does not keep, and say so; what fails is logged.

    Args:
        rollout: of the release.

    Returns:
        Their numbers.
    """
    config = rollout.config
    rule = KeepRule(config.keep_versions, config.keep_days)
    ended: list[int] = []
    try:
        for version in _retired(rollout, rule):
            why = (
                f"version {version} retired: it is not among the {rule.versions} versions that are "
                f"kept and was not used for {rule.days:g} days"
            )
            rollout.delete(version, why)
            rollout.log(why)
            ended.append(version)
    except BellwetherError as error:
        rollout.log(f"warning: old versions were not retired: {error.found or error.rule}")
    return ended


def make_room(rollout: "Rollout", most: int) -> None:
    """End the versions that are needed least, however young, until one more may run.

    Raises:
        InvalidSettings: all are needed.
        BellwetherError: it cannot be seen which are, or one does not end.
    """
    running = sorted(rollout.cluster.services(rollout.config))
    spare = len(running) - most + 1
    rule = replace(KeepRule(rollout.config.keep_versions), days=0.0)
    ended = _retired(rollout, rule)[:spare]
    if len(ended) < spare:
        raise InvalidSettings(
            f"at most {most} versions run side by side",
            f"{', '.join(map(str, running))} run, and all are needed: they have requests or an "
            "alias, a rollback would go to them, or rollout.keepVersions keeps them",
            "Delete one that has no requests: bellwether rollout delete VERSION",
        )
    for version in ended:
        why = f"version {version} retired: no more than {most} versions run side by side"
        rollout.delete(version, why)
        rollout.log(why)


def _retired(rollout: "Rollout", rule: KeepRule) -> tuple[int, ...]:
    """Numbers of the versions that may end; raises where it cannot be seen who needs which."""
    registry, now = rollout.connections.registry(), utc_now()
    records = {record.version: record for record in registry.versions()}
    head = rollout.ledger.head(rollout.config.model) if rollout.ledger else None
    roles = roles_of(records, head, "")
    needed = {int(number) for number, role in roles.items() if role != "runs"}
    traffic = rollout.cluster.route(rollout.config).traffic
    return retired(_used(rollout, now), traffic, needed, rule, now)


def _used(rollout: "Rollout", now: datetime) -> dict[int, datetime]:
    """When each version that runs had requests last, or was started."""
    services = rollout.cluster.services(rollout.config)
    used = {version: _started(service, now) for version, service in services.items()}
    if rollout.history is None:
        return used
    until = now
    for change in rollout.history.changes(rollout.config.model, last=HISTORY):
        for version in change.traffic.serving:
            if version in used:
                used[version] = max(used[version], until)
        until = change.at
    return used


def _started(service: Mapping[str, Any], now: datetime) -> datetime:
    text = str(service["metadata"].get("creationTimestamp") or "")
    return datetime.fromisoformat(text) if text else now
