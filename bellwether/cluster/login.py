"""The login that the gateway asks for: a user and a password, drawn once and kept in a Secret."""

import base64
import hashlib
import json
import secrets
import shlex
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bellwether.cluster.helmfile import single_values
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import run

USER: Final = "bellwether"
SECRET: Final = "bellwether-login"  # noqa: S105 - a name
LENGTH: Final = 32
"""Characters of a password. The hash is a fast one, so only the length protects it."""


@dataclass(frozen=True)
class Login:
    """A user with a password."""

    user: str
    password: str

    def htpasswd(self) -> str:
        """The line by which Envoy checks it; SHA-1 is the only hash that Envoy reads."""
        digest = hashlib.sha1(self.password.encode()).digest()  # noqa: S324 - Envoy's format
        return f"{self.user}:{{SHA}}{base64.b64encode(digest).decode()}"


def needed(values: Mapping[str, Any], settings: Sequence[str]) -> str:
    """Name of the Secret that charts/bellwether wants a login in; "" where it wants none.

    Args:
        values: given to the chart, merged.
        settings: single values above these, as `helm --set` takes them.
    """
    single = single_values(settings)
    login = values.get("gateway", {}).get("login", {})
    if single.get("gateway.login.type", login.get("type")) != "basic":
        return ""
    given = single.get("gateway.login.existingSecret", login.get("existingSecret", SECRET))
    return str(given)


def ensure(installation: Installation, name: str) -> None:
    """Draw a login and keep it in a Secret of this name, unless there is one.

    Raises:
        Unavailable: the cluster cannot be asked, or refuses the Secret.
    """
    if installation.exists("secret", name):
        return
    alphabet = string.ascii_letters + string.digits
    drawn = Login(USER, "".join(secrets.choice(alphabet) for _ in range(LENGTH)))
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "bellwether"}},
        "type": "Opaque",
        "stringData": {
            ".htpasswd": f"{drawn.htpasswd()}\n",
            "username": drawn.user,
            "password": drawn.password,
        },
    }
    # By standard input: the arguments of a program are there for every user to read.
    run(installation.command("create", "--filename", "-"), json.dumps(secret))


def kept(installation: Installation, name: str = SECRET) -> Login | None:
    """The login in a Secret that `ensure` made; None without it, or where somebody else made it.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    if not installation.exists("secret", name):
        return None
    data = installation.objects("secret", name).get("data", {})
    if not {"username", "password"} <= set(data):
        return None
    return Login(*(base64.b64decode(data[key]).decode() for key in ("username", "password")))


def how_to_read(installation: Installation, name: str = SECRET) -> str:
    """A command that prints the password."""
    words = installation.command("get", "secret", name, "--output", "jsonpath={.data.password}")
    return f"{shlex.join(words)} | base64 -d"
