"""The promotion ledger on a real PostgreSQL server: the same words, the same single winner."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from forecasting.adapters.registry.ledger import DONE, Ledger
from forecasting.errors import PromotionConflict

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
