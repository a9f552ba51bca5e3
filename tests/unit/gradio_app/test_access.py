"""Who asks the page, by the header that a login wrote, and what he may do."""

import pytest
from starlette.datastructures import Headers

from forecasting.errors import Forbidden, InvalidSettings
from forecasting.settings import Settings
from gradio_app.access import Access, Person, Role, is_loopback

ROLES = {
    "page_login": True, "page_user_header": "X-User",
    "page_readers": "*", "page_trainers": "tom, tina@example.org", "page_operators": "olga",
}  # fmt: skip


def headers(*names):
    return Headers(raw=[(b"x-user", name.encode("latin-1")) for name in names])


def role(*names, **changes):
    return Access.of(Settings(**{**ROLES, **changes})).person(headers(*names)).role


@pytest.mark.parametrize(
    ("name", "may"),
    [("rita", Role.READER), ("tom", Role.TRAINER), ("tina@example.org", Role.TRAINER),
     ("olga", Role.OPERATOR), ("Tom", Role.READER)],
)  # fmt: skip
def test_a_name_has_the_highest_role_that_names_it(name, may):
    assert role(name) == may


def test_who_is_in_no_list_may_not_even_look():
    assert role("rita", page_readers="ruth") == Role.NOBODY
    assert role("olga", page_readers="") == Role.OPERATOR


@pytest.mark.parametrize(
    "names", [(), ("",), ("olga", "olga"), ("tom", "olga"), ("*",), ("o" * 65,), ("olga\t",),
              ("-olga",), ("{{olga}}",), ("olga,tom",)],
)  # fmt: skip
def test_what_is_no_one_name_is_nobody(names):
    assert role(*names) == Role.NOBODY
    assert role(*names, page_operators="*") == Role.NOBODY


@pytest.mark.parametrize(
    ("host", "login", "may"),
    [("127.0.0.1", False, Role.OPERATOR), ("::1", False, Role.OPERATOR),
     ("localhost", False, Role.OPERATOR), ("0.0.0.0", False, Role.READER),
     ("::", False, Role.READER), ("10.0.0.7", False, Role.READER), ("page", False, Role.READER),
     ("0.0.0.0", True, Role.OPERATOR)],
)  # fmt: skip
def test_without_names_what_one_may_depends_on_who_can_reach_the_page(host, login, may):
    access = Access.of(Settings(page_host=host, page_login=login))
    assert access.person(headers("olga")) == Person("page", may)


def test_a_login_without_names_may_be_for_looking_only():
    settings = Settings(page_host="0.0.0.0", page_login=True, page_trainers="", page_operators="")
    assert Access.of(settings).person(headers()).role == Role.READER


def test_who_may_not_is_told_what_it_takes():
    access = Access.of(Settings(**ROLES))
    assert access.require(headers("olga"), Role.TRAINER) == Person("olga", Role.OPERATOR)
    with pytest.raises(Forbidden, match="takes the role trainer: 'rita' has the role reader"):
        access.require(headers("rita"), Role.TRAINER)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"page_login": False}, "BELLWETHER_PAGE_USER_HEADER needs a login"),
     ({"page_user_header": ""}, "roles by name need a header.*olga, tina@example.org, tom")],
)  # fmt: skip
def test_names_that_nobody_vouches_for_are_refused(changes, words):
    with pytest.raises(InvalidSettings, match=words):
        Access.of(Settings(**{**ROLES, **changes}))


def test_the_loopback_is_known_by_address_and_name():
    assert [is_loopback(h) for h in ("127.1.2.3", "::1", "localhost", "::", "example.org")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_an_empty_list_of_the_chart_is_nobody_as_a_variable_too(monkeypatch):
    for name in ("TRAINERS", "OPERATORS"):
        monkeypatch.setenv(f"BELLWETHER_PAGE_{name}", "-")
    access = Access.of(Settings(page_host="0.0.0.0", page_login=True))
    assert access.person(headers()).role == Role.READER
