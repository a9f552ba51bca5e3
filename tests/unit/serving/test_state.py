"""Which version answers, which rows it has, and when they are too old."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.errors import NotReady, ShortHistory, StaleData, UnknownSymbol, UnknownVersion
from serving.state import AgeLimits, Features, ServingState, Version, refuse_if_old
from tests.served_models import SYMBOLS

LIMITS = AgeLimits(stale_after=60.0, refuse_after=3_600.0)


def test_the_newest_row_of_a_symbol_is_found(served):
    newest = served.features.find("AAPL")
    table = served.features.served
    assert newest.row == table.offsets[1] - 1
    assert newest.as_of[0] == table.timestamps[newest.row] // 1_000_000
    assert newest.targets.shape == (1, 30)
    assert set(served.features.newest_rows) == set(SYMBOLS)


def test_an_unknown_symbol_and_a_short_history_are_told_apart(served):
    with pytest.raises(UnknownSymbol, match="AAPL, BTC-USD, MSFT"):
        served.features.find("NOPE")
    features = replace(
        served.features,
        newest_rows={k: v for k, v in served.features.newest_rows.items() if k != "AAPL"},
    )
    offsets = served.features.served.offsets.copy()
    offsets[1:] = offsets[1:] - offsets[1]
    with pytest.raises(ShortHistory):
        replace(features, served=replace(features.served, offsets=offsets)).find("AAPL")


def test_replayed_rows_age_from_their_fetch_and_live_ones_from_their_close(served):
    table = served.features.served
    assert served.features.find("AAPL").age_from == table.fetched_at.timestamp()
    live = type(served.features).of(replace(table, replay=False))
    newest = live.find("AAPL")
    assert newest.age_from == newest.as_of[0] / 1_000
    assert live.age_from == table.last_bar.timestamp()


def test_a_version_needs_features_of_its_own_specification(served, version):
    assert version.fitted() == (served.bundle, served.features)
    assert version.parameters["model_kind"] == "random_walk"
    without = Version.of("1", "", "d", served.bundle, None)
    with pytest.raises(
        NotReady,
        match=f"no features of specification {served.bundle.spec.digest} of data set 'd' yet",
    ):
        without.fitted()
    table = replace(served.features.served, spec_digest="x")
    other = Version.of("1", "", "d", served.bundle, replace(served.features, served=table))
    with pytest.raises(NotReady, match="features of x do not fit specification"):
        other.fitted()


def test_a_version_needs_features_that_tell_when_all_its_bars_close(served):
    table = served.features.served
    short = replace(table, target_times=table.target_times[:, :10])
    version = Version.of("1", "", "d", served.bundle, Features.of(short))
    with pytest.raises(NotReady, match="when 10 bars ahead close, and the version forecasts 30"):
        version.fitted()
    longer = np.hstack([table.target_times, table.target_times + 10**18])
    ready = Version.of(
        "1", "", "d", served.bundle, Features.of(replace(table, target_times=longer))
    )
    assert ready.fitted()[0] is served.bundle


def test_a_bar_past_the_limit_is_refused():
    refuse_if_old(1_000.0, LIMITS, 4_600.0, "the newest bar")
    with pytest.raises(StaleData, match="the newest bar is 3601 s old"):
        refuse_if_old(1_000.0, LIMITS, 4_601.0, "the newest bar")


def test_a_version_is_fresh_as_long_as_its_newest_bar(served, version):
    version.check_fresh(LIMITS, served.features.age_from + 3_600)
    with pytest.raises(StaleData, match="of 'default' is 2 h old"):
        version.check_fresh(LIMITS, served.features.age_from + 7_201)


def test_the_default_version_answers_unless_another_is_named(version):
    state = ServingState({"1": version}, "1", "")
    assert state.find() is version
    assert state.find("1") is version
    with pytest.raises(UnknownVersion, match="Loaded: 1"):
        state.find("2")
    with pytest.raises(NotReady, match="nothing was looked for yet"):
        ServingState().find()
