"""The ledger lets exactly one rival win, and remembers everything."""

import itertools
import multiprocessing
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from forecasting.adapters.registry.ledger import DONE, PENDING, Ledger
from forecasting.errors import PromotionConflict, Unavailable
from tests.time_limits import seconds


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'deep' / 'ledger.sqlite'}"


@pytest.fixture
def ledger(url):
    ledger = Ledger(url)
    yield ledger
    ledger.close()


def test_a_new_ledger_knows_no_champion(ledger):
    assert ledger.head("bellwether") is None
    assert ledger.history("bellwether") == []


def test_opening_a_ledger_touches_nothing(tmp_path):
    Ledger(f"sqlite:///{tmp_path / 'deep' / 'ledger.sqlite'}")
    assert list(tmp_path.iterdir()) == []


def test_a_claim_is_pending_until_it_is_settled(ledger, clock):
    claimed = ledger.claim("bellwether", expected="", to_version="1", who="ada", why="the default")
    assert (claimed.number, claimed.from_version, claimed.to_version) == (1, "", "1")
    assert ledger.head("bellwether").state == PENDING
    ledger.settle(claimed)
    ledger.settle(claimed)
    head = ledger.head("bellwether")
    assert head.state == DONE
    assert (head.who, head.why) == ("ada", "the default")
    assert head.at == clock.now


def test_a_claim_against_a_champion_of_yesterday_is_a_conflict_and_writes_nothing(ledger):
    ledger.claim("bellwether", expected="", to_version="1", who="ada", why="first")
    ledger.claim("bellwether", expected="1", to_version="2", who="ada", why="better")
    with pytest.raises(PromotionConflict, match="version 1 was expected, version 2 is champion"):
        ledger.claim("bellwether", expected="1", to_version="3", who="bob", why="better still")
    assert [row.to_version for row in ledger.history("bellwether")] == ["2", "1"]


def test_models_do_not_share_a_history(ledger):
    ledger.claim("bellwether", expected="", to_version="1", who="ada", why="first")
    other = ledger.claim("other", expected="", to_version="9", who="ada", why="first")
    assert other.number == 1
    assert ledger.head("bellwether").to_version == "1"


def test_a_database_that_is_not_there_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("not a database, and not a folder")
    (tmp_path / "text.sqlite").write_text("this is not an SQLite file at all, it is prose\n" * 40)
    with pytest.raises(Unavailable, match="must answer"):
        Ledger(f"sqlite:///{tmp_path / 'text.sqlite'}").head("bellwether")


def test_a_password_is_never_part_of_an_error():
    ledger = Ledger("postgresql+psycopg://ada:geheim@127.0.0.1:1/none?connect_timeout=1")
    with pytest.raises(Unavailable) as caught:
        ledger.head("bellwether")
    assert "geheim" not in str(caught.value)


def _rival(url, expected, to_version):
    ledger = Ledger(url)
    try:
        ledger.settle(
            ledger.claim(
                "bellwether", expected=expected, to_version=to_version, who=to_version, why=""
            )
        )
    except PromotionConflict:
        return None
    else:
        return to_version
    finally:
        ledger.close()


def _rivals_in_a_process(url, expected, names, queue):
    with ThreadPoolExecutor(len(names)) as pool:
        queue.put(list(pool.map(lambda name: _rival(url, expected, name), names)))


def test_of_a_hundred_promoters_in_four_processes_exactly_one_wins_each_round(url, ledger):
    context = multiprocessing.get_context("spawn")
    champion, rounds = "", 3
    for round_number in range(rounds):
        queue = context.Queue()
        names = [[f"{round_number}-{p}-{t}" for t in range(25)] for p in range(4)]
        processes = [
            context.Process(target=_rivals_in_a_process, args=(url, champion, group, queue))
            for group in names
        ]
        for process in processes:
            process.start()
        results = [name for _ in processes for name in queue.get(timeout=seconds(60))]
        for process in processes:
            process.join(timeout=seconds(30))
            assert process.exitcode == 0
        winners = [name for name in results if name]
        assert len(results) == 100
        assert len(winners) == 1
        head = ledger.head("bellwether")
        assert (head.from_version, head.to_version, head.state) == (champion, winners[0], DONE)
        champion = winners[0]
    history = ledger.history("bellwether")
    assert [row.number for row in history] == [3, 2, 1]
    assert all(
        newer.from_version == older.to_version for newer, older in itertools.pairwise(history)
    )


OF_78929E3 = """
CREATE TABLE promotions (
    model VARCHAR(200) NOT NULL, number INTEGER NOT NULL, from_version VARCHAR(20) NOT NULL,
    to_version VARCHAR(20) NOT NULL, who VARCHAR(200) NOT NULL, at VARCHAR(40) NOT NULL,
    why TEXT NOT NULL, state VARCHAR(10) NOT NULL, PRIMARY KEY (model, number)
)"""
"""The table as commit 78929e3 made it."""
ROW_OF_78929E3 = (
    "INSERT INTO promotions (model, number, from_version, to_version, who, at, why, state) "
    "VALUES ('bellwether', {number}, '', '1', 'ada', '2026-01-02T03:04:05+00:00', 'it is', 'done')"
)


def test_a_ledger_of_before_signatures_is_upgraded_when_it_is_opened(url, tmp_path):
    (tmp_path / "deep").mkdir()
    with closing(sqlite3.connect(tmp_path / "deep" / "ledger.sqlite")) as old:
        old.execute(OF_78929E3)
        old.execute(ROW_OF_78929E3.format(number=1))
        old.commit()
        with closing(Ledger(url)) as ledger:
            head = ledger.head("bellwether")
            assert (head.to_version, head.bundle_digest, head.signer) == ("1", "", "")
            ledger.claim(
                "bellwether", expected="1", to_version="2", who="ada", why="skill",
                bundle_digest="d" * 64, signer="e" * 64,
            )  # fmt: skip
            head = ledger.head("bellwether")
            assert (head.bundle_digest, head.signer) == ("d" * 64, "e" * 64)
        # And an earlier release writes to it still.
        old.execute(ROW_OF_78929E3.format(number=3))
        old.commit()
        with closing(Ledger(url)) as ledger:
            assert ledger.head("bellwether").signer == ""


def test_many_who_open_an_old_ledger_at_once_upgrade_it_once(url, tmp_path):
    (tmp_path / "deep").mkdir()
    with closing(sqlite3.connect(tmp_path / "deep" / "ledger.sqlite")) as old:
        old.execute(OF_78929E3)
        old.execute(ROW_OF_78929E3.format(number=1))
        old.commit()

    def read(_):
        with closing(Ledger(url)) as ledger:
            return ledger.head("bellwether").to_version

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(16))) == {"1"}
