"""The cluster that CI has: a single real node without a network, brought up and filled with images.

What it consists of is the testbed's own business (its folder is only read); here stands what has
to happen, and what may happen at the same time.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests import time_limits
from tests.e2e import machine
from tests.e2e.cluster import ROOT, Cluster
from tests.e2e.figures import FOLDER, Figures

CACHE = Path("/var/cache/testbed")
DEBIAN_IMAGES = Path.home() / ".cache/testbed/images"
BASE_IMAGE = "python:3.11-slim-bookworm"
"""What the testbed makes of Debian's packages, under a public name."""
SERVICE_IMAGES = {
    "postgres": "docker.io/library/postgres:15-bookworm",
    "pushgateway": "docker.io/prom/pushgateway:v1.5.1",
}
PARTS = ("pipeline", "serving", "ui")
CONTROLLER_ARGUMENTS = (
    "--horizontal-pod-autoscaler-downscale-stabilization=15s "
    "--horizontal-pod-autoscaler-sync-period=5s"
)
"""Five minutes and 15 s by default; what is tested is that versions grow and shrink, not how long a
cluster waits."""

PLATFORM = {
    "envoy-gateway-system": "envoy-gateway",
    "kserve": "kserve-controller-manager",
    "minio": "minio",
    "monitoring": "prometheus-operator",
}


@dataclass(frozen=True)
class Testbed:
    """The scripts of one testbed folder."""

    folder: Path

    __test__ = False  # not a test, whatever pytest thinks of its name

    def run(self, script: str, *words: str, seconds: float = 600) -> str:
        """Run one of its scripts; what it said."""
        # TESTBED names the folder for us, and the script for the scripts.
        variables = {
            "TESTBED_KCM_ARGS": CONTROLLER_ARGUMENTS,
            **os.environ,
            "TESTBED": str(self.folder / "testbed"),
        }
        done = subprocess.run(
            [str(self.folder / script), *words],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=time_limits.seconds(seconds),
            env=variables,
        )
        assert done.returncode == 0, f"{script} {' '.join(words)}:\n{done.stdout[-4000:]}"
        return done.stdout

    @property
    def running(self) -> bool:
        asked = subprocess.run(
            [str(self.folder / "testbed"), "status"],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        return asked.returncode == 0

    def cluster(self) -> Cluster:
        """How the tests speak to it."""
        kubeconfig = Path(self.run("testbed", "kubeconfig").strip())
        return Cluster(kubeconfig, (CACHE / "bin", CACHE / "addons-bin"), node=self)

    def start_node(self) -> None:
        """Bring the node up; one that is up stays as it is."""
        if not self.running:
            self.run("testbed", "up")

    def start_platform(self) -> None:
        """Bring up what others make: gateway, KServe, store, Prometheus; what is up stays."""
        if not self._has_platform():
            try:
                self.run("addons/addons", "up")
            except AssertionError:
                # It may wait for a condition before there is any; what came up stays up.
                self.run("addons/addons", "up")
        self.run("addons/addons", "unpack", "helm")

    def _has_platform(self) -> bool:
        with contextlib.closing(self.cluster()) as cluster:
            return self._runs(cluster)

    def _runs(self, cluster: Cluster) -> bool:
        ready = [
            cluster.run(
                *("kubectl", "--namespace", namespace, "wait", f"deployment/{name}"),
                *("--for=condition=Available", "--timeout=1s"),
            ).code
            == 0
            for namespace, name in PLATFORM.items()
        ]
        return all(ready) and cluster.exists("prometheus", "testbed", namespace="monitoring")

    def kill(self, container: str) -> None:
        """SIGKILL to a container's first process, as the kernel does when memory runs out.

        Args:
            container: its id as a pod's status has it, containerd://...
        """
        (process,) = self.processes([container])
        subprocess.run([*self._inside(), "kill", "-KILL", process], check=True)

    @contextlib.contextmanager
    def stalled(self, containers: Sequence[str], *, still: float, moving: float) -> Iterator[None]:
        """The containers' first processes stand still, then go on, again and again, in the block.

        Args:
            containers: their ids as pods' status has them.
            still: seconds that they stand still, every time.
            moving: seconds that they go on in between.
        """
        processes = " ".join(self.processes(containers))
        # It ends by itself, too: with its standard input, or after ten minutes.
        turns = round(600 / (still + moving))
        script = (
            f"for turn in $(seq {turns}); do kill -STOP {processes} || break; sleep {still}; "
            f"kill -CONT {processes}; read -t {moving} word && break; done; "
            f"kill -CONT {processes} || true"
        )
        turning = subprocess.Popen(
            [*self._inside(), "bash", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            turning.communicate(b"end\n", timeout=time_limits.seconds(10))

    def processes(self, containers: Sequence[str]) -> list[str]:
        """Numbers of the containers' first processes, as the node counts."""
        wanted = {one.removeprefix("containerd://") for one in containers}
        tasks = [line.split() for line in self.run("testbed", "ctr", "tasks", "ls").splitlines()]
        found = {task[0]: task[1] for task in tasks if task and task[0] in wanted}
        assert set(found) == wanted, f"no task of {wanted - set(found)}"
        return list(found.values())

    @staticmethod
    def _inside() -> list[str]:
        """How a command runs among the node's processes."""
        node = Path("/run/testbed/init.pid").read_text().strip()
        return ["nsenter", "--target", node, "--pid", "--mount"]

    def load(self, name: str, archive: Path | None = None) -> None:
        """Load an image that the node lacks: from an archive, or from Docker by name."""
        if in_full(name) not in self.run("testbed", "ctr", "images", "ls", "-q").split():
            self.run("testbed", "load", str(archive or name))


def in_full(image: str) -> str:
    """An image's name with its registry, as the node lists it."""
    first, *rest = image.split("/")
    if rest and ("." in first or ":" in first):
        return image
    return f"docker.io/{image}" if rest else f"docker.io/library/{image}"


@dataclass(frozen=True)
class Images:
    """Tags of our three images, each named after its content: part -> repository:tag."""

    names: dict[str, str]

    def tag(self, part: str) -> str:
        return self.names[part].rpartition(":")[2]


def docker(*words: str, seconds: float = 600) -> str:
    done = subprocess.run(
        ["docker", *words],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=time_limits.seconds(seconds),
        cwd=ROOT,
    )
    assert done.returncode == 0, f"docker {' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def build_our_images(figures: Figures, ready: Callable[[str], object]) -> Images:
    """Build the three images and name each after its content, so that new content is rolled out."""
    from bellwether.cluster.images import Built, build_images

    names = {}

    def on_built(built: Built) -> None:
        part = built.recipe.name
        identity = docker("image", "inspect", built.image, "--format", "{{.Id}}")
        names[part] = f"bellwether/{part}:{identity.removeprefix('sha256:')[:12]}"
        docker("tag", built.image, names[part])
        ready(names[part])
        figures.record("images", f"build of {part}", built.seconds, "s")
        wanted = f"<= {built.recipe.budget / 1e6:,.0f}"
        figures.record("images", f"size of {part}, unpacked", built.size / 1e6, "MB", wanted=wanted)

    build_images(base_image=BASE_IMAGE, on_built=on_built)
    return Images(names)


def make_service_images(testbed: Testbed, ready: Callable[[str, Path], object]) -> None:
    """Images of the data services, from Debian's packages."""
    for name, full in SERVICE_IMAGES.items():
        archive = DEBIAN_IMAGES / f"{name}.tar"
        if not archive.exists():
            testbed.run("debian-image", name)
        ready(full, archive)


def make_images(testbed: Testbed, figures: Figures, node: "Future[None]") -> Images:
    """All images: the base, ours, and those of the data services; each is loaded when it is made."""
    # Before any other: debian-image makes its common root only once.
    if not docker("images", "--quiet", BASE_IMAGE):
        testbed.run("debian-image", "python", "--docker")
    loads = []

    def load(name: str, archive: Path | None = None) -> None:
        node.result()
        testbed.load(name, archive)

    with ThreadPoolExecutor() as pool:

        def ready(name: str, archive: Path | None = None) -> None:
            loads.append(pool.submit(load, name, archive))

        services = pool.submit(make_service_images, testbed, ready)
        images = build_our_images(figures, ready)
        services.result()
        for done in loads:
            done.result()
    return images


@contextlib.contextmanager
def started(folder: Path, figures: Figures) -> Iterator[tuple[Cluster, "Future[Images]"]]:
    """The cluster, up and with every image loaded; taken down again if it was not up before."""
    testbed = Testbed(folder)
    FOLDER.mkdir(exist_ok=True)
    machine.install_programs()
    was_running = testbed.running
    with machine.docker_engine(FOLDER / "dockerd.log"):
        try:
            with ThreadPoolExecutor() as pool:
                start = time.monotonic()
                node = pool.submit(testbed.start_node)
                images = pool.submit(make_images, testbed, figures, node)
                node.result()
                testbed.start_platform()
                figures.record("cluster", "platform ready", time.monotonic() - start, "s")
                images.result()
                figures.record("cluster", "ready with all images", time.monotonic() - start, "s")
            with contextlib.closing(testbed.cluster()) as cluster:
                yield cluster, images
        finally:
            if not was_running and os.environ.get("E2E_KEEP") != "1":
                testbed.run("testbed", "down")
