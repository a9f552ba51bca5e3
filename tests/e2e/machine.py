"""The machine under the cluster: Debian's packages, and a Docker engine to build images with."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests import apt
from tests.time_limits import seconds

PROGRAMS = {
    # what the test cluster wants is installed here too, in one go and before several things at
    # once would ask apt for them
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "socat": "socat",
    "zstd": "zstd",
    "nsenter": "util-linux",
    "sysctl": "procps",
    "docker": "docker.io",
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "openssl": "openssl",
    "curl": "curl",
}
PLUGINS = Path("/usr/lib/cni/bridge")


def install_programs() -> None:
    """Install what is missing; no service starts by itself."""
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if not PLUGINS.exists():
        missing.add("containernetworking-plugins")
    if missing:
        apt.install(missing, print)


def docker_answers() -> bool:
    """Whether a Docker engine answers here."""
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(
        ["docker", "info"], check=False, capture_output=True, stdin=subprocess.DEVNULL
    )
    return asked.returncode == 0


@contextlib.contextmanager
def docker_engine(log: Path) -> Iterator[None]:
    """A Docker engine: the one that runs, or one of our own for as long as the block lasts."""
    if docker_answers():
        yield
        return
    with log.open("ab") as output:
        # --bridge=none: images are built with the host's network, and no container stays.
        engine = subprocess.Popen(
            ["dockerd", "--bridge=none", "--iptables=false"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 60
        while not docker_answers():
            assert engine.poll() is None, f"dockerd ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < end, f"dockerd does not answer: {log.read_text()[-2000:]}"
            time.sleep(0.3)
        yield
    finally:
        if os.environ.get("E2E_KEEP") == "1":
            engine.returncode = 0  # it outlives us, and that is no mistake to be warned of
        else:
            engine.terminate()
            engine.wait(timeout=seconds(60))
