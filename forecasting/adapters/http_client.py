"""What asks a server over HTTP: its client is made at the first question, and closed at the end."""

from typing import TYPE_CHECKING, Any

from forecasting.adapters.closing import Closing

if TYPE_CHECKING:
    from httpx import Client


class LateClient(Closing):
    """Holds the `httpx.Client` of one server; who never asks never pays for importing httpx.

    Args:
        options: of the client.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._opened: Client | None = None

    @property
    def client(self) -> "Client":
        """The client, open."""
        if self._opened is None:
            from httpx import Client

            self._opened = Client(**self._options)
        return self._opened

    def close(self) -> None:
        """Let go of the connections."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
