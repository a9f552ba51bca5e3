"""Judges the version that users get by its realised forecasts, and steps back from one that has degraded.

Nothing is remembered between runs: log, prices, ledger and route say all, so a run may be repeated.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.monitoring.pushed import Sample, publish
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.realised import Realised, read_realised
from forecasting.adapters.registry.calibrations import Calibrations
from forecasting.adapters.registry.ledger import QUALITY, Promotion
from forecasting.errors import InvalidSettings, NotReady, Unavailable, UnknownVersion
from forecasting.instants import MILLISECOND, from_milliseconds
from forecasting.live.quality import Quality, QualityRules, judge_quality
from forecasting.models.candidates import NULL_MODEL
from forecasting.prometheus_metrics import QUALITY_DEGRADED, QUALITY_EVIDENCE, QUALITY_LIMIT
from forecasting.rollout.traffic import Traffic
from serving.rollout.rollout import Rollout


@dataclass(frozen=True)
class QualityState:
    """How the version that users get has done.

    Attributes:
        version: that version.
        reference: what it is compared with, in words.
        since: from when on its answers count; None for all of them.
        quality: the evidence.
        unanswered: by version, the one before among them, symbols that it has not yet been asked
            for at their newest bar.
    """

    version: int
    reference: str
    since: datetime | None
    quality: Quality
    unanswered: Mapping[int, tuple[str, ...]]

    @property
    def finding(self) -> str:
        """What the outcomes say, in words."""
        quality = self.quality
        if not quality.bars:
            return "no outcome has come due yet"
        figures = (
            f"over {quality.bars} bars its 90 % interval held {quality.coverage:.1%} of the "
            f"outcomes one bar ahead, that of {self.reference} {quality.reference_coverage:.1%}; "
            f"its loss is {quality.loss_ratio:.2f} times that one's; evidence of degradation at most "
            f"{quality.highest:.3g}, {quality.limit:.3g} is the limit"
        )
        if quality.degraded_at is None:
            return figures
        on = from_milliseconds(quality.degraded_at // MILLISECOND)
        return f"{quality.kind}, found at the bar of {on:%Y-%m-%d %H:%M} UTC: {figures}"

    def to_dict(self) -> dict[str, object]:
        """For JSON; figures that are not known are null."""
        quality = self.quality
        figures = {
            "coverage": quality.coverage,
            "reference_coverage": quality.reference_coverage,
            "loss_ratio": quality.loss_ratio,
        }
        at = quality.degraded_at
        return {
            "version": self.version,
            "reference": self.reference,
            "since": self.since.isoformat() if self.since else None,
            "bars": quality.bars,
            "evidence": quality.highest,
            "limit": quality.limit,
            "degraded_at": None if at is None else from_milliseconds(at // MILLISECOND).isoformat(),
            "kind": quality.kind if at is not None else "",
            **{name: None if math.isnan(value) else value for name, value in figures.items()},
            "finding": self.finding,
        }


@dataclass(frozen=True)
class QualityWatch:
    """The actions.

    Attributes:
        rollout: of the release; it knows the ledger.
        log: the prediction log.
        lake: where prices are.
        rules: what counts as degraded.
        calibrations: of the release's versions.
    """

    rollout: Rollout
    log: PredictionLog
    lake: Lake
    rules: QualityRules
    calibrations: Calibrations

    def state(self) -> QualityState | str:
        """How the version that users get has done, or why that cannot be told now, in words.

        What it answered since its promotion counts; all of it where the ledger does not know one.

        Raises:
            NotReady: its data set has no prices.
            UnknownVersion, BundleRejected: the registry does not have it whole.
            Unavailable: cluster, registry, lake, log or ledger cannot be reached.
        """
        traffic = self.rollout.weights.route().traffic
        version = traffic.stable
        if version is None:
            return "no version serves yet"
        if traffic.canaries:
            return f"a rollout is under way: {traffic.in_words()}"
        before = _before(traffic)
        since = self._promoted_at(version)
        realised = self._realised(version, before, since)
        return QualityState(
            version=version,
            reference=_reference(before, realised.by_before),
            since=since,
            quality=judge_quality(realised.compared, self.rules),
            unanswered={
                version: realised.unanswered,
                **({before: realised.unanswered_before} if before is not None else {}),
            },
        )

    def ask(self, state: QualityState) -> None:
        """Have the version, and the one before, forecast what nobody has asked of the newest bar.

        So every bar has every symbol, whatever users ask: who is asked for does not depend on what
        came. A version that does not answer is told, not raised.
        """
        for version, symbols in state.unanswered.items():
            if symbols:
                self.rollout.evidence.ask_all(version, symbols)

    def step_back(self, state: QualityState) -> int:
        """Give all requests to the version before, else to a random walk; the ledger says why.

        Returns:
            The version that serves now.

        Raises:
            NotReady: there is neither; users keep what they have.
            RolloutConflict: somebody else changed the weights meanwhile.
            Unavailable: cluster or registry cannot be reached.
        """
        why = f"its realised forecasts have degraded: {state.finding}"
        try:
            return self.rollout.rollback(None, why, QUALITY)
        except (InvalidSettings, NotReady) as error:
            self.rollout.log(f"the version before cannot serve: {error.found or error.rule}")
        walk = self._random_walk(state.version)
        if walk is None:
            raise NotReady(
                "a version that has degraded needs another one to step back to",
                f"version {state.version}: {state.finding}; none before it is ready, and no random "
                "walk is registered",
                "Train, or start an older version: bellwether rollout start VERSION",
            )
        self.rollout.start(str(walk), 0)
        return self.rollout.rollback(walk, why, QUALITY)

    def publish(self, state: QualityState | None) -> None:
        """Push the evidence, and which champion has degraded, as metrics; a failure is told."""
        try:
            url = self.rollout.connections.pushgateway()
            if not url:
                return
            withdrawn = self.withdrawn()
            samples = [Sample(QUALITY_LIMIT, (), 1 / self.rules.error_rate)]
            if state is not None:
                number = (str(state.version),)
                degraded = state.quality.degraded_at is not None
                samples += [
                    Sample(QUALITY_EVIDENCE, number, state.quality.highest),
                    Sample(QUALITY_DEGRADED, number, float(degraded)),
                ]
            if withdrawn is not None:
                samples.append(Sample(QUALITY_DEGRADED, (withdrawn.from_version,), 1.0))
            now = datetime.now(UTC).timestamp()
            publish("quality", samples, gateway_url=url, file=Path(), succeeded_at=now, timeout=5.0)
        except Unavailable as error:
            self.rollout.log(f"warning: the evidence was not pushed as metrics: {error.found}")

    def withdrawn(self) -> Promotion | None:
        """The withdrawal that the ledger ends with; None once another version was promoted.

        Raises:
            Unavailable: the ledger cannot be reached.
        """
        ledger = self.rollout.ledger
        head = ledger.head(self.rollout.config.model) if ledger else None
        return head if head is not None and head.for_quality else None

    def _promoted_at(self, version: int) -> datetime | None:
        ledger = self.rollout.ledger
        rows = ledger.history(self.rollout.config.model) if ledger else []
        return next((row.at for row in rows if row.to_version == str(version)), None)

    def _realised(self, version: int, before: int | None, since: datetime | None) -> Realised:
        registry = self.rollout.connections.registry()
        former = None if before is None else str(before)
        if former is not None:
            try:
                registry.version(former)
            except UnknownVersion:
                former = None
        return read_realised(
            self.log,
            self.lake,
            registry,
            str(version),
            former,
            since=since,
            horizons=tuple(self.rules.horizons),
            calibrations=self.calibrations,
        )

    def _random_walk(self, but: int) -> int | None:
        """The newest registered random walk that is not this version."""
        walks = [
            int(one.version)
            for one in self.rollout.connections.registry().versions()
            if one.kind == NULL_MODEL and int(one.version) != but
        ]
        return max(walks, default=None)


def _before(traffic: Traffic) -> int | None:
    """The version that had all requests before the one that has them, if it can still be asked."""
    return next((one for one in traffic.stable_history if one != traffic.stable), None)


def _reference(before: int | None, share: float) -> str:
    if before is None or share == 0:
        return "the random walk"
    if share == 1:
        return f"version {before}"
    return f"version {before} (where it was asked, {share:.0%}; else the random walk)"
