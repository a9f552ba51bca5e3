"""HTTP clients that are created on first use and closed at the end of a `with` block."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from httpx import Client


class Closing(ABC):
    """A context manager that calls its own `close`, however its block ends."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held; harmless when nothing is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class LazyClient(Closing):
    """Holds the `httpx.Client` of one server, created on first use.

    Who never asks the server never pays for importing httpx.

    Args:
        options: keyword arguments of `httpx.Client`.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._client: Client | None = None

    @property
    def client(self) -> "Client":
        """The client, open."""
        if self._client is None:
            from httpx import Client

            self._client = Client(**self._options)
        return self._client

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None
