"""The rollout history keeps every split in order, whoever writes, and opens nothing before it is asked."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from forecasting.adapters.registry.rollout_history import RolloutHistory
from forecasting.errors import Unavailable
from forecasting.rollout.traffic import Traffic

DIGESTS = {3: "a" * 64, 4: "b" * 64}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


def test_a_split_comes_back_as_it_was_written_and_the_newest_first(url, clock):
    with closing(RolloutHistory(url)) as history:
        first = history.add("m", Traffic({3: 100}, (3,)), who="ada", why="first version")
        second = history.add(
            "m", Traffic({4: 10, 3: 90}, (3, 2)), who="rollout", why="step", digests=DIGESTS
        )
        history.add("other", Traffic({1: 100}, (1,)), who="ada", why="another model")
        assert history.changes("m") == [second, first]
        assert history.changes("m", last=1) == [second]
    assert (first.number, second.number, second.at) == (1, 2, clock.now)
    assert (second.traffic.stable, second.traffic.canaries, second.digests) == (3, (4,), DIGESTS)


def test_writers_at_once_all_get_a_number_of_their_own(url):
    def write(who):
        with closing(RolloutHistory(url)) as history:
            return history.add("m", Traffic({1: 100}, (1,)), who=str(who), why="").number

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(write, range(4))) == [1, 2, 3, 4]


def test_where_the_database_is_is_found_out_at_the_first_call(url):
    asked = []

    def found():
        asked.append(url)
        return url

    with closing(RolloutHistory(found)) as history:
        assert asked == []
        assert history.changes("m") == []
        assert history.changes("m") == []
    assert asked == [url]


def test_a_database_that_is_not_there_is_said(tmp_path):
    with (
        closing(RolloutHistory(f"sqlite:///{tmp_path}")) as history,
        pytest.raises(Unavailable, match="the rollout history's database must answer"),
    ):
        history.changes("m")
