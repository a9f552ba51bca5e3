"""What is served and what is learned from are the same numbers, bit for bit.

The lake is refreshed bar by bar with the pipeline's own steps. What the predictor would have
answered from after each refresh is held against the training table made at the end.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forecasting.features.build
from components.features import step as features
from components.publish import step as publish
from components.training_table import TrainingTable
from forecasting.adapters.lake.lake import Lake
from forecasting.errors import LeakFound
from forecasting.features.build import build_features, features_of_bars
from forecasting.leakage.findings import RULES, LeakFinding
from forecasting.prices.quality.judge import judge
from forecasting.schema import OHLCV
from forecasting.settings import Settings
from serving.state import Features
from tests.unit.panels import walk

SYMBOLS = ("AAPL", "IBM", "MSFT")
NO_REGISTRY = "http://127.0.0.1:9"
BARS = 420
REFRESHES = (330, 331, 332, 340, 341, 365, 366, 400, BARS)
LATE = 335
"""Bar of IBM that the refresh at 340 lacks and the one at 365 brings."""


@dataclass
class Artifact:
    path: str
    metadata: dict = field(default_factory=dict)


def prices(bars, *, late_is_there):
    frames = []
    for seed, symbol in enumerate(SYMBOLS):
        whole = walk(symbol, BARS, seed=seed, actions=symbol == "AAPL")
        frame = whole.iloc[:bars]
        if symbol == "IBM" and not late_is_there:
            frame = frame.drop(index=LATE, errors="ignore")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def describe(folder: Path, snapshot):
    table = Artifact(str(folder / f"table-{snapshot.id}"))
    features.run(
        snapshot=snapshot.id,
        dataset="default",
        symbols="",
        train_until="",
        candidates=["ridge"],
        width="har",
        table=table,
        reference=Artifact(str(folder / "reference")),
    )
    return table


def appended(lake, fetched):
    """The snapshot that these prices make an hour after their last bar, and that time."""
    now = fetched["timestamp"].max().to_pydatetime() + timedelta(hours=1)
    snapshot = lake.append(
        "default",
        judge(fetched, now=now, interval="1d"),
        source="test",
        replay=False,
        synthetic=True,
        interval="1d",
        fetched_at=now,
    )
    return snapshot, now


@dataclass
class History:
    served: list
    table: TrainingTable
    found: list
    prices: pd.DataFrame


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Nine refreshes, each published; and the training table of the last."""
    folder = tmp_path_factory.mktemp("parity")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BELLWETHER_STATE_DIR", str(folder))
        patched.setenv("BELLWETHER_REGISTRY_URL", NO_REGISTRY)
        lake = Lake(Settings().lake)
        served = []
        for bars in REFRESHES:
            snapshot, now = appended(lake, prices(bars, late_is_there=bars >= 365))
            table = describe(folder, snapshot)
            publish.run(snapshot=snapshot.id, dataset="default", symbols="")
            spec = TrainingTable.load(Path(table.path)).spec
            served.append((now, lake.served_features("default", spec.digest)))
        return History(
            served,
            TrainingTable.load(Path(table.path)),
            [LeakFinding.from_dict(one) for one in table.metadata["leaks"]],
            lake.read(snapshot),
        )


def looks_ahead(prices, spec):
    """Features of which one is the next bar's gap."""
    table = build_features(prices, spec)
    values = table.values.copy()
    ahead = prices.groupby("symbol")["open"].shift(-1) / prices["close"] - 1
    values[:, table.names.index("overnight_gap")] = ahead.ffill()
    return replace(table, values=values)


def test_a_refresh_whose_features_leak_publishes_nothing_and_leaves_what_is_served(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("BELLWETHER_REGISTRY_URL", NO_REGISTRY)
    lake = Lake(Settings().lake)
    snapshot, _ = appended(lake, prices(BARS, late_is_there=True))
    publish.run(snapshot=snapshot.id, dataset="default", symbols="")
    (specification,) = lake.specifications("default")
    served = lake.served_features("default", specification)
    monkeypatch.setattr(forecasting.features.build, "build_features", looks_ahead)
    with pytest.raises(LeakFound, match="overnight_gap") as caught:
        publish.run(snapshot=snapshot.id, dataset="default", symbols="")
    assert RULES["features_survive_truncation"] in caught.value.rule
    assert "stay" in caught.value.remedy
    assert lake.served_features("default", specification).to_bytes() == served.to_bytes()


def rows_of(table, symbol):
    own = np.flatnonzero(table.codes == table.symbols.index(symbol))
    return dict(zip(table.timestamps[own].tolist(), own.tolist(), strict=True))


def test_every_row_ever_served_is_the_row_that_is_learned_from(history):
    table, compared = history.table.features, 0
    for _, served in history.served:
        assert served.spec_digest == history.table.spec.digest
        for place, symbol in enumerate(served.symbols):
            row_at = rows_of(table, symbol)
            for row in range(int(served.offsets[place]), int(served.offsets[place + 1])):
                mine = row_at[int(served.timestamps[row])]
                assert table.usable[mine], (symbol, row)
                assert served.values[row].tobytes() == table.values[mine].tobytes()
                assert served.scale[row].tobytes() == table.scale[mine].tobytes()
                assert served.close[row] == table.close[mine]
                compared += 1
    assert compared > 2_000


def test_what_the_predictor_finds_is_the_newest_row(history):
    for _, served in history.served:
        held = Features.of(served)
        for symbol in SYMBOLS:
            row = held.find(symbol).row
            mine = rows_of(history.table.features, symbol)[int(served.timestamps[row])]
            values, scale, close = history.table.features.row(mine)
            assert served.values[row].tobytes() == values.tobytes()
            assert (served.scale[row], served.close[row]) == (scale, close)


def test_a_bar_that_came_late_is_learned_from_only_after_it_came(history):
    table, own = history.table.features, history.prices[history.prices["symbol"] == "IBM"]
    row_at = rows_of(table, "IBM")
    closes = dict(zip(own["session"], own["timestamp"].astype("int64"), strict=True))
    late, after = (closes[walk("IBM", BARS)["session"].iloc[bar]] for bar in (LATE, LATE + 4))
    assert not table.usable[row_at[late]]
    without = own[own["timestamp"].astype("int64") != late].reset_index(drop=True)
    alone = [name for name in table.names if not name.startswith(("rank_", "market_"))]
    columns = [table.names.index(name) for name in alone]
    for prices_then, same in ((without, True), (own.reset_index(drop=True), False)):
        then = build_features(prices_then, history.table.spec)
        row = int(np.flatnonzero(then.timestamps == after)[0])
        mine = table.values[row_at[after]][columns]
        assert (then.values[row][columns].tobytes() == mine.tobytes()) is same


def test_a_callers_own_bars_give_the_row_that_was_learned_from(history):
    """Ranks and means of the market aside: a caller's bars are a panel of one."""
    table, spec = history.table.features, history.table.spec
    own = history.prices[history.prices["symbol"] == "MSFT"].reset_index(drop=True)
    stamps = own["timestamp"].astype("int64").to_numpy()
    alone = [
        place for place, name in enumerate(spec.names) if not name.startswith(("rank_", "market_"))
    ]
    for bars in (300, 355, 400):
        values, scale, close = features_of_bars(
            stamps[:bars], own[list(OHLCV)].to_numpy()[:bars], spec, "MSFT"
        )
        mine = rows_of(table, "MSFT")[int(stamps[bars - 1])]
        assert values[alone].tobytes() == table.values[mine][alone].tobytes()
        assert (scale, close) == (table.scale[mine], table.close[mine])


def test_the_features_step_makes_every_check_but_that_of_the_training_and_finds_nothing(history):
    assert [one.check for one in history.found] == list(RULES)[:-1]
    assert not any(one.leaks for one in history.found), history.found
    late = next(one for one in history.found if one.check == "prices_as_known_then")
    assert "1 of them came late" in late.found
