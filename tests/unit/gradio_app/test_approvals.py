"""An operator approves on the page under the name of his login; nobody else does, and nothing else."""

from contextlib import closing
from html import unescape
from types import SimpleNamespace

import gradio as gr
import pytest
from starlette.datastructures import Headers

from forecasting.adapters.registry.approvals import Approvals
from forecasting.adapters.registry.ledger import Ledger
from forecasting.errors import RegistryUnavailable, ServerUnavailable
from gradio_app.access import Access, Role
from gradio_app.approvals import ApprovalDesk
from tests.unit.gradio_app import page_records

DIGEST = "d" * 64


def text_of(html):
    """A view's words, as a browser shows them."""
    return unescape(page_records.text_of(html))


ROLES = {
    Role.READER: frozenset({"*"}),
    Role.TRAINER: frozenset({"tom"}),
    Role.OPERATOR: frozenset({"olga"}),
}
BEHIND_A_LOGIN = Access("page", Role.NOBODY, "x-user", ROLES)
WITHOUT_A_LOGIN = Access("page", Role.OPERATOR, "", {})
SEEN = ("4", DIGEST)


class Platform:
    """What the page asks: version 4 is champion, version 3 is served."""

    def __init__(self, ledger):
        self.settings = SimpleNamespace(registered_model="bellwether")
        self.ledger, self.champion, self.digest = ledger, "4", DIGEST
        self.served = ["3"]
        self.registry = SimpleNamespace(aliases=self._aliases, version=self._version)
        self.client = SimpleNamespace(metadata=self._metadata)

    def _aliases(self):
        if isinstance(self.champion, Exception):
            raise self.champion
        return {"champion": self.champion} if self.champion else {}

    def _version(self, number):
        return SimpleNamespace(checked_digest=self.digest)

    def _metadata(self):
        if self.served is None:
            raise ServerUnavailable("the server must be reachable")
        return {"versions": self.served}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def platform(url):
    with closing(Ledger(url)) as ledger:
        row = ledger.claim("bellwether", expected="", to_version="4", who="training", why="skill")
        ledger.settle(row)
        yield Platform(ledger)


@pytest.fixture
def approvals(url):
    with closing(Approvals(url)) as opened:
        yield opened


@pytest.fixture
def desk(platform, approvals):
    return ApprovalDesk(platform, approvals, BEHIND_A_LOGIN)


def by(name):
    return gr.Request(headers=Headers({"x-user": name} if name else {}))


def test_who_may_approve_sees_how_and_who_may_not_sees_who_can(desk):
    for name, may in (("olga", True), ("tom", False), ("rita", False)):
        view, row, _, seen = desk.show(by(name))
        assert "Version 4 waits for a person's approval" in text_of(view)
        assert row["visible"] is may
        assert seen == (SEEN if may else None)


def test_an_operators_approval_stands_in_the_ledger_under_the_name_of_the_login(desk, approvals):
    view, row, reason, seen = desk.approve("read the report", SEEN, by("olga"))
    assert "olga approved it on" in text_of(view)
    assert (row["visible"], reason["value"], seen) == (False, "", None)
    given = approvals.find("bellwether", "4", DIGEST)
    assert (given.who, given.why, given.via) == ("olga", "read the report", "page")


@pytest.mark.parametrize("name", ["tom", "rita", "", "olga, tom"])
def test_nobody_else_approves_whatever_he_sends(desk, approvals, name):
    view, *_ = desk.approve("please", SEEN, by(name))
    assert "You may not do this here" in text_of(view)
    assert approvals.newest("bellwether") is None
    assert desk.approve("please", None, by(name))[1]["visible"] is False


def test_without_a_login_that_names_a_person_nobody_approves_on_the_page(platform, approvals):
    desk = ApprovalDesk(platform, approvals, WITHOUT_A_LOGIN)
    assert desk.show(by(""))[1]["visible"] is False
    view, *_ = desk.approve("please", SEEN, by("olga"))
    assert "no login tells this page who asks" in text_of(view)
    assert approvals.newest("bellwether") is None


def test_an_approval_needs_a_reason_and_the_form_stays(desk, approvals):
    view, row, _, seen = desk.approve("  ", SEEN, by("olga"))
    assert "needs a reason" in text_of(view)
    assert (row["visible"], seen) == (True, SEEN)
    assert approvals.newest("bellwether") is None


@pytest.mark.parametrize("seen", [("3", DIGEST), ("4", "e" * 64), None])
def test_what_is_approved_is_what_was_seen_to_wait(desk, approvals, seen):
    view, *_ = desk.approve("good", seen, by("olga"))
    assert "what is approved must be what waits" in text_of(view).lower()
    assert approvals.newest("bellwether") is None


def test_a_champion_that_only_the_registry_names_cannot_be_approved(desk, platform, approvals):
    platform.champion = "9"
    assert "the registry names version 9, the ledger 4" in text_of(desk.show(by("olga"))[0])
    desk.approve("good", ("9", DIGEST), by("olga"))
    assert approvals.newest("bellwether") is None


@pytest.mark.parametrize(
    ("champion", "served"), [("4", ["4"]), (None, ["3"])], ids=["it is served", "there is none"]
)
def test_where_nothing_waits_nothing_is_shown(desk, platform, champion, served):
    platform.champion, platform.served = champion, served
    assert desk.show(by("olga"))[0] == ""


def test_a_server_that_does_not_answer_serves_nothing(desk, platform):
    platform.served = None
    assert "waits for a person's approval" in text_of(desk.show(by("olga"))[0])


def test_a_registry_that_is_away_and_a_defect_are_told_in_words(desk, platform):
    platform.champion = RegistryUnavailable("MLflow must be reachable", "it is away")
    assert "The model registry does not answer" in text_of(desk.show(by("olga"))[0])
    platform.champion = ZeroDivisionError()
    assert "Something went wrong on this page" in text_of(desk.show(by("olga"))[0])
