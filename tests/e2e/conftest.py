"""One cluster for all end-to-end tests, in a set order, and the figures at their end.

They run only when named (`make e2e`, `pytest tests/e2e`): a plain `pytest` starts no cluster.

E2E_KUBECONFIG  a cluster that is there, with its platform and all images; else the testbed's
TESTBED         folder of the testbed
E2E_KEEP=1      leave cluster and Docker engine as they are at the end
"""

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.e2e import drift_schedule, testbed
from tests.e2e.absence import Absence, without_controller
from tests.e2e.at_work import AtWork, watched
from tests.e2e.busy import BusyTime, busy_time
from tests.e2e.cluster import ROOT, Cluster
from tests.e2e.figures import Figures
from tests.e2e.installation import prepare
from tests.e2e.stage import Versions, trained
from tests.e2e.testbed import Images

ORDER = (
    "test_10_install",
    "test_20_training",
    "test_25_connections",
    "test_30_canary",
    "test_32_sick_canary",
    "test_35_object_store",
    "test_36_accounts",
    "test_36_stranger",
    "test_37_two_versions",
    "test_37_shadow",
    "test_38_run",
    "test_38_approval",
    "test_38_quality",
    "test_39_admission",
    "test_39_signing",
    "test_40_autoscaling",
    "test_51_busy",
    # from here on KServe's controller is away
    "test_52_weights",
    "test_53_rights",
    "test_images",
    "test_55_drift",
    "test_monitoring",
    "test_57_restarts",
    "test_58_stale_job",
    "test_59_calm",
    "test_60_faults",
    # and here it comes back
    "test_65_controller",
    "test_62_other_symbols",
    "test_66_reinstall",
    "test_70_poison",
    "test_90_upgrade",
)

_figures = Figures()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Stand back unless somebody asked for these tests by their folder or file."""
    asked = any("e2e" in str(word) for word in config.invocation_params.args)
    return None if asked else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One story, told in order: each module stands on what the ones before it left."""

    def place(item: pytest.Item) -> int:
        stem = item.path.stem
        if item.path.parent != Path(__file__).parent:
            return -1
        return ORDER.index(stem) if stem in ORDER else len(ORDER) - 1

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures as a table."""
    if lines := _figures.lines():
        terminalreporter.section("figures (.e2e/figures.json)")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Where measured numbers go."""
    return _figures


@pytest.fixture(scope="session")
def _started(figures: Figures) -> Iterator[tuple[Cluster, "Future[Images]"]]:
    if kubeconfig := os.environ.get("E2E_KUBECONFIG"):
        images: Future[Images] = Future()
        images.set_result(Images({part: f"bellwether/{part}:dev" for part in testbed.PARTS}))
        with closing(Cluster(Path(kubeconfig))) as cluster:
            yield cluster, images
        return
    folder = (ROOT / os.environ.get("TESTBED", "../shared/testbed")).resolve()
    if not (folder / "testbed").exists():
        missing = (
            f"no testbed at {folder}: name its folder in TESTBED, or a cluster in E2E_KUBECONFIG"
        )
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with testbed.started(folder, figures) as both:
        yield both


@pytest.fixture(scope="session")
def images(_started: tuple[Cluster, "Future[Images]"]) -> Images:
    """Our images, built from this tree and loaded."""
    return _started[1].result()


@pytest.fixture(scope="session")
def cluster(
    _started: tuple[Cluster, "Future[Images]"], images: Images, figures: Figures
) -> Cluster:
    """The cluster with Bellwether installed on it."""
    cluster = _started[0]
    prepare(cluster, images, figures)
    return cluster


@pytest.fixture(scope="session")
def at_work(cluster: Cluster, figures: Figures) -> AtWork:
    """The first training and all that follows it, watched from inside."""
    return watched(cluster, figures)


@pytest.fixture(scope="session")
def versions(request: pytest.FixtureRequest, cluster: Cluster, figures: Figures) -> Versions:
    """Champion and challenger, trained in the cluster."""
    if any("at_work" in getattr(item, "fixturenames", ()) for item in request.session.items):
        made: AtWork = request.getfixturevalue("at_work")
        return made.versions
    return trained(cluster, figures)


@pytest.fixture(scope="session")
def busy(cluster: Cluster, versions: Versions) -> BusyTime:
    """The time in which the stable version grew."""
    return busy_time(cluster, versions)


@pytest.fixture(scope="session")
def absence(cluster: Cluster, versions: Versions) -> Iterator[Absence]:
    """KServe's controller is away, and forecasts are asked for, until its last test ends that."""
    with without_controller(cluster, versions) as begun:
        yield begun


@pytest.fixture(scope="session")
def every_minute(cluster: Cluster, absence: Absence) -> Iterator[ExitStack]:
    """Drift is measured every minute, while this is open."""
    with ExitStack() as stack:
        stack.enter_context(drift_schedule.every_minute(cluster))
        yield stack


@pytest.fixture(scope="session")
def stuck_drift(cluster: Cluster, every_minute: ExitStack) -> drift_schedule.Stuck:
    """The drift job's pods find no node; what it has pushed before stays."""
    since = every_minute.enter_context(drift_schedule.stuck(cluster))
    return drift_schedule.Stuck(since, every_minute.close)
