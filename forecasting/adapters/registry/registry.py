"""Writes one registered model with MLflow: runs, versions, aliases, promotion.

A version is registered last: its run's parameters, metrics and files are logged first, then the
version is created with all its tags in one request, then an alias may point at it. Who is champion
is decided in the ledger by compare-and-set; the alias follows it and is repaired when it lags.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forecasting.adapters.registry.ledger import DONE, NO_VERSION, Ledger, Promotion
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import (
    BUNDLE,
    CHALLENGER,
    CHAMPION,
    SIGNATURE,
    ModelVersion,
)
from forecasting.adapters.registry.server import MlflowServer
from forecasting.bundle.signature import ADOPT, Signed, Signer, Statement, TrustedKeys
from forecasting.errors import BundleRejected, PromotionConflict
from forecasting.path_names import is_digest

_REPAIRS = 5


@dataclass(frozen=True)
class CandidateRun:
    """What one candidate leaves in MLflow.

    Attributes:
        name: run name shown to people.
        params: parameters of model and run.
        metrics: honest scores, by name.
        tags: run tags.
        files: local file or folder -> folder of the run's artifacts it goes to.
        dataset: name of the dataset the candidate learned from.
        snapshot: content hash of the snapshot, the dataset's digest in MLflow.
        dataset_source: where the snapshot lies, e.g. the lake's URL.
    """

    name: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: tuple[tuple[Path, str], ...]
    dataset: str
    snapshot: str
    dataset_source: str = ""
    profile: Mapping[str, object] = field(default_factory=dict)


class Registry(RegistryReader):
    """Reads and writes one registered model.

    Args:
        url: address of the MLflow server.
        model: name of the registered model.
        ledger: the promotions' ledger.
        timeout_seconds: longest wait for one answer to a question; MLflow limits what is written.
        signer: what signs versions; without one they are registered unsigned.
        keys: the keys whose versions may become champion; without any, and without a signer, every
            version may.

    Nothing is contacted, and MLflow is not imported, before the first call.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        ledger: Ledger,
        timeout_seconds: float = 10.0,
        signer: Signer | None = None,
        keys: TrustedKeys | None = None,
    ) -> None:
        super().__init__(url, model, timeout_seconds=timeout_seconds)
        self.ledger = ledger
        self._signer = signer
        self._keys = keys or (TrustedKeys(signer.public_pem()) if signer else None)
        self._server = MlflowServer(url)

    def log_candidate(self, experiment: str, candidate: CandidateRun) -> str:
        """Log one candidate as a finished run and return its id.

        A run that could not be logged whole is marked failed.

        Raises:
            RegistryUnavailable: the server cannot be reached.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

        with self._server.client() as client:
            found = client.get_experiment_by_name(experiment)
            identity = found.experiment_id if found else _create_experiment(client, experiment)
            run_id = str(client.create_run(identity, run_name=candidate.name).info.run_id)
            try:
                client.log_batch(
                    run_id,
                    metrics=[Metric(k, float(v), 0, 0) for k, v in candidate.metrics.items()],
                    params=[Param(k, str(v)) for k, v in candidate.params.items()],
                    tags=[RunTag(k, v) for k, v in candidate.tags.items()],
                )
                dataset = Dataset(
                    name=candidate.dataset,
                    digest=candidate.snapshot,
                    source_type="lake",
                    source=candidate.dataset_source or "lake",
                    profile=_json(candidate.profile),
                )
                context = [InputTag("mlflow.data.context", "training")]
                client.log_inputs(run_id, [DatasetInput(dataset, context)])
                for path, folder in candidate.files:
                    upload = client.log_artifacts if path.is_dir() else client.log_artifact
                    upload(run_id, str(path), folder)
            except BaseException:
                client.set_terminated(run_id, "FAILED")
                raise
            client.set_terminated(run_id, "FINISHED")
            return run_id

    def find_run(self, experiment: str, bundle_digest: str) -> str | None:
        """The finished run that logged this bundle whole, or None.

        Raises:
            RegistryUnavailable: the server cannot be reached.
        """
        with self._server.client() as client:
            found = client.get_experiment_by_name(experiment)
            if found is None:
                return None
            query = f"tags.bundle_digest = '{bundle_digest}' and attributes.status = 'FINISHED'"
            runs = client.search_runs([found.experiment_id], query, max_results=1)
            return str(runs[0].info.run_id) if runs else None

    def experiment_id(self, experiment: str) -> str:
        """MLflow's id of an experiment, which its pages are found by; "" when there is none.

        Raises:
            RegistryUnavailable: the server cannot be reached.
        """
        with self._server.client() as client:
            found = client.get_experiment_by_name(experiment)
            return str(found.experiment_id) if found else ""

    def register(self, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
        """Create a version from a finished run's bundle, tags and all, in one request.

        Raises:
            RegistryUnavailable: the server cannot be reached; nothing was registered.
        """
        with self._server.client() as client:
            _ensure_model(client, self.model)
            source = f"runs:/{run_id}/{BUNDLE}"
            made = client.create_model_version(
                self.model, source, run_id=run_id, tags=dict(tags), await_creation_for=30
            )
        return self.version(str(made.version))

    def sign(
        self, record: ModelVersion, *, bundle_digest: str, dataset: str, snapshot: str
    ) -> ModelVersion:
        """Sign a registered version; the version with its signature. Without a key it stays as it is.

        Args:
            record: the version.
            bundle_digest: of the bundle that was trained, not what the registry says of it.
            dataset: data set in the lake whose features it reads.
            snapshot: snapshot of the prices it learned from.

        Raises:
            RegistryUnavailable: the server cannot be reached; the version stays unsigned.
        """
        if self._signer is None:
            return record
        statement = Statement(
            self.model, record.version, bundle_digest, dataset, snapshot, record.run_id
        )
        signed = self._signer.sign(statement).to_text()
        if record.signature != signed:
            self.tag(record.version, {SIGNATURE: signed, "signed_by": self._signer.key})
        return self.version(record.version)

    def signed_digest(self, record: ModelVersion) -> tuple[str, str]:
        """Digest of a version's bundle and the key that signed it; the key is "" without keys.

        Raises:
            BundleRejected: there are keys, and none of them signed this version.
        """
        if self._keys is None:
            return (record.bundle_digest if is_digest(record.bundle_digest) else ""), ""
        statement = self._keys.verified(
            record.signature,
            model=self.model,
            version=record.version,
            digest=record.checked_digest,
        )
        return statement.bundle_digest, Signed.from_text(record.signature, "").key

    def set_challenger(self, version: str) -> None:
        """Point the alias challenger at a version.

        Raises:
            RegistryUnavailable: the server cannot be reached.
        """
        with self._server.client() as client:
            client.set_registered_model_alias(self.model, CHALLENGER, version)

    def promote(
        self, version: str, *, expected_champion: str | None, who: str, why: str
    ) -> Promotion:
        """Make a version champion, if the champion is still the expected one.

        Args:
            version: version to promote; it must be registered.
            expected_champion: version the decision was made against, None for no champion.
            who: who promotes, for the audit trail.
            why: the reason, for the audit trail.

        Raises:
            PromotionConflict: another promotion came first; nothing changed.
            BundleRejected: there are keys, and the version is not signed by one of them, or the
                alias champion is not the ledger's; nothing changed.
            UnknownVersion: the version is not registered; nothing changed.
            RegistryUnavailable: the server cannot be reached. If the ledger had already decided,
                the next call of `promote` or `repair` moves the alias.
        """
        digest, key = self.signed_digest(self.version(version))
        self.repair()
        claimed = self.ledger.claim(
            self.model,
            expected=expected_champion or NO_VERSION,
            to_version=version,
            who=who,
            why=why,
            bundle_digest=digest,
            signer=key,
        )
        self._follow()
        return claimed

    def repair(self) -> None:
        """Make the alias champion say what the ledger says, after a promoter died in between.

        A champion that the ledger has never heard of (a new ledger) is adopted into it; a champion
        that the registry has lost (a new registry) is written off. Both leave a row. Where versions
        are signed, nobody but an operator adopts: whoever writes to the registry could choose.

        Raises:
            RegistryUnavailable: the server cannot be reached.
            BundleRejected: there are keys, and the ledger does not know the alias's version.
        """
        head = self.ledger.head(self.model)
        alias = self.champion()
        aliased = alias.version if alias else NO_VERSION
        if head is not None and head.state == DONE and head.to_version == aliased:
            return
        try:
            unknown = head is None or head.to_version == NO_VERSION
            if unknown and alias is not None:
                if self._keys is not None:
                    raise BundleRejected(
                        "the registry's champion must be one that the ledger knows",
                        f"the alias names version {aliased} of {self.model}, the ledger none",
                        ADOPT,
                    )
                self._adopt(NO_VERSION, aliased, "champion found in the registry")
            elif head is not None and head.to_version != NO_VERSION:
                if self._version(head.to_version) is None:
                    successor = aliased if self._keys is None else NO_VERSION
                    self._adopt(head.to_version, successor, "the registry has lost its champion")
                else:
                    self._follow()
        except PromotionConflict:
            self._follow()  # a rival repaired first, and its word counts

    def _adopt(self, expected: str, version: str, why: str) -> None:
        row = self.ledger.claim(
            self.model, expected=expected, to_version=version, who="ledger", why=why
        )
        self.ledger.settle(row)

    def _follow(self) -> None:
        """Move the alias to the ledger's head until the head stands still meanwhile."""
        head = self.ledger.head(self.model)
        for _ in range(_REPAIRS):
            if head is None or head.to_version == NO_VERSION:
                return
            with self._server.client() as client:
                client.set_registered_model_alias(self.model, CHAMPION, head.to_version)
            self.ledger.settle(head)
            after = self.ledger.head(self.model)
            if after is None or after.number == head.number:
                return
            head = after


def _create_experiment(client: Any, name: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        return str(client.create_experiment(name))
    except MlflowException:
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _ensure_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _json(value: Mapping[str, object]) -> str:
    from json import dumps

    return dumps(value, sort_keys=True)
