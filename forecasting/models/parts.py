"""Tells what a candidate is made of: a model of the location, a model of the width, or both in one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import InvalidSettings
from forecasting.models.candidates import (
    DEFAULTS,
    NULL_MODEL,
    WIDTH_PARAMETER,
    Fitted,
    make_forecaster,
)
from forecasting.models.width import EWMA, MEMBERS, columns_of, learns_width, named

PartFeatures: TypeAlias = tuple[tuple[str, ...], ...]
"""Names of the features that each part of a candidate takes, in the order of `parts_of`."""


@dataclass(frozen=True)
class Part:
    """A model that is learned by itself.

    Attributes:
        kind: the candidate whose method it is.
        given: parameters that override its defaults.
    """

    kind: str
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def params(self) -> dict[str, Any]:
        """Every parameter in force.

        Raises:
            InvalidSettings: the kind or a parameter is unknown, or an extra is not installed.
        """
        return make_forecaster(self.kind, self.given).params

    @property
    def widths(self) -> bool:
        """Whether it learns widths; else locations."""
        return learns_width(self.kind)


def parts_of(kind: str, params: Mapping[str, Any]) -> tuple[Part, ...]:
    """The models a candidate is made of, the location before the width; none for the random walk.

    Raises:
        InvalidSettings: the kind or a parameter is unknown, or an extra is not installed.
    """
    if kind == NULL_MODEL:
        return ()
    own = Part(kind, params)
    taken, given = named(own.params.get(WIDTH_PARAMETER, EWMA))
    return (own,) if taken == EWMA else (own, Part(taken, given))


def columns_of_parts(
    parts: Sequence[Part], names: Sequence[str], features: PartFeatures = ()
) -> list[NDArray[np.intp]]:
    """Columns of the feature table that each part takes, in the table's order.

    Args:
        parts: of one candidate.
        names: of the table's columns.
        features: names of those that each part takes; empty: all that it can learn from.

    Raises:
        InvalidSettings: the table lacks a feature, or what a width is learned from; or the
            features are not those of so many parts.
    """
    if not features:
        return [columns_of(part.kind, names) for part in parts]
    lacking = sorted({name for taken in features for name in taken} - set(names))
    if lacking or len(features) != len(parts):
        raise InvalidSettings(
            f"a candidate of {len(parts)} parts takes as many sets of features of the table",
            f"{len(features)} sets; not in the table: {', '.join(lacking) or 'none'}",
            "Name features that the table's specification has, for each part",
        )
    return [np.flatnonzero(np.isin(names, taken)) for taken in features]


def named_columns(names: Sequence[str], columns: NDArray[np.intp]) -> tuple[str, ...]:
    """Names of some columns."""
    return tuple(names[column] for column in columns)


def takes_width(kind: str) -> bool:
    """Whether a candidate can be given a learned width: one that learns locations."""
    return WIDTH_PARAMETER in DEFAULTS.get(kind, {})


def need_variance(kinds: Iterable[str], width: str) -> bool:
    """Whether features of variance are needed to train these candidates.

    Args:
        kinds: the candidates.
        width: what those that learn locations take for their width.
    """
    return any(learns_width(kind) or (takes_width(kind) and width != EWMA) for kind in kinds)


@dataclass(frozen=True)
class LocationAndWidth:
    """A fitted location and a fitted width, each on columns of its own.

    Attributes:
        location: says where the return lies.
        width: says how far from there.
        location_columns: columns of the candidate's features that the location takes.
        width_columns: those that the width takes.
    """

    location: Fitted
    width: Fitted
    location_columns: NDArray[np.intp]
    width_columns: NDArray[np.intp]

    @property
    def kind(self) -> str:
        """Name of the candidate: the location's."""
        return self.location.kind

    @property
    def params(self) -> dict[str, Any]:
        """The location's parameters, the name of the width and its members among them."""
        members = self.width.params.get(MEMBERS)
        taken = {WIDTH_PARAMETER: f"{self.width.kind}:{members}"} if members else {}
        return self.location.params | taken

    def locate(self, x: NDArray[np.float32]) -> Floats:
        """Locations [n, K] of the standardised return at the knots."""
        return self.location.locate(x[:, self.location_columns])

    def log_width(self, x: NDArray[np.float32]) -> Floats:
        """Logs [n, K] of the width over scale * sqrt(h) at the knots."""
        return self.width.log_width(x[:, self.width_columns])
