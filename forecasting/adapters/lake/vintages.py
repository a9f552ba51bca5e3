"""When each bar of a snapshot was known: the lake's parts say in which fetch it came."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forecasting.adapters.lake.snapshot import Snapshot
from forecasting.instants import nanoseconds
from forecasting.schema import ACTIONS, OHLCV, SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.adapters.lake.lake import Lake


def known_times(lake: "Lake", snapshot: Snapshot, prices: "pd.DataFrame") -> NDArray[np.int64]:
    """When each bar was known as it stands, int64 ns [n].

    That is its close, as fetches are frequent. A bar between bars of its symbol that an earlier
    fetch had brought came late, and is known from the end of its own fetch. A bar with other
    numbers than the lake holds was restated, and is known from the snapshot's newest fetch at
    the earliest. Replayed history came after the fact as a whole, so none of it is late.

    Args:
        lake: where the snapshot is kept.
        snapshot: the newest one the prices may be from.
        prices: bars of the snapshot, all or some.

    Raises:
        SnapshotCorrupted: a part is missing or damaged.
    """
    import pandas as pd

    known = nanoseconds(prices[TIMESTAMP])
    frames = lake.parts(snapshot)
    stored = pd.concat(frames, ignore_index=True)
    part = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    arrived = np.full(len(stored), np.iinfo(np.int64).min)
    late = np.zeros(len(stored), dtype=np.bool_)
    if len(frames) > 1 and not snapshot.replay:
        late = _filled_in(stored, part)
    if late.any():
        fetches = _fetches(lake, snapshot.dataset)
        for number in np.unique(part[late]):
            arrived[late & (part == number)] = fetches[snapshot.parts[number].digest]
    place = _places(stored, prices)
    numbers = [*OHLCV, *ACTIONS]
    first, used = (frame[numbers].to_numpy(dtype=np.float64) for frame in (stored, prices))
    same = (place >= 0) & (first[place] == used).all(axis=1)
    newest = int(snapshot.fetched_at.timestamp() * 1e6) * 1_000
    return np.maximum(known, np.where(same, arrived[place], newest))


def _places(stored: "pd.DataFrame", prices: "pd.DataFrame") -> NDArray[np.int64]:
    """Row of `stored` with each price's symbol and close; -1 where there is none."""
    import pandas as pd

    both = np.concatenate((stored[SYMBOL].to_numpy(), prices[SYMBOL].to_numpy()))
    times = np.concatenate((nanoseconds(stored[TIMESTAMP]), nanoseconds(prices[TIMESTAMP])))
    codes, _ = pd.factorize(both)
    instants, rank = np.unique(times, return_inverse=True)
    keys = codes.astype(np.int64) * len(instants) + rank
    order = np.argsort(keys[: len(stored)], kind="stable")
    stored_keys, price_keys = keys[: len(stored)][order], keys[len(stored) :]
    near = np.minimum(np.searchsorted(stored_keys, price_keys), len(stored_keys) - 1)
    return np.where(stored_keys[near] == price_keys, order[near], -1)


def _filled_in(stored: "pd.DataFrame", part: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Bars that lie between bars of their symbol which an earlier part had brought."""
    import pandas as pd

    codes, _ = pd.factorize(stored[SYMBOL].to_numpy())
    times = nanoseconds(stored[TIMESTAMP])
    late = np.zeros(len(stored), dtype=np.bool_)
    first = np.full(codes.max() + 1, np.iinfo(np.int64).max)
    last = np.full(codes.max() + 1, np.iinfo(np.int64).min)
    for number in range(int(part.max()) + 1):
        rows = np.flatnonzero(part == number)
        late[rows] = (times[rows] > first[codes[rows]]) & (times[rows] < last[codes[rows]])
        np.minimum.at(first, codes[rows], times[rows])
        np.maximum.at(last, codes[rows], times[rows])
    return late


def _fetches(lake: "Lake", dataset: str) -> dict[str, int]:
    """End of the fetch that first brought each part, int64 ns by digest."""
    brought: dict[str, int] = {}
    for snapshot in lake.history(dataset):
        for part in snapshot.parts:
            brought.setdefault(part.digest, int(snapshot.fetched_at.timestamp() * 1e6) * 1_000)
    return brought
