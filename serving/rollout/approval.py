"""Where the chart asks for it, a version gets its first requests only after a person approved it.

Only the ledger says so: whoever reaches the registry can move its aliases and write its tags, and
lets no version have requests by that. Going back is free: a rollback waits for nobody, and a version
that held all requests and was not withdrawn has been approved by its service.
"""

from dataclasses import dataclass

from forecasting.adapters.cluster.manifests import RolloutConfig
from forecasting.adapters.registry.approvals import COMMAND, Approval, Approvals
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.errors import Forbidden, InvalidSettings
from forecasting.rollout.traffic import Traffic
from serving.rollout.signed import SignedVersions


@dataclass(frozen=True)
class ApprovalGate:
    """Says which versions wait for a person.

    Attributes:
        config: the release's; it says whether approvals are asked for.
        approvals: the ledger's; None where its database is not known.
        unknown: why it is not, in words.
    """

    config: RolloutConfig
    approvals: Approvals | None
    unknown: str = ""

    def concerns(self, traffic: Traffic, version: int) -> bool:
        """Whether this version may have requests only with an approval."""
        served = bool(traffic.weights.get(version)) or version in traffic.stable_history
        return self.config.approval_required and not served

    def find(self, version: int, digest: str) -> Approval | None:
        """The approval of a version with these files, or None.

        Raises:
            InvalidSettings: the ledger's database is not known here.
            Unavailable: it cannot be reached.
        """
        if self.approvals is None:
            raise InvalidSettings(
                "whether a version is approved is the ledger's to say",
                self.unknown or "its database is not known here",
                "Set BELLWETHER_PREDICTION_LOG_URL to the database",
            )
        return self.approvals.find(self.config.model, str(version), digest)

    def waits(self, traffic: Traffic, version: int, digest: str) -> bool:
        """Whether nobody has approved this version with these files yet, though somebody has to.

        Raises:
            InvalidSettings: the ledger's database is not known here.
            Unavailable: it cannot be reached.
        """
        return self.concerns(traffic, version) and self.find(version, digest) is None

    def require(self, traffic: Traffic, version: int, digest: str) -> None:
        """Refuse a version that waits.

        Args:
            traffic: as the route has it.
            version: that is to have requests.
            digest: of its bundle.

        Raises:
            Forbidden: nobody has approved this version with these files.
            InvalidSettings: the ledger's database is not known here.
            Unavailable: it cannot be reached.
        """
        if self.waits(traffic, version, digest):
            raise Forbidden(
                "a version gets its first requests after a person approved it",
                f"version {version} with digest {digest[:16]} is not approved in the ledger",
                how_to_approve(version),
            )

    def in_words(self, traffic: Traffic, version: int, digest: str) -> str:
        """Whether the version waits, and how to approve it; "" where approvals do not concern it.

        Raises:
            InvalidSettings: the ledger's database is not known here.
            Unavailable: it cannot be reached.
        """
        if not self.concerns(traffic, version):
            return ""
        approval = self.find(version, digest)
        if approval is None:
            return waiting_in_words(version)
        at = approval.at.isoformat(timespec="seconds")
        return f"version {version} was approved by {approval.who} at {at}: {approval.why}"


def waiting_in_words(version: int) -> str:
    """That a version waits, and how to approve it."""
    return f"version {version} waits for a person's approval. {how_to_approve(version)}"


def how_to_approve(version: int) -> str:
    """What a person does to approve a version."""
    return f'Approve it: bellwether rollout approve {version} --why "REASON", or on the page as operator'


def approve(
    registry: RegistryReader,
    signed: SignedVersions,
    approvals: Approvals,
    version: int,
    *,
    who: str,
    why: str,
) -> Approval:
    """Let a version have requests, with the files that the registry promises now.

    Args:
        registry: of the release.
        signed: the release's keys; a version that they do not know is not approved.
        approvals: of the ledger.
        version: its number.
        who: approves it.
        why: the reason.

    Raises:
        UnknownVersion: the registry has no such version.
        BundleRejected: it has no digest, or no trusted key signed it.
        InvalidSettings: there is no name or no reason.
        Unavailable: registry or ledger cannot be reached; nothing was written.
    """
    digest = signed.digest(registry.version(str(version)))
    return approvals.give(signed.config.model, str(version), digest, who=who, why=why, via=COMMAND)
