"""Approvals stay as they were written, and count for one version and its files alone."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from forecasting.adapters.registry.approvals import MAX_NAME, MAX_REASON, Approvals
from forecasting.adapters.registry.ledger import Ledger
from forecasting.errors import BundleRejected, InvalidSettings, Unavailable

DIGEST, OTHER = "d" * 64, "e" * 64
BY_ANN = {"who": "ann", "why": "looked at the report", "via": "command"}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def approvals(url):
    with closing(Approvals(url)) as opened:
        yield opened


def test_an_approval_says_who_when_and_why(approvals):
    given = approvals.give("bellwether", "4", DIGEST, **BY_ANN)
    assert approvals.find("bellwether", "4", DIGEST) == given
    assert (given.number, given.who, given.why, given.via) == (
        1,
        "ann",
        "looked at the report",
        "command",
    )
    assert given.at.tzinfo is not None
    assert approvals.newest("bellwether") == given


def test_an_approval_is_for_one_version_with_its_files(approvals):
    approvals.give("bellwether", "4", DIGEST, **BY_ANN)
    assert approvals.find("bellwether", "4", OTHER) is None
    assert approvals.find("bellwether", "5", DIGEST) is None
    assert approvals.find("other", "4", DIGEST) is None


def test_a_second_approval_is_a_row_more(approvals):
    approvals.give("bellwether", "4", DIGEST, **BY_ANN)
    again = approvals.give("bellwether", "4", DIGEST, **{**BY_ANN, "who": "bob"})
    assert (again.number, approvals.find("bellwether", "4", DIGEST).who) == (2, "bob")


def test_of_many_who_approve_at_once_each_is_written(url):
    def approve(number):
        with closing(Approvals(url)) as opened:
            return opened.give("race", str(number % 3), DIGEST, **BY_ANN).number

    approve(0)
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(approve, range(24))) == list(range(2, 26))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"why": "  "}, "a reason of 1 to"),
        ({"why": "x" * (MAX_REASON + 1)}, "2001 characters"),
        ({"who": ""}, "a name of 1 to"),
        ({"who": "a" * (MAX_NAME + 1)}, "a name of 1 to"),
        ({"who": "a\0b"}, "printable"),
    ],
)
def test_an_approval_without_a_name_or_a_reason_is_refused(approvals, words, said):
    with pytest.raises(InvalidSettings, match=said):
        approvals.give("bellwether", "4", DIGEST, **{**BY_ANN, **words})
    assert approvals.newest("bellwether") is None


def test_a_version_without_a_digest_cannot_be_approved(approvals):
    with pytest.raises(BundleRejected, match="64 lower-case hexadecimal"):
        approvals.give("bellwether", "4", "", **BY_ANN)


def test_the_ledger_of_promotions_is_untouched(url, approvals):
    with closing(Ledger(url)) as ledger:
        approvals.give("bellwether", "4", DIGEST, **BY_ANN)
        assert ledger.head("bellwether") is None


def test_a_database_that_is_down_is_said():
    with (
        closing(Approvals("postgresql+psycopg://nobody@127.0.0.1:1/none")) as opened,
        pytest.raises(Unavailable, match="ledger's database must answer"),
    ):
        opened.find("bellwether", "4", DIGEST)
