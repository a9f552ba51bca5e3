"""Adopts a version that no trusted key has signed: verifies its files, signs it, records who and why."""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from forecasting.adapters.registry.ledger import NO_VERSION, Ledger
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import CHALLENGER, CHAMPION, ModelVersion
from forecasting.adapters.registry.registry import Registry
from forecasting.adapters.signing_keys import signer_of, trusted_keys_of
from forecasting.errors import InvalidSettings
from forecasting.settings import Settings


def adopt_version(settings: Settings, version: str, *, who: str, why: str) -> str:
    """Sign a registered version and note it in the ledger; the key's id.

    The ledger's champion stays what it is. Where it has none, the version that the registry's alias
    names becomes it, if that is the one adopted: this is an operator's decision.

    Args:
        settings: where registry and ledger are, and the key.
        version: its number.
        who: who adopts it.
        why: the reason.

    Raises:
        InvalidSettings: there is no key, no reason, or the key is not trusted.
        UnknownVersion: the registry has no such version.
        BundleRejected: its files are not what its digest promises.
        PromotionConflict: another promotion came first; adopt again.
        RegistryUnavailable, Unavailable: registry or ledger cannot be reached.
    """
    signer, keys = signer_of(settings), trusted_keys_of(settings)
    if signer is None:
        raise InvalidSettings(
            "adopting a version takes the key that signs",
            "there is none",
            "Set BELLWETHER_SIGNING_KEY, or make a key: bellwether key",
        )
    if keys is not None and signer.key not in keys.ids:
        raise InvalidSettings(
            "the key that signs must be trusted",
            f"{signer.key[:16]} is not among {', '.join(key[:16] for key in keys.ids)}",
            "Add its public key to BELLWETHER_TRUSTED_KEYS",
        )
    if not why.strip():
        raise InvalidSettings("adopting a version needs a reason", "--why is empty", "Say why")
    with (
        closing(Ledger(settings.prediction_log)) as ledger,
        Registry(
            settings.registry_url,
            settings.registered_model,
            ledger=ledger,
            signer=signer,
            keys=keys,
        ) as registry,
    ):
        record = registry.version(version)
        digest, snapshot = _verified(registry, record)
        head = ledger.head(registry.model)
        champion = head.to_version if head else NO_VERSION
        if champion == NO_VERSION and registry.aliases().get(CHAMPION) == record.version:
            champion = record.version
        own = champion == record.version
        row = ledger.claim(
            registry.model,
            expected=head.to_version if head else NO_VERSION,
            to_version=champion,
            who=who,
            why=f"adopted version {record.version}, bundle {digest}: {why}",
            bundle_digest=digest if own else (head.bundle_digest if head else ""),
            signer=signer.key if own else (head.signer if head else ""),
        )
        ledger.settle(row)
        registry.sign(record, bundle_digest=digest, dataset=record.dataset, snapshot=snapshot)
    return signer.key


def adopt_what_is_served(settings: Settings, *, who: str, why: str) -> tuple[str, ...]:
    """Adopt champion and challenger if the ledger's champion is of before versions were signed.

    Returns:
        Their numbers; none when there was nothing to do.

    Raises:
        As `adopt_version`.
    """
    model = settings.registered_model
    with closing(Ledger(settings.prediction_log)) as ledger:
        head = ledger.head(model)
    if head is None or head.to_version == NO_VERSION or head.signer:
        return ()
    with RegistryReader(settings.registry_url, model) as registry:
        aliases = registry.aliases()
        served = [aliases[alias] for alias in (CHALLENGER, CHAMPION) if alias in aliases]
        unsigned = [number for number in served if not registry.version(number).signature]
    if aliases.get(CHAMPION) != head.to_version:
        return ()
    for number in dict.fromkeys(unsigned):
        adopt_version(settings, number, who=who, why=why)
    return tuple(dict.fromkeys(unsigned))


def _verified(registry: Registry, record: ModelVersion) -> tuple[str, str]:
    """Digest and snapshot of a version, after its files were verified like a server does."""
    from forecasting.bundle.bundle import load_bundle

    with TemporaryDirectory() as folder:
        files = registry.download_bundle(record, Path(folder) / "bundle")
        bundle = load_bundle(files, expected_digest=record.checked_digest)
    training = bundle.manifest["training"]
    snapshot = str(training.get("snapshot") or record.tags.get("data_snapshot", ""))
    return bundle.digest, snapshot
