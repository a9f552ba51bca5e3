"""Of the prediction log every forecast is read once, whatever its repeats: against a plain loop."""

import itertools
import random

import numpy as np
import pytest
from sqlalchemy import create_engine

from forecasting.adapters.databases import Database
from forecasting.adapters.prediction_log.batches import BatchWriter
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.prediction_log.queries import each_once
from forecasting.adapters.prediction_log.rows import for_outcomes, rows_of, table
from forecasting.live.outcomes import PricePath, forecast_rows, mature
from forecasting.live.scores import score
from tests.unit.forecasting.adapters.prediction_log.test_log import DAY, ORIGIN, answered

BARS = 40


def write(url, answers):
    """Write answers as the log's own writer does, without its queue."""
    database = Database(url, often=True)
    writer = BatchWriter(database, lambda _outcome, _rows: None)
    rows = (row for answer in answers for row in rows_of(answer))
    while batch := list(itertools.islice(rows, 1_000)):
        assert writer.write(batch) == []
    database.close()


def a_walk(bars=BARS):
    """A price path of daily bars whose first one closed at ORIGIN."""
    moves = np.random.default_rng(3).normal(0, 0.02, bars)
    stamps = (ORIGIN + DAY * np.arange(bars)) * 10**6
    return PricePath(stamps, np.log(100) + np.cumsum(moves), np.full(bars, 0.02))


def asked(repeats):
    """Answers as of every bar: the first bar's is asked for so many times more."""
    path = a_walk()
    for bar in range(BARS):
        steps = np.arange(1, 6)
        widths = np.sqrt(steps)[:, None] * np.array([-0.04, -0.02, 0.001, 0.02, 0.04])
        close = np.exp(path.log_prices[bar])
        answer = answered(
            "A",
            horizon=5,
            as_of=np.array([ORIGIN + DAY * bar]),
            made_at=(ORIGIN + DAY * bar) / 1_000 + 60,
            last_close=np.array([close]),
            quantiles=(close * np.exp(widths))[None],
            target_times=(ORIGIN + DAY * (bar + steps))[None],
            renderings={},
        )
        for repeat in range(repeats if bar == 0 else 1):
            yield answer._replace(made_at=answer.made_at + repeat)


def scored(url):
    """Realised scores of what a log holds."""
    log = PredictionLog(url)
    rows, damaged = forecast_rows(map(for_outcomes, log.each_once()), (1, 5))
    log.close()
    assert damaged == 0
    spread = np.sqrt(np.arange(1, 6))[:, None] * np.array([-1.6, -0.7, 0, 0.7, 1.6])
    return score(mature(rows, {"A": a_walk()}), {("3", 0): spread})


def check_that_repeats_change_no_score(few_url, many_url, many):
    write(few_url, asked(10))
    write(many_url, asked(many))
    few = scored(few_url)
    assert {(one.horizon, one.matured) for one in few} == {(1, BARS - 1), (5, BARS - 5)}
    assert scored(many_url) == few


def check_against_a_plain_loop(url, seed):
    """Rows of few keys, drawn at random: each horizon's first row is there, and no other."""
    chance = random.Random(seed)
    drawn = [
        answered(
            chance.choice("AB"),
            model_version=chance.choice("34"),
            as_of=np.array([ORIGIN + DAY * chance.randrange(3)]),
            horizon=chance.randrange(1, 6),
            made_at=ORIGIN / 1_000 + chance.randrange(40),
            request_id=str(number),
        )
        for number in range(400)
    ]
    write(url, drawn)
    log = PredictionLog(url)
    found = list(log.each_once())
    log.close()
    earliest = {}
    for one in drawn:
        for horizon in range(1, one.quantiles.shape[1] + 1):
            key = (one.model_version, one.symbols[0], int(one.as_of[0]), horizon)
            earliest[key] = min(one.made_at, earliest.get(key, np.inf))
    read = {}
    for row in found:
        for horizon in range(1, row.horizon + 1):
            as_of = int(row.as_of.timestamp() * 1_000)
            read.setdefault((row.model_version, row.symbol, as_of, horizon), row)
    assert {key: row.made_at.timestamp() for key, row in read.items()} == earliest
    assert {row.id for row in read.values()} == {row.id for row in found}


def test_repeats_change_neither_coverage_nor_skill(tmp_path):
    few, many = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("few", "many"))
    check_that_repeats_change_no_score(few, many, 5_000)


@pytest.mark.parametrize("seed", range(5))
def test_the_first_row_of_every_horizon_is_read_and_no_other(tmp_path, seed):
    check_against_a_plain_loop(f"sqlite:///{tmp_path / 'log.sqlite'}", seed)


def test_the_statement_needs_no_order_of_ids(tmp_path):
    url = f"sqlite:///{tmp_path / 'log.sqlite'}"
    write(url, [answered("A", made_at=10.0 + number) for number in range(3)])
    engine = create_engine(url)
    with engine.begin() as connection:
        # As a release wrote them whose ids were random.
        connection.exec_driver_sql("UPDATE predictions SET id = 'z' WHERE made_at = 10000")
        rows = connection.execute(each_once([table().c.symbol == "A"])).mappings().all()
    engine.dispose()
    assert [(row["id"], row["made_at"]) for row in rows] == [("z", 10_000)]


@pytest.mark.parametrize(("replay", "late"), [(False, [True, True, False]), (True, [False] * 3)])
def test_a_forecast_is_made_on_the_clock_of_its_prices(tmp_path, replay, late):
    url = f"sqlite:///{tmp_path / 'log.sqlite'}"
    write(url, [answered("A", horizon=3, made_at=(ORIGIN + 2 * DAY) / 1_000, replay=replay)])
    rows, _ = forecast_rows(map(for_outcomes, PredictionLog(url).each_once()), (1, 2, 3))
    assert rows.late.tolist() == late
