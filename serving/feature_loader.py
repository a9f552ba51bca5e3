"""Finds the newest features of a specification in the lake, and makes them ready to serve."""

from collections.abc import Collection

from forecasting.adapters.lake.lake import Lake
from forecasting.errors import NotReady
from serving.state import Features

Key = tuple[str, str]
"""Data set, and digest of the feature specification."""


class FeatureLoader:
    """Features of the versions of one server; used from one thread.

    Args:
        lake: where they are published.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._held: dict[Key, tuple[str, Features]] = {}
        self._unfit: dict[Key, tuple[str, NotReady]] = {}

    def served(self, key: Key) -> Features | None:
        """Those that were found last; None before any were."""
        held = self._held.get(key)
        return None if held is None else held[1]

    def newest(self, key: Key) -> Features:
        """The newest that are published; `served` if they are those.

        Raises:
            NotReady: none are published, or they are not fit to be served.
            Corrupted, Unavailable: the lake holds none that can be read.
        """
        held = self._held.get(key)
        published = self._lake.served_id(*key)
        if held is not None and held[0] == published:
            return held[1]
        unfit = self._unfit.get(key)
        if unfit is not None and unfit[0] == published:
            raise unfit[1]  # they are not fetched again to be found unfit again
        try:
            served = self._lake.served_features(*key)
        except NotReady as error:
            if published is not None:
                self._unfit[key] = published, error
            raise
        self._held[key] = served.id, Features.of(served)
        self._unfit.pop(key, None)
        return self._held[key][1]

    def forget(self, kept: Collection[Key]) -> None:
        """Drop what was found for others than these."""
        self._held = {key: one for key, one in self._held.items() if key in kept}
        self._unfit = {key: one for key, one in self._unfit.items() if key in kept}
