"""The part of the models tab where an operator approves the version that waits for its first requests."""

import logging
from contextlib import suppress
from typing import Any, NamedTuple

import gradio as gr

from forecasting.adapters.registry.approvals import PAGE, Approval, Approvals
from forecasting.adapters.registry.records import CHAMPION
from forecasting.errors import BellwetherError, Forbidden, UnknownVersion
from gradio_app.access import Access, Headers, Person, Role
from gradio_app.data import PageData
from gradio_app.notices import Notice, notice_of
from gradio_app.views.approval import approved, waits
from gradio_app.views.elements import notice

_LOG = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """A champion without requests.

    Attributes:
        version: its number.
        digest: of its bundle: what a person approves.
        approval: who let it have requests; None while it waits.
        ledger: the ledger's champion, where it is another one; "" otherwise.
    """

    version: str
    digest: str
    approval: Approval | None
    ledger: str = ""


class ApprovalDesk:
    """Shows which version waits, and writes an operator's approval.

    Args:
        data: what the page asks.
        approvals: of the ledger.
        access: who may do what.
    """

    def __init__(self, data: PageData, approvals: Approvals, access: Access) -> None:
        self._data, self._approvals, self._access = data, approvals, access

    def show(self, request: gr.Request) -> list[Any]:
        """What waits, the controls for who may approve it, an empty reason, and what they approve."""
        try:
            return self._shown(self._access.person(request.headers))
        except Exception as error:  # noqa: BLE001 - a reader sees no stack trace, the log does
            return self._failed(error)

    def approve(self, why: str, seen: tuple[str, str] | None, request: gr.Request) -> list[Any]:
        """Approve what the reader saw waiting.

        Args:
            why: his reason.
            seen: version and digest that the page showed him.
            request: says who he is.
        """
        try:
            person = self._approver(request.headers)
            self._approve(person, why, seen)
            return self._shown(person)
        except Exception as error:  # noqa: BLE001
            return self._failed(error, seen)

    def waiting(self) -> Waiting | None:
        """The champion, while users do not get it; None when they do, or there is none.

        Raises:
            RegistryUnavailable, Unavailable: registry or ledger cannot be reached.
        """
        registry, model = self._data.registry, self._data.settings.registered_model
        number = registry.aliases().get(CHAMPION)
        if number is None or number in self._served():
            return None
        digest = registry.version(number).checked_digest
        head = self._data.ledger.head(model)
        other = head.to_version if head and head.to_version != number else ""
        return Waiting(number, digest, self._approvals.find(model, number, digest), other)

    def close(self) -> None:
        """Close the connections."""
        self._approvals.close()

    def _served(self) -> list[str]:
        """The version that answers now; a server that does not tell serves none."""
        with suppress(BellwetherError):
            return [str(version) for version in self._data.client.metadata().get("versions") or ()]
        return []

    def _approver(self, headers: Headers) -> Person:
        if not self._access.header:
            raise Forbidden(
                "an approval has the name that a person logged in with",
                "no login tells this page who asks",
                'Approve by command: bellwether rollout approve champion --why "REASON"',
            )
        return self._access.require(headers, Role.OPERATOR)

    def _approve(self, person: Person, why: str, seen: tuple[str, str] | None) -> None:
        waiting = self.waiting()
        if waiting is None or seen is None or (waiting.version, waiting.digest) != tuple(seen):
            raise UnknownVersion(
                "what is approved must be what waits",
                f"you saw version {seen[0]}" if seen else "nothing was shown to you",
                "Look at what waits now, and decide again",
            )
        if waiting.ledger:
            raise Forbidden(*_disagreement(waiting))
        self._approvals.give(
            self._data.settings.registered_model,
            *(waiting.version, waiting.digest),
            who=person.name,
            why=why,
            via=PAGE,
        )

    def _shown(self, person: Person) -> list[Any]:
        waiting = self.waiting()
        if waiting is None:
            return ["", gr.update(visible=False), gr.update(value=""), None]
        if waiting.ledger:
            return self._failed(Forbidden(*_disagreement(waiting)))
        if waiting.approval is not None:
            view = approved(waiting.approval)
            return [view, gr.update(visible=False), gr.update(value=""), None]
        may = bool(self._access.header) and person.role >= Role.OPERATOR
        return [
            waits(waiting.version, waiting.digest, may=may),
            gr.update(visible=may),
            gr.update(value=""),
            (waiting.version, waiting.digest) if may else None,
        ]

    def _failed(self, error: Exception, seen: tuple[str, str] | None = None) -> list[Any]:
        if not isinstance(error, BellwetherError):
            _LOG.exception("the page failed", exc_info=error)
        told: Notice = notice_of(error)
        return [notice(told), gr.update(visible=seen is not None), gr.skip(), seen]


def _disagreement(waiting: Waiting) -> tuple[str, str, str]:
    return (
        "the registry's champion must be the ledger's before anybody approves it",
        f"the registry names version {waiting.version}, the ledger {waiting.ledger}",
        "Find out who moved the alias",
    )
