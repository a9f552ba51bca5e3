"""What a training or a refresh is about where nobody says: what the champion learned from."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from bellwether.console import say
from components.parameters import listed
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import REQUEST, ModelVersion
from forecasting.errors import InvalidSettings
from forecasting.settings import Settings
from pipelines.local import RefreshParams, TrainingParams

_FIELDS: Final = frozenset(field.name for field in fields(TrainingParams))


def champions_params(settings: Settings) -> tuple[str, TrainingParams] | None:
    """The champion's number and what it was trained on, or None before the first training.

    Of a version that no laptop's training registered, its tags and its manifest say it.

    Raises:
        RegistryUnavailable: MLflow cannot be reached.
        InvalidSettings: it was trained from files, and nothing says from which.
        BundleRejected: its manifest is not what its digest promises.
    """
    with RegistryReader(settings.registry_url, settings.registered_model) as registry:
        champion = registry.champion()
        if champion is None:
            return None
        if request := champion.tags.get(REQUEST):
            return champion.version, TrainingParams.of_request(request)
        spec = registry.specification(champion)
    return champion.version, TrainingParams(
        source=_source(champion),
        symbols=spec.symbols,
        interval=spec.interval,
        dataset=champion.dataset,
    )


def _source(champion: ModelVersion) -> str:
    source = champion.tags.get("source", "")
    if source in {"", "files"}:
        raise InvalidSettings(
            "a training starts from what the champion was trained on",
            f"version {champion.version} does not say from which "
            + ("files" if source else "source"),
            "Say it: --source files --files prices.csv",
        )
    return source


def varied(params: TrainingParams, named: Mapping[str, Any]) -> TrainingParams:
    """Parameters with what the command line names instead.

    Args:
        params: the champion's.
        named: values of the options that were given, by name; others than a training's are left out.

    Raises:
        InvalidSettings: --files is given, and the champion was trained from another source.
    """
    changes = {name: value for name, value in named.items() if name in _FIELDS}
    for name in ("symbols", "candidates"):
        if name in changes:
            changes[name] = listed(str(changes[name]))
    if files := named.get("files"):
        if params.source != "files":
            raise InvalidSettings(
                "--files belongs to --source files",
                f"the champion was trained from {params.source}",
                "Add --source files",
            )
        changes["source_options"] = {"path": str(Path(files).resolve())}
    if changes.get("interval", params.interval) != params.interval:
        changes.setdefault("dataset", f"{params.source}-{changes['interval']}")
    return replace(params, **changes)


def as_champion(settings: Settings, named: Mapping[str, Any]) -> TrainingParams | None:
    """The champion's parameters with what the command line names instead, said; None without a champion.

    Raises: as `champions_params` and `varied`.
    """
    champion = champions_params(settings)
    if champion is None:
        return None
    version, trained = champion
    params = varied(trained, named)
    say(f"[dim]· {in_words(version, params)}[/]")
    return params


def in_words(version: str, params: RefreshParams) -> str:
    """What a training or a refresh starts from, for the screen."""
    path = params.source_options.get("path")
    symbols = ", ".join(params.symbols[:8]) or "all its symbols"
    more = f" and {len(params.symbols) - 8} more" if len(params.symbols) > 8 else ""
    return (
        f"As the champion, version {version}, was trained: {params.source}"
        f"{f' {path}' if path else ''}, {params.interval}, {symbols}{more}"
    )
