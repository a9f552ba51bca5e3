"""What several contract tests stand on."""

from collections.abc import Iterator

import pytest

from forecasting.adapters.workflows.client import TRAINING, Workflows
from forecasting.adapters.workflows.records import PipelineVersion
from tests.contract.kubeflow_pipelines import PACKAGE, KubeflowPipelines
from tests.contract.replay_server import Replay, replaying
from tests.time_limits import seconds


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two attempts at a provider hardly any time passes, so all of them are made."""
    monkeypatch.setattr("forecasting.adapters.market.http.retry.FIRST_DELAY", 0.01)
    monkeypatch.setattr("forecasting.adapters.market.http.retry.LIMITED_DELAY", 0.01)


@pytest.fixture
def server() -> Iterator[Replay]:
    """A local server in a provider's place."""
    with replaying() as replay:
        yield replay


@pytest.fixture
def cluster(server: Replay) -> KubeflowPipelines:
    """Kubeflow Pipelines behind that server."""
    server.answer = KubeflowPipelines()
    return server.answer


@pytest.fixture
def workflows(server: Replay, cluster: KubeflowPipelines) -> Iterator[Workflows]:
    """The adapter that asks it."""
    with Workflows(server.address, timeout=seconds(2), settle_seconds=0) as opened:
        yield opened


@pytest.fixture
def version(workflows: Workflows) -> PipelineVersion:
    """A version of the training pipeline that was uploaded."""
    return workflows.upload(TRAINING, "0123456789ab", PACKAGE)[0]
