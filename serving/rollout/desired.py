"""What a version has to run, as the registry promises it, and whether that is what runs (test_rollout.py)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from forecasting.adapters.cluster.manifests import VersionSpec, read_version_spec, storage_uri
from forecasting.errors import BundleRejected
from serving.rollout.evidence import RolloutPart
from serving.rollout.signed import SignedVersions


@dataclass
class DesiredVersions(RolloutPart):
    """Versions as they should run.

    Attributes:
        signed: which versions may run.
    """

    signed: SignedVersions

    def of(self, version: int) -> VersionSpec:
        """What the registry promises of a version.

        Raises:
            UnknownVersion: it has no such version.
            BundleRejected: that has no digest, or no trusted key signed it.
            InvalidSettings: its bundle does not lie in the artifact store.
            RegistryUnavailable: the registry cannot be asked.
        """
        registry = self.connections.registry()
        record = registry.version(str(version))
        digest = self.signed.digest(record)
        where = storage_uri(registry.artifact_uri(record.run_id), self.config.artifact_store)
        return VersionSpec(version, where, digest, record.kind, record.signature)

    def as_it_runs(self, service: Mapping[str, Any]) -> VersionSpec:
        """What a service runs, with the registry's signature where its own does not count (any more).

        Raises:
            BundleRejected: the registry's does not count either, or is of other files.
        """
        running = read_version_spec(service)
        try:
            self.signed.check_running(running)
        except BundleRejected:
            self.log(f"version {running.version} gets the signature that the registry has of it")
        else:
            return running
        desired = self.of(running.version)
        self.check_bundle(desired, service)
        return replace(running, signature=desired.signature)

    def check_bundle(self, desired: VersionSpec, running: Mapping[str, Any]) -> None:
        """Refuse a version that runs with other files than the registry promises.

        Raises:
            BundleRejected: it does.
        """
        digest = read_version_spec(running).digest
        if digest != desired.digest:
            raise BundleRejected(
                "a version never changes",
                f"version {desired.version} runs with digest {digest[:16]}, "
                f"and the registry promises {desired.digest[:16]}",
                f"Find out why; bellwether rollout delete {desired.version} removes what runs",
            )
