"""The errors of the project, each with its HTTP status and exit code, and their form as JSON.

BellwetherError                     500  exit 1
├── InvalidInput                    400  exit 2   the caller can correct it
│   ├── InvalidPrices               400  exit 2   bars break the contract: column, row, rule
│   ├── InvalidRequest              400  exit 2   a V2 request is malformed
│   ├── InvalidSettings             400  exit 2   a setting or option makes no sense
│   ├── Forbidden                   403  exit 2   who asks may not do this
│   ├── NameTaken                   409  exit 2   the name is already taken
│   ├── ShortHistory                422  exit 2   too few bars for the features or the folds
│   ├── UnknownSymbol               404  exit 2   neither the source nor the model knows it
│   ├── UnknownVersion              404  exit 2   the registry or the server has no such version
│   └── UnknownWorkflow             404  exit 2   no such pipeline, version or run on the cluster
├── Unavailable                     503  exit 3   a dependency is down; retry later
│   ├── SourceUnavailable           503  exit 3   a price source failed or answered with nothing
│   │   └── RateLimited             429  exit 3   a price source asks us to wait
│   ├── RegistryUnavailable         503  exit 3   MLflow cannot be reached
│   ├── ServerUnavailable           503  exit 3   the model server cannot be reached
│   ├── ClusterUnavailable          503  exit 3   Kubernetes cannot be reached, or does not let us
│   ├── WorkflowsUnavailable        503  exit 3   Kubeflow Pipelines cannot be reached, or fails
│   ├── NotReady                    503  exit 3   no verified bundle or no features yet
│   └── StaleData                   424  exit 3   features are older than the second limit
├── Corrupted                       500  exit 4   bytes are not what their digest promises
│   ├── BundleRejected              500  exit 4   a bundle's digest, format or parity is wrong
│   └── SnapshotCorrupted           500  exit 4   a snapshot of the lake is damaged or half there
├── LeakFound                       500  exit 6   features or labels tell what had not happened yet
├── PromotionConflict               409  exit 5   the champion changed while we were deciding
└── RolloutConflict                 409  exit 5   somebody else changes who gets the requests

Exit 10 is not a failure: a run finished and nothing was promoted. Exit 11: drift was found.
Exit 12: a rollout ended by itself, and the version before serves again.
"""

from collections.abc import Mapping
from typing import Any

EXIT_REFUSED = 10
EXIT_DRIFT = 11
EXIT_ROLLED_BACK = 12


class BellwetherError(Exception):
    """Root of the tree. States the rule, what was found, and the remedy.

    Args:
        rule: what has to hold, e.g. "a price must be positive".
        found: what was there instead, with names and values.
        remedy: what the reader can do about it.
    """

    status = 500
    exit_code = 1

    def __init__(self, rule: str, found: str = "", remedy: str = "") -> None:
        self.rule, self.found, self.remedy = rule, found, remedy
        super().__init__(rule, found, remedy)

    def __str__(self) -> str:
        sentence = f"{self.rule}: {self.found}" if self.found else self.rule
        return f"{sentence}. {self.remedy}" if self.remedy else sentence


class InvalidInput(BellwetherError):
    """The caller can correct it."""

    status = 400
    exit_code = 2


class InvalidPrices(InvalidInput):
    """Bars break the price contract of `forecasting.schema`."""


class InvalidRequest(InvalidInput):
    """A request of the Open Inference Protocol V2 is malformed."""


class InvalidSettings(InvalidInput):
    """A setting or a command line option makes no sense."""


class Forbidden(InvalidInput):
    """Who asks may not do this; somebody else may."""

    status = 403


class NameTaken(InvalidInput):
    """The name of what was to be created is already taken."""

    status = 409


class ShortHistory(InvalidInput):
    """There are too few bars for the features or for the folds."""

    status = 422


class UnknownSymbol(InvalidInput):
    """Neither the source nor the model knows the symbol."""

    status = 404


class UnknownVersion(InvalidInput):
    """The registry or the server has no such model version."""

    status = 404


class UnknownWorkflow(InvalidInput):
    """Kubeflow Pipelines has no such pipeline, version or run."""

    status = 404


class Unavailable(BellwetherError):
    """A dependency is down; retry later."""

    status = 503
    exit_code = 3


class SourceUnavailable(Unavailable):
    """A price source failed, or answered with nothing."""


class RateLimited(SourceUnavailable):
    """A price source asks us to wait.

    Attributes:
        retry_after: seconds the source asked for, or None when it did not say.
    """

    status = 429

    def __init__(
        self, rule: str, found: str = "", remedy: str = "", *, retry_after: float | None = None
    ) -> None:
        super().__init__(rule, found, remedy)
        self.retry_after = retry_after


class RegistryUnavailable(Unavailable):
    """The MLflow server cannot be reached."""


class ServerUnavailable(Unavailable):
    """The model server cannot be reached."""


class ClusterUnavailable(Unavailable):
    """Kubernetes cannot be reached, or does not let us."""


class WorkflowsUnavailable(Unavailable):
    """Kubeflow Pipelines cannot be reached, is something else, or fails."""


class NotReady(Unavailable):
    """No verified bundle, or no features, are loaded yet."""


class StaleData(Unavailable):
    """Features are older than the limit past which we refuse to forecast.

    The server is there and has answered, so neither a proxy's retry nor an alert on availability
    is of any use: 424, Failed Dependency.
    """

    status = 424


class Corrupted(BellwetherError):
    """Bytes are not what their digest promises."""

    exit_code = 4


class BundleRejected(Corrupted):
    """A bundle's digest, format or parity is wrong; nothing of it was executed."""


class SnapshotCorrupted(Corrupted):
    """A snapshot of the lake is damaged or only half there."""


class LeakFound(BellwetherError):
    """Features or labels tell what had not happened yet; nothing made of them goes out."""

    exit_code = 6


class PromotionConflict(BellwetherError):
    """The champion changed while we were deciding; decide again."""

    status = 409
    exit_code = 5


class RolloutConflict(BellwetherError):
    """Somebody else changes who gets the requests; look again, then decide."""

    status = 409
    exit_code = 5


def to_record(error: Exception) -> dict[str, Any]:
    """An error as JSON can carry it: its class by name, rule, found and remedy."""
    record: dict[str, Any] = {"kind": type(error).__name__}
    if not isinstance(error, BellwetherError):
        return {**record, "rule": str(error), "found": "", "remedy": ""}
    record |= {"rule": error.rule, "found": error.found, "remedy": error.remedy}
    if isinstance(error, RateLimited) and error.retry_after is not None:
        record["retry_after"] = error.retry_after
    return record


def from_record(record: Mapping[str, Any]) -> BellwetherError | None:
    """The error that `to_record` wrote; None where it is no class of this tree."""
    kind = globals().get(str(record["kind"]))
    if not (isinstance(kind, type) and issubclass(kind, BellwetherError)):
        return None
    arguments = (record["rule"], record.get("found", ""), record.get("remedy", ""))
    if issubclass(kind, RateLimited):
        return kind(*arguments, retry_after=record.get("retry_after"))
    return kind(*arguments)
