"""Runs kubectl, helm, kind and docker as programs; a failure becomes an error with a remedy."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from forecasting.adapters.cluster import readiness
from forecasting.errors import Unavailable

POLL_SECONDS: Final = 0.2
TICK_SECONDS: Final = 2.0
GRACE_SECONDS: Final = 30.0

# What these programs write when something usual is wrong, and what there is to do about it.
REMEDIES: Final = (
    ("connection refused", "Is the cluster running? Name another with --context or KUBECONFIG"),
    ("unable to connect to the server", "Is the cluster running? Check --context and KUBECONFIG"),
    ("context was not found", "List what there is: kubectl config get-contexts"),
    ("does not exist in config", "List what there is: kubectl config get-contexts"),
    ("unauthorized", "The credentials in this kubeconfig are not valid any more; fetch new ones"),
    ("forbidden", "Use a kubeconfig that may install cluster-wide things, or ask who has one"),
    ("invalid ownership metadata", "Somebody else installed it: leave the release out with --skip"),
    ("another operation", "Another helm is at work on this release; wait for it, then run again"),
    ("failed calling webhook", "A controller is not answering yet; wait a moment and run again"),
    ("cannot connect to the docker daemon", "Start Docker: sudo systemctl start docker"),
    ("permission denied while trying to connect", "Join the group: sudo usermod -aG docker $USER"),
    ("failed to fetch", "Charts come from the internet: check the connection or the proxy"),
    ("no such host", "A name was not found: check the connection, the proxy and the DNS"),
    ("timed out waiting", "See what waits: kubectl get pods --all-namespaces; then run again"),
    ("deadline exceeded", "See what waits: kubectl get pods --all-namespaces; then run again"),
)


@dataclass(frozen=True)
class ProgramResult:
    """How a program ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


def ask(
    command: Sequence[str], stdin: str = "", timeout: float | None = 120, cwd: str | None = None
) -> ProgramResult:
    """Run a program to its end, whatever its exit code.

    Raises:
        Unavailable: the program is not installed, or took longer than the timeout.
    """
    _must_exist(command[0])
    try:
        completed = subprocess.run(  # noqa: S603 - list arguments, no shell
            command,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            cwd=cwd,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"{command[0]} must answer within {timeout:.0f} s",
            f"`{_short(command)}` did not",
            "Is the cluster reachable and awake?",
        ) from error
    return ProgramResult(completed.returncode, completed.stdout, completed.stderr)


def run(command: Sequence[str], stdin: str = "", timeout: float | None = 120) -> str:
    """Run a program that has to succeed; return what it wrote.

    Raises:
        Unavailable: it failed; holds the end of its output and what to do.
    """
    result = ask(command, stdin, timeout)
    if result.code:
        raise _failed(command, result)
    return result.out


def follow(command: Sequence[str], tick: Callable[[float], None]) -> str:
    """Run a long program that has to succeed, calling tick(seconds) every two seconds.

    Ctrl-C reaches the program too (it is in our process group); we wait until it has tidied up,
    so that the next run finds a state it can continue from.

    Raises:
        Unavailable: it failed.
    """
    _must_exist(command[0])
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = ticked = time.monotonic()
        with subprocess.Popen(  # noqa: S603 - list arguments, no shell
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        ) as process:
            try:
                while process.poll() is None:
                    time.sleep(POLL_SECONDS)
                    if time.monotonic() - ticked >= TICK_SECONDS:
                        ticked = time.monotonic()
                        tick(ticked - began)
            except KeyboardInterrupt:
                _let_end(process)
                raise
        out.seek(0)
        err.seek(0)
        texts = [stream.read().decode(errors="replace") for stream in (out, err)]
    result = ProgramResult(process.returncode, *texts)
    if result.code:
        raise _failed(command, result)
    return result.out


def lines(command: Sequence[str]) -> Iterator[str]:
    """What a program writes, line by line as it writes; its end is the end, however it ends."""
    _must_exist(command[0])
    with subprocess.Popen(  # noqa: S603 - list arguments, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield line.rstrip("\n")
        finally:
            process.terminate()


@dataclass(frozen=True)
class Kubectl:
    """kubectl and helm commands for one context of the kubeconfig; "" is the current context."""

    context: str = ""

    def command(self, *args: str) -> list[str]:
        """A kubectl command for this cluster."""
        return ["kubectl", *(["--context", self.context] if self.context else []), *args]

    def helm(self, *args: str) -> list[str]:
        """A helm command for this cluster."""
        return ["helm", *(["--kube-context", self.context] if self.context else []), *args]

    def objects(self, *args: str) -> dict[str, Any]:
        """What `kubectl get ... --output json` says.

        Raises:
            Unavailable: kubectl failed.
        """
        objects: dict[str, Any] = json.loads(run(self.command("get", *args, "--output", "json")))
        return objects

    def server_version(self) -> str:
        """Version of the cluster, e.g. v1.34.4; "" when it does not say.

        Raises:
            Unavailable: kubectl is not installed, or does not come back.
        """
        found = ask(self.command("version", "--output", "json"))
        said = json.loads(found.out or "{}").get("serverVersion", {})
        return str(said.get("gitVersion", ""))

    def exists(self, *args: str) -> bool:
        """Whether `kubectl get` finds this object; a kind the cluster does not know counts as no.

        Raises:
            Unavailable: the cluster cannot be asked.
        """
        command = self.command("get", *args, "--output", "name")
        result = ask(command)
        if result.code == 0:
            return bool(result.out.strip())
        missing = ("notfound", "not found", "doesn't have a resource type", "no matches for kind")
        if any(word in result.err.lower() for word in missing):
            return False
        raise _failed(command, result)


def condition(item: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The condition of this type in an object's status; empty when it has none."""
    return readiness.condition(item.get("status", {}), kind)


def holds(item: Mapping[str, Any], kind: str) -> bool:
    """Whether an object has the condition of this type, and it is true."""
    return condition(item, kind).get("status") == "True"


def _must_exist(program: str) -> None:
    if shutil.which(program) is None:
        raise Unavailable(
            f"{program} must be installed",
            f"it is not on PATH ({os.environ.get('PATH', '')})",
            "bellwether cluster kind-up says which tools are needed and where they come from",
        )


def _failed(command: Sequence[str], result: ProgramResult) -> Unavailable:
    output = (result.err.strip() or result.out.strip()).splitlines()
    tail = "\n".join(output[-6:]) or "it wrote nothing"
    remedies = (remedy for sign, remedy in REMEDIES if sign in result.err.lower())
    return Unavailable(
        f"`{_short(command)}` must succeed",
        f"it ended with {result.code}: {tail}",
        next(remedies, "Run it by hand to see more"),
    )


def _short(command: Sequence[str]) -> str:
    return " ".join(command[:8]) + (" ..." if len(command) > 8 else "")


def _let_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()
