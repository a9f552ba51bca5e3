"""Served features: same content same bytes, any damage found, rows looked up as of an instant."""

import dataclasses
import hashlib
import io
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import InvalidRequest, ShortHistory, SnapshotCorrupted, UnknownSymbol
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.online import KEEP, ServedFeatures, serve_features
from tests.unit.panels import walk

SPEC = FeatureSpec(symbols=("AAA", "BBB"))
TABLE = build_features(
    pd.concat(
        [walk("AAA", 400), walk("BBB", 260, seed=1), walk("NEW", 20, seed=2)], ignore_index=True
    ),
    SPEC,
)
HOUR = 3_600 * 10**9


def next_days(symbol: str, last: datetime) -> list[datetime]:
    return [last + timedelta(days=day) for day in range(1, 31)]


def serve(**changes) -> ServedFeatures:
    options = {
        "snapshot_id": "0123456789abcdef",
        "dataset": "default",
        "source": "sample",
        "replay": True,
        "synthetic": False,
        "fetched_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "created_at": datetime(2026, 1, 2, 4, tzinfo=UTC),
        "horizon_times": next_days,
    }
    return serve_features(TABLE, SPEC, **(options | changes))


def test_the_last_usable_rows_of_every_symbol_are_kept():
    served = serve()
    assert served.symbols == ("AAA", "BBB", "NEW")
    assert np.diff(served.offsets).tolist() == [KEEP, 8, 0]
    assert served.bars_held.tolist() == [400, 260, 20]
    rows = np.flatnonzero(TABLE.codes == 0)[-KEEP:]
    np.testing.assert_array_equal(served.values[:KEEP], TABLE.values[rows])
    np.testing.assert_array_equal(served.close[:KEEP], TABLE.close[rows])
    np.testing.assert_array_equal(served.scale[:KEEP], TABLE.scale[rows])
    np.testing.assert_array_equal(served.timestamps[:KEEP], TABLE.timestamps[rows])


def test_bytes_carry_everything():
    served = serve()
    back = ServedFeatures.from_bytes(served.to_bytes(), expected_id=served.id)
    for field in dataclasses.fields(ServedFeatures):
        found, was = getattr(back, field.name), getattr(served, field.name)
        if isinstance(was, np.ndarray):
            assert found.dtype == was.dtype, field.name
            np.testing.assert_array_equal(found, was)
        else:
            assert found == was, field.name
    assert back.id == served.id == hashlib.sha256(served.to_bytes()).hexdigest()
    assert FeatureSpec.from_dict(back.spec) == SPEC
    assert not back.values.flags.writeable


def test_equal_content_has_equal_bytes_and_other_content_another_id():
    assert serve().to_bytes() == serve().to_bytes()
    later = serve(created_at=datetime(2026, 1, 2, 5, tzinfo=UTC))
    assert later.id != serve().id


def test_what_stood_in_for_the_source_travels_with_the_features_and_only_then():
    fallen = serve(fallback="yahoo failed: these are the prices fetched on Monday.")
    assert ServedFeatures.from_bytes(fallen.to_bytes()).fallback == fallen.fallback
    assert b"fallback" not in serve().to_bytes()


def test_numpy_reads_the_file_without_pickle():
    with np.load(io.BytesIO(serve().to_bytes()), allow_pickle=False) as archive:
        assert archive["values"].shape == (KEEP + 8, len(SPEC.names))


def test_the_clock_runs_from_the_newest_kept_bar():
    clock = serve().clock
    newest = TABLE.timestamps[TABLE.codes == 0][-1]
    assert clock.last_bar == datetime.fromtimestamp(newest / 1e9, UTC)
    assert clock.replay


def test_a_row_is_looked_up_as_of_an_instant():
    served = serve()
    last = served.last_row("AAA")
    assert last == KEEP - 1
    assert served.row_at("AAA", int(served.timestamps[last])) == last
    assert served.row_at("AAA", int(served.timestamps[last]) - 1) == last - 1
    assert served.row_at("AAA", int(served.timestamps[last]) + 99 * HOUR) == last
    assert served.row_at("BBB", int(served.timestamps[KEEP])) == KEEP


def test_an_instant_before_the_kept_rows_is_refused():
    served = serve()
    with pytest.raises(InvalidRequest, match="oldest row kept of BBB"):
        served.row_at("BBB", int(served.timestamps[KEEP]) - 1)


def test_a_symbol_nobody_serves_is_unknown():
    with pytest.raises(UnknownSymbol, match="'TSLA' is not among its 3"):
        serve().last_row("TSLA")


def test_a_symbol_with_too_few_bars_says_so():
    with pytest.raises(ShortHistory, match="20 bars"):
        serve().last_row("NEW")


def test_target_times_of_an_earlier_row_are_the_bars_that_followed():
    served = serve()
    last = served.last_row("AAA")
    np.testing.assert_array_equal(served.target_times_at("AAA", last), served.target_times[0])
    earlier = served.target_times_at("AAA", last - 2)
    assert earlier.shape == (30,)
    np.testing.assert_array_equal(earlier[:2], served.timestamps[last - 1 : last + 1])
    np.testing.assert_array_equal(earlier[2:], served.target_times[0, :28])


def test_a_panel_without_a_usable_row_is_refused():
    table = build_features(walk(bars=100), SPEC)
    with pytest.raises(ShortHistory, match="none of 1 symbols"):
        serve_features(
            table,
            SPEC,
            snapshot_id="",
            dataset="",
            source="",
            replay=False,
            synthetic=False,
            fetched_at=datetime(2026, 1, 1, tzinfo=UTC),
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            horizon_times=next_days,
        )


SMALL = serve(keep=2)


def test_every_flipped_byte_is_found():
    data = SMALL.to_bytes()
    rng = np.random.default_rng(0)
    places = {*range(0, len(data), 37), *rng.integers(0, len(data), 200).tolist()}
    places |= {*range(60), *range(len(data) - 400, len(data))}
    for place in sorted(places):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(SnapshotCorrupted):
            ServedFeatures.from_bytes(bytes(damaged))


def test_a_truncated_or_padded_file_is_found():
    data = SMALL.to_bytes()
    for damaged in (b"", data[:10], data[: len(data) // 2], data[:-1], data + b"\0", b"PK" + data):
        with pytest.raises(SnapshotCorrupted):
            ServedFeatures.from_bytes(damaged)


def test_a_sound_file_under_another_digest_is_refused():
    with pytest.raises(SnapshotCorrupted, match="expected 00"):
        ServedFeatures.from_bytes(SMALL.to_bytes(), expected_id="00")


def test_pickled_objects_are_refused():
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(SnapshotCorrupted):
        ServedFeatures.from_bytes(buffer.getvalue())


def test_a_shape_that_promises_more_than_there_is_is_refused():
    data = SMALL.to_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members["close.npy"] = members["close.npy"].replace(b"(4,), }   ", b"(999999,),}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    with pytest.raises(SnapshotCorrupted):
        ServedFeatures.from_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"close": SMALL.close[:-1]}, "close has the shape"),
        ({"values": SMALL.values[:, :-1]}, "features are not those"),
        ({"values": SMALL.values[0]}, "features are not those"),
        ({"values": SMALL.values[1:]}, "values has the shape"),
        ({"spec_digest": "0" * 16}, "features are not those"),
        ({"spec": {"sma": [3]}}, "a feature specification has the keys"),
        ({"offsets": SMALL.offsets[::-1].copy()}, "offsets do not divide"),
        ({"timestamps": SMALL.timestamps[::-1].copy()}, "timestamps do not rise"),
        ({"target_times": SMALL.target_times * 0}, "target times do not follow"),
        ({"scale": SMALL.scale * np.nan}, "not finite"),
        ({"scale": SMALL.scale * 0.0}, "a scale is not positive"),
        ({"close": -SMALL.close}, "a close is not positive"),
        ({"symbols": ("AAA", "AAA", "NEW")}, "a symbol stands twice"),
        ({"last_bar": SMALL.created_at}, "last_bar is not the newest row"),
        ({"spec_digest": 7}, "spec_digest is not a str"),
        ({"symbols": ("AAA", 7, "NEW")}, "a symbol is not a text"),
    ],
)
def test_content_that_contradicts_itself_is_refused_by_name(change, fault):
    data = dataclasses.replace(SMALL, **change).to_bytes()
    with pytest.raises(SnapshotCorrupted, match=fault):
        ServedFeatures.from_bytes(data)


def test_the_predictor_side_needs_no_pandas():
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "import numpy as np\n"
        "from forecasting.features.online import ServedFeatures\n"
        "from forecasting.features.build import FeatureSpec, features_of_bars\n"
        "served = ServedFeatures.from_bytes(sys.stdin.buffer.read())\n"
        "spec = FeatureSpec.from_dict(served.spec)\n"
        "rng = np.random.default_rng(0)\n"
        "close = np.exp(np.cumsum(rng.normal(0, 0.01, 300)))\n"
        "bars = np.column_stack((close, close * 1.01, close * 0.99, close, close))\n"
        "values, scale, last = features_of_bars(np.arange(300) * 86400 * 10**9, bars, spec)\n"
        "assert np.isfinite(values).all() and scale > 0\n"
    )
    subprocess.run([sys.executable, "-c", code], input=SMALL.to_bytes(), check=True)
