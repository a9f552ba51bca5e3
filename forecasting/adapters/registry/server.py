"""MLflow's server: is it there, a client whose calls are bounded in time, its database's schema."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from forecasting.errors import RegistryUnavailable

_ANSWER_SECONDS = 3.0
# MLflow's own defaults wait minutes for a server that is down. It reads them from the environment
# only; what an operator has set there stays.
_BOUNDS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


_UPGRADE = """
import os
from mlflow.db import commands
commands(["upgrade", os.environ["MLFLOW_BACKEND_STORE_URI"]])
"""


class MlflowServer:
    """An MLflow server by address. Nothing is contacted or imported before the first call.

    Args:
        url: http:// or https:// address.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: Any = None

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Hand out the `MlflowClient`; what goes wrong with it inside becomes our error, quickly.

        Raises:
            RegistryUnavailable: the server cannot be reached, or refused what it was asked.
        """
        if self._client is None:
            self.check()
            for name, value in _BOUNDS.items():
                os.environ.setdefault(name, value)
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=self.url, registry_uri=self.url)
        from mlflow.exceptions import MlflowException
        from requests import RequestException  # type: ignore[import-untyped]

        try:
            yield self._client
        except (MlflowException, RequestException) as error:
            raise _unavailable(self.url, _first_line(error)) from error

    def check(self) -> None:
        """Ask the server whether it is there; standard library only.

        Raises:
            RegistryUnavailable: no healthy answer within three seconds.
        """
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import urlopen

        if not self.url.startswith(("http://", "https://")):
            raise _unavailable(self.url, "the address is not an http:// or https:// URL")
        try:
            with urlopen(f"{self.url.rstrip('/')}/health", timeout=_ANSWER_SECONDS) as answer:  # noqa: S310
                answer.read(64)
        except HTTPError as error:
            raise _unavailable(self.url, f"it answered {error.code} {error.reason}") from error
        except URLError as error:
            raise _unavailable(self.url, str(error.reason)) from error
        except (HTTPException, OSError) as error:
            raise _unavailable(self.url, str(error) or type(error).__name__) from error


def upgrade_schema(url: str) -> None:
    """Create the tables of MLflow's database, or bring them up to the installed version.

    Nothing here keeps two upgrades apart; hold a lock.

    Args:
        url: SQLAlchemy URL of MLflow's backend store.

    Raises:
        RegistryUnavailable: the database cannot be reached, or the upgrade failed.
    """
    import subprocess
    import sys

    from sqlalchemy.engine import make_url

    # A process of its own: MLflow leaves its connections open. The address carries a password and
    # is therefore no argument.
    done = subprocess.run(  # noqa: S603 - our own words, no shell
        [sys.executable, "-c", _UPGRADE],
        env={**os.environ, "MLFLOW_BACKEND_STORE_URI": url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RegistryUnavailable(
            "MLflow's database must take its schema",
            f"{make_url(url).render_as_string(hide_password=True)}: {lines[-1][:400]}",
            "Check the database; a schema newer than this MLflow needs a newer image",
        )


def _unavailable(url: str, found: str) -> RegistryUnavailable:
    if "/mlflow-artifacts/" in found:
        # The server is there and hands files on; what does not answer is the store behind it.
        return RegistryUnavailable(
            "MLflow must be able to keep a run's files in its artifact store",
            f"{url}: {found}",
            "Check the object store that MLflow writes to, and MLflow's log; then try again",
        )
    return RegistryUnavailable(
        "the MLflow server must answer",
        f"{url}: {found}",
        "Start one here (bellwether registry), or set BELLWETHER_REGISTRY_URL to where it is",
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:400] or type(error).__name__
