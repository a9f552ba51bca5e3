"""Who asks the page, and what he may do there: look, start trainings, or choose what they learn from."""

import ipaddress
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from forecasting.errors import Forbidden, InvalidSettings
from forecasting.settings import Settings

EVERYBODY: Final = "*"
NOBODY: Final = "-"
"""Stands for no name in a setting: an empty variable is one that was not set."""
_NAME: Final = re.compile(r"[\w.@+][\w.@+ -]{0,63}")
"""A user's name: it becomes an argument of the training, and part of the audit trail."""


class Role(IntEnum):
    """What somebody may do; each may do what those before it may."""

    NOBODY = 0
    READER = 1
    TRAINER = 2
    OPERATOR = 3


class Person(NamedTuple):
    """Somebody who asks.

    Attributes:
        name: as the login knows him, for the audit trail.
        role: what he may do.
    """

    name: str
    role: Role


class Headers(Protocol):
    """The headers of a request, as Starlette gives them."""

    def getlist(self, key: str) -> list[str]:
        """Every value of a header."""


@dataclass(frozen=True)
class Access:
    """Says who may do what.

    Attributes:
        user: name of whoever asks where no login says it.
        unnamed: what somebody without a name may do.
        header: header in which a login before the page names its user; "" for none.
        roles: names of each role's users; EVERYBODY stands for whoever has a name.
    """

    user: str
    unnamed: Role
    header: str
    roles: dict[Role, frozenset[str]]

    @classmethod
    def of(cls, settings: Settings) -> "Access":
        """What the settings say.

        Without a login everybody may do everything where only this machine reaches the page, and
        nobody more than look where others do.

        Raises:
            InvalidSettings: a header without a login, or names that nobody tells the page.
        """
        roles = {
            Role.READER: _names(settings.page_readers),
            Role.TRAINER: _names(settings.page_trainers),
            Role.OPERATOR: _names(settings.page_operators),
        }
        if settings.page_user_header and not settings.page_login:
            raise InvalidSettings(
                "BELLWETHER_PAGE_USER_HEADER needs a login before the page",
                settings.page_user_header,
                "Set BELLWETHER_PAGE_LOGIN, if a proxy there asks for one and writes this header",
            )
        named = sorted(set().union(*roles.values()) - {EVERYBODY})
        if named and not settings.page_user_header:
            raise InvalidSettings(
                "roles by name need a header with the user's name",
                f"{', '.join(named)}, and no BELLWETHER_PAGE_USER_HEADER",
                "Name the header that the login before the page writes, or leave the roles out",
            )
        if settings.page_login:
            unnamed = Role.NOBODY if settings.page_user_header else _role(EVERYBODY, roles)
        else:
            unnamed = Role.OPERATOR if is_loopback(settings.page_host) else Role.READER
        return cls(settings.page_user, unnamed, settings.page_user_header, roles)

    def person(self, headers: Headers) -> Person:
        """Who asks, by the headers of the request."""
        given = headers.getlist(self.header) if self.header else []
        if len(given) != 1 or not _NAME.fullmatch(given[0]):
            return Person(self.user, self.unnamed)
        return Person(given[0], _role(given[0], self.roles))

    def require(self, headers: Headers, role: Role) -> Person:
        """Who asks, if he may do what this role may.

        Raises:
            Forbidden: he may not.
        """
        person = self.person(headers)
        if person.role < role:
            may = person.role.name.lower()
            raise Forbidden(
                f"this takes the role {role.name.lower()}",
                f"{person.name!r} has the role {may}",
                "Ask whoever runs this page (page.roles of the chart)",
            )
        return person


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip()) - {NOBODY}


def _role(name: str, roles: dict[Role, frozenset[str]]) -> Role:
    fitting = [role for role, names in roles.items() if names & {name, EVERYBODY}]
    return max(fitting, default=Role.NOBODY)
