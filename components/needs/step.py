"""The needs step: versions in use -> the symbols they know and nobody asks for."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from components.artifacts import Artifact
from components.parameters import listed
from components.report import PROGRESS, reported, tell
from forecasting.adapters.registry.in_use import versions_in_use
from forecasting.errors import SnapshotCorrupted
from forecasting.settings import Settings


@reported("needs")
def run(*, symbols: str, dataset: str, kept: Artifact) -> None:
    """Look up which symbols to fetch besides; see the component for the arguments.

    A symbol that was dropped from the list keeps its place in the specification of the versions
    that were trained with it, and these go on answering for it.

    Raises:
        SnapshotCorrupted: a specification in the lake is not what its digest promises.
        Unavailable: the lake cannot be read.
    """
    more = _besides(Settings(), listed(symbols), dataset)
    Path(kept.path).write_text(",".join(more))
    kept.metadata.update(symbols=len(more))


def _besides(settings: Settings, asked: Sequence[str], dataset: str) -> list[str]:
    from forecasting.adapters.lake.lake import Lake

    if not asked:
        return []
    in_use = versions_in_use(settings)
    for sentence in in_use.unseen:
        tell("needs", "", PROGRESS, message=f"not seen: {sentence}")
    known = list(in_use.symbols(dataset))
    lake = Lake(settings.lake)
    with suppress(SnapshotCorrupted):  # the publish step says so
        lake.adopt_features_of_before(dataset)
    for spec in lake.specifications(dataset).values():
        known += spec.symbols
    same = {symbol.upper() for symbol in asked}
    more = [symbol for symbol in dict.fromkeys(known) if symbol.upper() not in same]
    if more:
        sentence = f"fetched besides, because versions in use know them: {', '.join(more[:20])}"
        tell("needs", "", PROGRESS, message=sentence)
    return more
