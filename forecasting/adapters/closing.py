"""What is closed at the end of its `with`."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """A context manager that is its own `close`, however its block ends."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held; harmless when nothing is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
