"""The promotion ledger on a real PostgreSQL server: the same words, the same single winner."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import create_engine, make_url

from forecasting.adapters.databases import make_database
from forecasting.adapters.registry.ledger import DONE, Ledger
from forecasting.errors import InvalidSettings, PromotionConflict
from tests.unit.forecasting.adapters.registry.test_ledger import OF_78929E3, ROW_OF_78929E3

pytestmark = pytest.mark.integration


def test_of_forty_promoters_exactly_one_wins_each_round(postgres_url):
    ledgers = [Ledger(postgres_url) for _ in range(8)]
    champion = ""

    def rival(number, expected):
        try:
            claimed = ledgers[number % 8].claim(
                "race", expected=expected, to_version=f"{expected}{number},", who="ada", why="race"
            )
        except PromotionConflict:
            return None
        ledgers[number % 8].settle(claimed)
        return claimed.to_version

    for _ in range(3):
        with ThreadPoolExecutor(16) as pool:
            won = [name for name in pool.map(rival, range(40), [champion] * 40) if name]
        assert len(won) == 1
        champion = won[0]
    history = ledgers[0].history("race")
    assert [(row.number, row.state) for row in history] == [(3, DONE), (2, DONE), (1, DONE)]
    assert history[0].to_version == champion
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize("words", [{"who": "a\0b"}, {"who": "a" * 300}, {"why": "\0"}])
def test_words_that_postgresql_does_not_take_are_not_reported_as_an_outage(postgres_url, words):
    ledger = Ledger(postgres_url)
    given = {"who": "ada", "why": "skill"} | words
    with pytest.raises(InvalidSettings, match="words that the ledger's database takes"):
        ledger.claim("words", expected="", to_version="1", **given)
    assert ledger.head("words") is None
    ledger.close()


def test_a_ledger_of_before_signatures_is_upgraded_by_whoever_opens_it_first(postgres_url):
    url = make_url(postgres_url).set(database=f"ledger_{uuid.uuid4().hex[:12]}")
    own = url.render_as_string(hide_password=False)
    make_database(own)
    engine = create_engine(own)
    with engine.begin() as connection:
        connection.exec_driver_sql(OF_78929E3)
        connection.exec_driver_sql(ROW_OF_78929E3.format(number=1))
    engine.dispose()

    def read(_):
        with closing(Ledger(own)) as ledger:
            return ledger.head("bellwether")

    with ThreadPoolExecutor(8) as pool:
        heads = list(pool.map(read, range(16)))
    assert {(head.to_version, head.signer) for head in heads} == {("1", "")}
    with closing(Ledger(own)) as ledger:
        ledger.claim(
            "bellwether", expected="1", to_version="2", who="ada", why="skill", signer="e" * 64
        )
        assert ledger.head("bellwether").signer == "e" * 64
