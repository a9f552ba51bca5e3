"""The training table, an .npz file: features, horizon returns, and where they come from."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.errors import Corrupted
from forecasting.features.build import FeatureSpec, FeatureTable
from forecasting.instants import to_datetime
from forecasting.npz import load_with_metadata, save_with_metadata

_RETURNS: Final = "returns"
_TEXTS: Final = ("symbols", "names")
_ARRAYS: Final = tuple(field.name for field in fields(FeatureTable) if field.name not in _TEXTS)


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """Features of every bar beside what came after it.

    Attributes:
        features: n rows, one per bar.
        returns: float32 [n, MAX_HORIZON] log total returns, NaN where the future is not known.
        spec: how the features were made.
        origin: snapshot, dataset, source, replay, synthetic, interval, symbols, first, last
            (ISO-8601, UTC) and rows; the same bars give the same words.
    """

    features: FeatureTable
    returns: NDArray[np.float32]
    spec: FeatureSpec
    origin: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write an .npz without pickles, under a temporary name first."""
        metadata = {
            "spec": self.spec.to_dict(),
            "origin": self.origin,
            **{name: getattr(self.features, name) for name in _TEXTS},
        }
        arrays = {name: getattr(self.features, name) for name in _ARRAYS}
        save_with_metadata(path, {**arrays, _RETURNS: self.returns}, metadata)

    @classmethod
    def load(cls, path: Path) -> "TrainingTable":
        """Read what `save` wrote.

        Raises:
            Corrupted: the file is not one of ours, or is damaged.
        """
        try:
            arrays, metadata = load_with_metadata(path, (*_ARRAYS, _RETURNS))
        except (OSError, ValueError) as fault:
            raise Corrupted(
                "a training table is an .npz that the features step wrote",
                f"{path}: {fault}",
                "Run the pipeline again",
            ) from fault
        returns = arrays.pop(_RETURNS)
        texts: dict[str, Any] = {name: tuple(metadata[name]) for name in _TEXTS}
        return cls(
            features=FeatureTable(**arrays, **texts),
            returns=returns,
            spec=FeatureSpec.from_dict(metadata["spec"]),
            origin=metadata["origin"],
        )


def iso(nanoseconds: int) -> str:
    """An instant as ISO-8601 in UTC, to the second."""
    return to_datetime(nanoseconds).isoformat(timespec="seconds")
