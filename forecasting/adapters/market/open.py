"""Opens a price source by its name, and the second provider that the settings name for it."""

import inspect
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from forecasting.adapters.market.secondary import Secondary
from forecasting.adapters.market.source import PriceSource
from forecasting.errors import InvalidSettings, SourceUnavailable

if TYPE_CHECKING:
    from forecasting.settings import Settings

ENTRY_POINTS: Final = "bellwether.sources"
"""Entry-point group of other packages' sources: a callable (settings, **options) -> PriceSource."""

_OWN: Final = {
    "ccxt": "forecasting.adapters.market.providers.crypto:CryptoSource",
    "files": "forecasting.adapters.market.providers.files:FilesSource",
    "sample": "forecasting.adapters.market.providers.sample:SampleSource",
    "synthetic": "forecasting.adapters.market.providers.synthetic:SyntheticSource",
    "tiingo": "forecasting.adapters.market.providers.tiingo:TiingoSource",
    "tinvest": "forecasting.adapters.market.providers.tinvest:TInvestSource",
    "yahoo": "forecasting.adapters.market.providers.yahoo:YahooSource",
}


def source_names() -> tuple[str, ...]:
    """Names of all sources that can be opened, sorted."""
    others = {entry.name for entry in entry_points(group=ENTRY_POINTS)}
    return tuple(sorted(others | set(_OWN)))


def open_source(
    name: str, settings: "Settings", processes: int = 1, /, **options: object
) -> PriceSource:
    """Open a price source by name; nothing is fetched yet.

    Args:
        name: one of `source_names`.
        settings: where things are.
        processes: how many processes fetch at the same time; a source that takes an option of this
            name shares its provider's limits among them.
        options: the source's own, e.g. path= for files, universe= for sample, seed= for synthetic.

    Raises:
        InvalidSettings: no such source, or it does not take such options.
        SourceUnavailable: another package's source cannot be loaded.
    """
    build = _own(name) or _of_others(name)
    if build is None:
        raise InvalidSettings(
            f"a price source is one of {', '.join(source_names())}",
            f"{name!r} was given",
            f"Install the package that offers it under the entry point {ENTRY_POINTS}",
        )
    if processes > 1 and "processes" in inspect.signature(build).parameters:
        options["processes"] = processes
    return _built(name, build, settings, options)


def open_secondary(source: PriceSource, settings: "Settings") -> Secondary | None:
    """The second provider that the settings name for a source of live prices; mostly None.

    Raises:
        InvalidSettings: there is no such provider, or its prices are not live.
        SourceUnavailable: another package's source cannot be loaded.
    """
    name = settings.fallback_source
    if not name or name == source.name or source.replay or source.synthetic:
        return None
    provider = open_source(
        name, settings.model_copy(update={"source_base_url": settings.fallback_base_url})
    )
    if provider.replay or provider.synthetic:
        raise InvalidSettings(
            "a fallback source must have live prices",
            f"{name!r} was given",
            "Set BELLWETHER_FALLBACK_SOURCE to e.g. tiingo, or leave it empty",
        )
    return Secondary(provider, compares=settings.compare_sources)


def _built(
    name: str, build: Callable[..., object], settings: "Settings", options: dict[str, object]
) -> PriceSource:
    signature = inspect.signature(build)
    try:
        signature.bind(settings, **options)
    except TypeError as error:
        accepted = ", ".join(list(signature.parameters)[1:]) or "none"
        raise InvalidSettings(
            f"the source {name} takes the options: {accepted}", str(error), "Leave the others out"
        ) from error
    source = build(settings, **options)
    if not isinstance(source, PriceSource):
        raise InvalidSettings(
            "a price source has name, replay, synthetic and fetch",
            f"the entry point {name!r} gave a {type(source).__name__}",
        )
    return source


def _own(name: str) -> Callable[..., object] | None:
    if name not in _OWN:
        return None
    module, _, attribute = _OWN[name].partition(":")
    build: Callable[..., object] = getattr(import_module(module), attribute)
    return build


def _of_others(name: str) -> Callable[..., object] | None:
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            try:
                build: Callable[..., object] = entry.load()
            except Exception as error:  # whatever another package's import raises
                raise SourceUnavailable(
                    "a source's package must be importable",
                    f"{entry.value}: {type(error).__name__}: {error}",
                    "Repair or remove the package",
                ) from error
            return build
    return None
