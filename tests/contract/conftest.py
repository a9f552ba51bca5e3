"""What several contract tests stand on."""

from collections.abc import Iterator

import pytest

from tests.contract.replay_server import Replay, replaying


@pytest.fixture
def server() -> Iterator[Replay]:
    """A local server in a provider's place."""
    with replaying() as replay:
        yield replay
