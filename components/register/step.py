"""The register step: bundles and the decision -> MLflow runs, versions, aliases, promotion."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from components.artifacts import Artifact, listed_in
from components.provenance import training_request
from components.register.links import pipeline_links, registered_markdown
from components.report import PROGRESS, reported, tell
from forecasting.adapters.registry.ledger import Ledger
from forecasting.adapters.registry.records import (
    BUNDLE,
    REQUEST,
    ModelVersion,
    require_champions_dataset,
)
from forecasting.adapters.registry.registry import CandidateRun, Registry
from forecasting.adapters.signing_keys import signer_of, trusted_keys_of
from forecasting.errors import InvalidSettings, LeakFound, PromotionConflict
from forecasting.evaluation.promotion_outcome import joined, verdict_tags
from forecasting.leakage.findings import LeakFinding, refuse_leaks
from forecasting.models.candidates import NULL_MODEL
from forecasting.settings import Settings

DEFAULT_REASON: Final = "the honest default: nothing has beaten it"


@dataclass(frozen=True)
class _Bundle:
    """A candidate's bundle on disk."""

    path: Path
    digest: str
    manifest: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])


@reported("register")
def run(
    *,
    bundles: Sequence[Artifact],
    table: Artifact,
    reference: Artifact,
    evidence: Artifact,
    report: Artifact,
    verdict: Artifact,
    dataset: str,
    who: str,
    pipeline_run: str,
    registered: Artifact,
) -> str:
    """Log, register, promote; see the component for the arguments.

    Everything is logged first, then versions are created, then aliases move, so a failure leaves
    runs at most. What an earlier run of the same data and parameters has left is used again.

    Raises:
        RegistryUnavailable: MLflow cannot be reached.
        PromotionConflict: the champion changed since the verdict; it was not replaced.
        BundleRejected: a bundle is not the one its training step says it wrote, or the champion
            is not signed or not in the ledger, where there are keys.
        InvalidSettings: there are trusted keys and no key to sign with, or the champion learned
            from another data set.
    """
    settings = Settings()
    ledger = Ledger(settings.prediction_log)
    registry = _registry(settings, ledger)
    decision = json.loads((Path(evidence.path) / "decision.json").read_text())
    found = [_bundle(one) for one in bundles]
    by_kind = {one.kind: one for one in sorted(found, key=lambda one: one.kind)}
    facts = {**table.metadata, "dataset": dataset, "pipeline_run": pipeline_run}
    facts[REQUEST] = training_request()
    links = pipeline_links(settings)
    best = decision["verdict"]["candidate"] or ""
    try:
        registry.repair()
        champion = registry.champion()
        require_champions_dataset(champion, dataset, may_change=settings.dataset_may_change)
        _refuse_stale(decision, champion)
        files = _Files(reference, evidence, report, verdict)
        registration = _Registration(registry, decision, facts, files, settings.lake, links)
        runs = {kind: registration.log(bundle) for kind, bundle in by_kind.items()}
        # What a version needs is there before the version is, so that whoever loads it finds it.
        _publish(settings, table, dataset)
        versions: dict[str, str] = {}
        if champion is None:
            tell("register", "", PROGRESS, message="the random walk becomes the first champion")
            null = registration.version(by_kind[NULL_MODEL], runs[NULL_MODEL], "default")
            versions[NULL_MODEL] = null.version
            registry.promote(null.version, expected_champion=None, who=who, why=DEFAULT_REASON)
            champion = null
        challenger = ""
        if best:
            word = str(decision["word"])
            made = registration.version(by_kind[best], runs[best], word)
            versions[best] = challenger = made.version
            registry.set_challenger(challenger)
            if word == "promote" and challenger != champion.version:
                why = joined(decision["reasons"])
                registry.promote(challenger, expected_champion=champion.version, who=who, why=why)
        now = registry.champion()
        experiment = registry.experiment_id(registry.model)
        outcome = {
            "snapshot": facts["snapshot"],
            "verdict": decision["word"],
            "reasons": decision["reasons"],
            "gates": decision["verdict"]["gates"],
            "candidate": best,
            "promoted": bool(best) and now is not None and now.version == challenger,
            "champion": now.version if now else "",
            "challenger": challenger,
            "versions": versions,
            "runs": runs,
            "specification": str(by_kind[NULL_MODEL].manifest["feature_spec_digest"]),
        }
    finally:
        registry.close()
        ledger.close()
    Path(registered.path).write_text(registered_markdown(outcome, settings, experiment))
    return json.dumps(outcome, sort_keys=True)


def _publish(settings: Settings, table: Artifact, dataset: str) -> None:
    """Publish the features of the training's own specification, as new as its snapshot has them.

    A training that left later bars out describes the whole snapshot for it. Features that leak are
    not published: the verdict names the leak.
    """
    from components.training_table import TrainingTable
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.lake.publish import described_for, publish_own, served_of

    trained = TrainingTable.load(Path(table.path))
    lake = Lake(settings.lake)
    snapshot = lake.snapshot(dataset, str(trained.origin["snapshot"]))
    try:
        refuse_leaks([LeakFinding.from_dict(finding) for finding in listed_in(table, "leaks")])
        whole = len(lake.read(snapshot, trained.features.symbols)) == len(trained.features.codes)
        served = (
            served_of(lake, snapshot, trained.features, trained.spec)
            if whole
            else described_for(lake, snapshot, trained.spec)
        )
    except LeakFound as leak:
        tell("register", "", PROGRESS, message=f"no features are published: {leak}")
        return
    publish_own(lake, dataset, served)


def _registry(settings: Settings, ledger: Ledger) -> Registry:
    """The registry, with the key that signs its versions."""
    signer, keys = signer_of(settings), trusted_keys_of(settings)
    if keys is not None and signer is None:
        raise InvalidSettings(
            "where versions are served by signature, a training signs them",
            "there are trusted keys, and no signing key",
            "Set BELLWETHER_SIGNING_KEY",
        )
    return Registry(
        settings.registry_url, settings.registered_model, ledger=ledger, signer=signer, keys=keys
    )


def _bundle(artifact: Artifact) -> _Bundle:
    """A bundle, the one that its training step says it wrote."""
    from forecasting.bundle.bundle import read_manifest

    path, promised = Path(artifact.path), artifact.metadata.get("digest")
    return _Bundle(path, *read_manifest(path, expected_digest=promised))


class _Files:
    """What every run gets beside its bundle, under the names people look for."""

    def __init__(
        self, reference: Artifact, evidence: Artifact, report: Artifact, verdict: Artifact
    ) -> None:
        self._named = {
            "reference/reference.parquet": Path(reference.path),
            "report/report.html": Path(report.path),
            "report/verdict.md": Path(verdict.path),
        }
        self._plots = Path(evidence.path) / "plots"

    def stage(self, folder: Path, kind: str) -> None:
        """Copy the files of one candidate into a folder."""
        for name, path in self._named.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        if (self._plots / kind).is_dir():
            shutil.copytree(self._plots / kind, folder / "plots")


def _refuse_stale(decision: Mapping[str, Any], champion: ModelVersion | None) -> None:
    """A verdict counts for the champion it was made against only."""
    version = champion.version if champion else ""
    if decision["word"] == "promote" and decision["champion"] != version:
        raise PromotionConflict(
            "a promotion needs the champion it was decided against",
            f"version {decision['champion'] or 'none'} was weighed, "
            f"version {version or 'none'} is champion now",
            "Train again: the new champion is weighed then",
        )


@dataclass(frozen=True)
class _Registration:
    """Candidates of one decision on their way into the registry."""

    registry: Registry
    decision: Mapping[str, Any]
    facts: Mapping[str, Any]
    files: _Files
    lake: str
    links: Mapping[str, str]

    def log(self, bundle: _Bundle) -> str:
        """The candidate's MLflow run; the one that is there if the same was logged before."""
        from components.provenance import package_versions

        experiment = self.registry.model
        run_id = self.registry.find_run(experiment, bundle.digest)
        if run_id is not None:
            return run_id
        tell("register", "", PROGRESS, message=f"logging {bundle.kind}")
        training = bundle.manifest["training"]
        versions = {**package_versions(), **bundle.manifest["versions"]}
        with tempfile.TemporaryDirectory() as staged:
            folder = Path(staged)
            self.files.stage(folder, bundle.kind)
            # The bundle goes as it is, so that a file nobody listed is not carried along.
            uploads = [(bundle.path, BUNDLE)]
            uploads += [(path, path.name) for path in sorted(folder.iterdir())]
            candidate = CandidateRun(
                name=f"{bundle.kind} {self.facts['snapshot'][:8]}",
                params={
                    "kind": bundle.kind,
                    **{f"model.{key}": value for key, value in bundle.manifest["params"].items()},
                    **{
                        key: training[key]
                        for key in ("seed", "folds", "trials", "snapshot", "first", "last", "rows")
                        if key in training
                    },
                    "interval": self.facts["interval"],
                    "symbols": ",".join(training["symbols"])[:500],
                    "features": len(bundle.manifest["selected_features"]),
                },
                metrics=self.decision["metrics"][bundle.kind],
                tags={
                    "bundle_digest": bundle.digest,
                    "data_snapshot": str(self.facts["snapshot"]),
                    "git_revision": str(training["git_revision"]),
                    "pipeline_run": str(self.facts["pipeline_run"]),
                    **self.links,
                    "feature_spec": str(bundle.manifest["feature_spec_digest"]),
                    **{f"version.{name}": str(number) for name, number in versions.items()},
                },
                files=tuple(uploads),
                dataset=str(self.facts["dataset"]),
                snapshot=str(self.facts["snapshot"]),
                dataset_source=self.lake,
                profile={key: training[key] for key in ("rows", "first", "last", "symbols")},
            )
            return self.registry.log_candidate(experiment, candidate)

    def version(self, bundle: _Bundle, run_id: str, verdict: str) -> ModelVersion:
        """The bundle's registered version; one that is there only gets the new verdict."""
        reasons = [DEFAULT_REASON] if verdict == "default" else self.decision["reasons"]
        judged = {
            **verdict_tags(verdict, reasons),
            "skill": str(self.decision["metrics"][bundle.kind].get("skill", "")),
        }
        if request := self.facts.get(REQUEST):
            judged[REQUEST] = str(request)
        registered = self.registry.find(bundle.digest, str(self.facts["snapshot"]))
        if registered is not None:
            self.registry.tag(registered.version, judged)
            return self._signed(registered, bundle)
        tags = {
            "bundle_digest": bundle.digest,
            "kind": bundle.kind,
            **judged,
            "data_snapshot": str(self.facts["snapshot"]),
            "trained_until": str(bundle.manifest["training"]["last"]),
            "dataset": str(self.facts["dataset"]),
            "source": str(self.facts["source"]),
            "replay": _flag(self.facts["replay"]),
            "synthetic": _flag(self.facts["synthetic"]),
            "git_revision": str(bundle.manifest["training"]["git_revision"]),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "pipeline_run": str(self.facts["pipeline_run"]),
            **self.links,
        }
        return self._signed(self.registry.register(run_id, tags), bundle)

    def _signed(self, record: ModelVersion, bundle: _Bundle) -> ModelVersion:
        return self.registry.sign(
            record,
            bundle_digest=bundle.digest,
            dataset=str(self.facts["dataset"]),
            snapshot=str(self.facts["snapshot"]),
        )


def _flag(value: object) -> str:
    return "true" if value else "false"
