"""The state a server answers from: immutable, built beside the old one and swapped by reference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.bundle.bundle import Bundle
from forecasting.errors import NotReady, StaleData, UnknownSymbol, UnknownVersion
from forecasting.features.online import ServedFeatures
from forecasting.instants import MILLISECOND, SECOND

ON_DEMAND: Final = "on demand"
"""Alias of a version that is served because somebody asked for its number."""


@dataclass(frozen=True)
class AgeLimits:
    """How old the last bar may be, in seconds.

    Attributes:
        stale_after: past this an answer says it is stale.
        refuse_after: past this the server refuses.
    """

    stale_after: float
    refuse_after: float


@dataclass(frozen=True, eq=False)
class NewestRow:
    """One symbol's newest row, looked up beforehand.

    Attributes:
        row: its index in the features.
        age_from: unix seconds its age counts from: its bar's close, or the fetch of replayed data.
        as_of: close of its bar, unix milliseconds, int64 [1].
        targets: closes of the next bars, unix milliseconds, int64 [1, T].
    """

    row: int
    age_from: float
    as_of: NDArray[np.int64]
    targets: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Features:
    """Served features of one data set, with lookups for the hot path.

    Attributes:
        served: the features.
        newest_rows: by symbol; symbols with too short a history are not in it.
        age_from: unix seconds the age of the newest bar counts from.
    """

    served: ServedFeatures
    newest_rows: Mapping[str, NewestRow]
    age_from: float

    @classmethod
    def of(cls, served: ServedFeatures) -> "Features":
        """Prepare the features that a lake holds."""
        fetched = served.fetched_at.timestamp()
        newest_rows = {}
        for place, symbol in enumerate(served.symbols):
            start, stop = int(served.offsets[place]), int(served.offsets[place + 1])
            if start == stop:
                continue
            closed = int(served.timestamps[stop - 1])
            newest_rows[symbol] = NewestRow(
                row=stop - 1,
                # Every replayed symbol is served as if its last bar had closed when it was fetched.
                age_from=fetched if served.replay else closed / SECOND,
                as_of=np.array([closed // MILLISECOND]),
                targets=served.target_times[place : place + 1] // MILLISECOND,
            )
        age_from = fetched if served.replay else served.last_bar.timestamp()
        return cls(served, newest_rows, age_from)

    def find(self, symbol: str) -> NewestRow:
        """The symbol's newest row.

        Raises:
            UnknownSymbol: names up to 20 symbols that are known.
            ShortHistory: the symbol is known, but has too few bars.
        """
        newest = self.newest_rows.get(symbol)
        if newest is not None:
            return newest
        if symbol in self.served.index:
            self.served.last_row(symbol)  # raises: too short a history
        known = sorted(self.newest_rows)
        more = f" and {len(known) - 20} more" if len(known) > 20 else ""
        raise UnknownSymbol(
            "a symbol must be one the server holds",
            repr(symbol),
            f"Known: {', '.join(known[:20])}{more}; for others, send their 'bars'",
        )


@dataclass(frozen=True, eq=False)
class Version:
    """One model version: ready when it has a verified bundle and features made for it.

    Attributes:
        number: the registry's version number, or the name of a local bundle.
        alias: champion, challenger, pinned, on demand or "".
        dataset: the lake's data set it reads.
        bundle: the verified bundle, or None.
        features: features of its own specification, or None.
        problem: why it is not ready, or "".
        parameters: of every answer.
        answers: a cache, by what an answer depends on besides this version; see `serving.inference`.
            It belongs to the version, so a new bundle or new features start with an empty one.
    """

    number: str
    alias: str
    dataset: str
    bundle: Bundle | None
    features: Features | None
    problem: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    answers: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, number: str, alias: str, dataset: str, bundle: Bundle, features: Features | None
    ) -> "Version":
        """Join a bundle and features, if they fit each other."""
        needed = f"specification {bundle.spec.digest} of data set {dataset!r}"
        if features is None:
            problem = f"the lake holds no features of {needed} yet: run a refresh"
        elif features.served.spec_digest != bundle.spec.digest:
            problem = f"features of {features.served.spec_digest} do not fit {needed}"
        elif features.served.bars_ahead < bundle.max_horizon:
            problem = (
                f"features of {needed} tell when {features.served.bars_ahead} bars ahead close, and "
                f"the version forecasts {bundle.max_horizon}: publish them anew"
            )
        else:
            served = features.served
            parameters = {
                "model_kind": bundle.kind,
                "quantile_levels": ",".join(f"{level:g}" for level in bundle.levels),
                "interval": served.interval,
                "source": served.source,
                "replay": served.replay,
                "synthetic": served.synthetic,
                "snapshot": served.snapshot_id,
                "calibration": bundle.calibrated,
            }
            if served.fallback:
                parameters["fallback"] = served.fallback
            return cls(number, alias, dataset, bundle, features, "", parameters)
        return cls(number, alias, dataset, bundle, None, problem)

    def fitted(self) -> tuple[Bundle, Features]:
        """The bundle and its features.

        Raises:
            NotReady: one of them is missing; says why.
        """
        if self.bundle is None or self.features is None:
            raise NotReady(
                "a version needs a verified bundle and features made for it",
                f"version {self.number}: {self.problem}",
                "Ask again in a moment; if it stays, read the server's log",
            )
        return self.bundle, self.features

    def check_fresh(self, limits: AgeLimits, wall: float) -> None:
        """Refuse when the newest bar is past the second limit.

        Raises:
            NotReady: the version is not ready at all.
            StaleData: its features are too old.
        """
        _, features = self.fitted()
        refuse_if_old(features.age_from, limits, wall, f"the newest bar of {self.dataset!r}")


def refuse_if_old(age_from: float, limits: AgeLimits, wall: float, what: str) -> None:
    """Refuse to forecast from a bar past the second limit.

    Raises:
        StaleData: says how old it is and what the limit is.
    """
    age = wall - age_from
    if age > limits.refuse_after:
        raise StaleData(
            f"the last bar must not be older than {_span(limits.refuse_after)}",
            f"{what} is {_span(age)} old (since {datetime.fromtimestamp(age_from, UTC):%Y-%m-%d %H:%M} UTC)",
            "Refresh the prices: run the refresh pipeline",
        )


def _span(seconds: float) -> str:
    if seconds < 7_200:
        return f"{seconds:.0f} s"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


@dataclass(frozen=True, eq=False)
class ServingState:
    """All versions, and which of them answers when none is named.

    Attributes:
        versions: by number.
        default: number of the default version, or "".
        problem: why there is no default version, or "".
        registered: numbers that may be asked for, in their order; empty where versions are not
            loaded on demand.
    """

    versions: Mapping[str, Version] = field(default_factory=dict)
    default: str = ""
    problem: str = "nothing was looked for yet"
    registered: tuple[str, ...] = ()

    def with_version(self, version: Version, keep: Callable[[str], bool]) -> "ServingState":
        """The state with one version more, and of those on demand only the ones to keep."""
        kept = {
            number: one
            for number, one in self.versions.items()
            if one.alias != ON_DEMAND or keep(number)
        }
        return replace(self, versions={**kept, version.number: version})

    def find(self, number: str | None = None) -> Version:
        """A version, the default one unless named.

        Raises:
            UnknownVersion: there is none of that number.
            NotReady: there is no default version yet.
        """
        version = self.versions.get(number or self.default)
        if version is not None:
            return version
        if number:
            if self.registered:
                newest = ", ".join(self.registered[-20:])
                more = f" and {len(self.registered) - 20} before" * (len(self.registered) > 20)
                raise UnknownVersion(
                    "a version must be registered",
                    repr(number[:40]),
                    f"Registered: {newest}{more}",
                )
            raise UnknownVersion(
                "a version must be one the server has loaded",
                repr(number[:40]),
                f"Loaded: {', '.join(self.versions) or 'none yet'}",
            )
        raise NotReady(
            "the server needs a model version",
            self.problem,
            "Ask again in a moment; if it stays, run the training pipeline",
        )
