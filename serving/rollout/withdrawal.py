"""Records a withdrawal: the version that users get is champion from then on, and the ledger says why.

Otherwise page, drift job and the next evaluation would go on with a version that nobody is served.
"""

from typing import Final

from forecasting.adapters.registry.ledger import Ledger
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import CHAMPION
from forecasting.errors import BellwetherError
from serving.rollout.evidence import Connections, Log
from serving.rollout.signed import SignedVersions

WHO: Final = "rollout"
"""Who the ledger says withdrew a version."""


def record_withdrawal(
    connections: Connections,
    signed: SignedVersions,
    serving: int,
    why: str,
    log: Log,
    *,
    who: str = WHO,
) -> None:
    """Make the version that has all requests champion, where another one is.

    Users have their forecasts by now, so nothing is raised: a ledger or a registry that is away is
    logged, with what to do. Safe to repeat.

    Args:
        connections: to the registry, whose alias champion moves.
        signed: the release's keys and its ledger.
        serving: version that has all requests.
        why: they were taken from another one, for the record.
        log: told what became of it.
        who: withdrew it, for the record.
    """
    repeat = f"Repeat: bellwether rollout rollback --to {serving}"
    try:
        registry = connections.registry()
        if signed.ledger is not None:
            _succeed(registry, signed.ledger, signed, serving, why, log, who)
        elif (champion := registry.aliases().get(CHAMPION)) not in {None, str(serving)}:
            log(
                f"version {champion} is still champion, though users get version {serving}: the "
                "ledger's database is not known here. Set BELLWETHER_PREDICTION_LOG_URL. " + repeat
            )
    except BellwetherError as error:
        log(
            f"warning: the champion may not be version {serving}, which users get: "
            f"{error.found or error.rule}. {repeat}"
        )


def _succeed(
    registry: RegistryReader,
    ledger: Ledger,
    signed: SignedVersions,
    serving: int,
    why: str,
    log: Log,
    who: str,
) -> None:
    model, number = signed.config.model, str(serving)
    head = ledger.head(model)
    if head is None or not head.to_version:
        return
    if head.to_version == number:
        if registry.aliases().get(CHAMPION) != number:
            registry.set_champion(number)
        return
    digest, signer = signed.digest_and_signer(registry.version(number))
    row = ledger.claim(
        model,
        expected=head.to_version,
        to_version=number,
        who=who,
        why=f"version {head.to_version} withdrawn: {why}",
        bundle_digest=digest,
        signer=signer,
    )
    registry.set_champion(number)
    ledger.settle(row)
    log(f"version {number} is champion in place of version {head.to_version}; the ledger says why")
