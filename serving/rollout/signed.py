"""Which versions a rollout may run: those that a trusted key signed, and the ledger's champion.

The keys are in the rollout's ConfigMap, which only the chart writes. Without any, a release is as
it was before versions were signed: the registry is believed.
"""

from dataclasses import dataclass

from forecasting.adapters.cluster.manifests import RolloutConfig, VersionSpec
from forecasting.adapters.registry.ledger import Ledger
from forecasting.adapters.registry.records import ModelVersion
from forecasting.bundle.signature import ADOPT, Signed, TrustedKeys
from forecasting.errors import BundleRejected, InvalidSettings


@dataclass(frozen=True)
class SignedVersions:
    """What may run.

    Attributes:
        config: the release's.
        ledger: the promotions; None where their database is not known, as on somebody's laptop.
    """

    config: RolloutConfig
    ledger: Ledger | None

    def check_champion(self, aliased: str) -> None:
        """Refuse a champion that only the registry names.

        Args:
            aliased: version that the registry's alias names.

        Raises:
            BundleRejected: the ledger decided otherwise.
            InvalidSettings: the ledger's database is not known here.
            Unavailable: it cannot be reached.
        """
        if not self.config.trusted_keys:
            return
        if self.ledger is None:
            raise InvalidSettings(
                "which version is champion is the ledger's to say",
                "its database is not known here, only the trusted keys are (the release's ConfigMap)",
                "Name the version by its number, or set BELLWETHER_PREDICTION_LOG_URL to the "
                "database, e.g. through a port that kubectl forwards (docs/signing.md)",
            )
        decided = self.ledger.head(self.config.model)
        if decided is None or decided.to_version != aliased:
            raise BundleRejected(
                "the registry's champion must be one that the ledger knows",
                f"the registry names version {aliased}, the ledger "
                f"{decided.to_version or 'none' if decided else 'none'}",
                f"Find out who moved the alias. {ADOPT}",
            )

    def digest(self, record: ModelVersion) -> str:
        """Digest of a version's bundle, signed by a trusted key if there are keys.

        Raises:
            BundleRejected: it has no digest, or no trusted key signed it.
        """
        digest = record.checked_digest
        self._verify(record.signature, record.version, digest)
        return digest

    def digest_and_signer(self, record: ModelVersion) -> tuple[str, str]:
        """As `digest`, with the id of the key that signed it; "" where signatures are not asked for.

        Raises:
            BundleRejected: it has no digest, or no trusted key signed it.
        """
        digest = self.digest(record)
        signer = Signed.from_text(record.signature, "").key if self.config.trusted_keys else ""
        return digest, signer

    def check_running(self, running: VersionSpec) -> None:
        """Refuse a version that runs with no signature, or one of a key that is not trusted now.

        Raises:
            BundleRejected: it does; its pods were made when it was trusted.
        """
        self._verify(running.signature, str(running.version), running.digest)

    def in_words(self) -> str:
        """Whether versions are verified, and by which keys."""
        if not self.config.trusted_keys:
            return "not asked for"
        ids = TrustedKeys(self.config.trusted_keys.encode()).ids
        return f"verified by key {', '.join(key[:16] for key in ids)}"

    def _verify(self, signature: str, version: str, digest: str) -> None:
        if self.config.trusted_keys:
            keys = TrustedKeys(self.config.trusted_keys.encode())
            keys.verified(signature, model=self.config.model, version=version, digest=digest)
