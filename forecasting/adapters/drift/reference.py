"""The champion's training features, fetched from its MLflow run over plain HTTP."""

from io import BytesIO
from typing import TYPE_CHECKING, Final

from forecasting.errors import Corrupted, InvalidInput, RegistryUnavailable
from forecasting.schema import SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

REFERENCE: Final = "reference/reference.parquet"
"""Artifact of a run: sampled training rows with timestamp, symbol and every feature column."""

MAX_BYTES: Final = 256 * 1024 * 1024


def fetch_reference(registry_url: str, run_id: str, *, timeout: float = 30.0) -> "pd.DataFrame":
    """Read a run's reference features.

    Args:
        registry_url: address of the MLflow server.
        run_id: the run that made the champion.
        timeout: seconds one answer may take.

    Returns:
        One row per sampled bar: timestamp, symbol, features.

    Raises:
        InvalidInput: the run has no reference features, or they lack a column.
        RegistryUnavailable: the server cannot be reached or answers with an error.
        Corrupted: the file is no Parquet, or larger than MAX_BYTES.
    """
    import pandas as pd

    data = _download(registry_url.rstrip("/"), run_id, timeout)
    try:
        reference = pd.read_parquet(BytesIO(data))
    except (OSError, ValueError) as error:  # pyarrow's errors are both
        raise Corrupted(
            "a run's reference features must be a Parquet file",
            f"{REFERENCE} of run {run_id}: {error}",
            "Train again, so that the champion's run holds its training features",
        ) from error
    missing = [column for column in (TIMESTAMP, SYMBOL) if column not in reference.columns]
    if missing:
        raise InvalidInput(
            f"reference features need the columns {TIMESTAMP} and {SYMBOL}",
            f"{REFERENCE} of run {run_id} lacks {', '.join(missing)}",
            "Train again, so that the champion's run holds its training features",
        )
    return reference


def _download(url: str, run_id: str, timeout: float) -> bytes:
    from httpx import Client, HTTPError, InvalidURL

    data = bytearray()
    try:
        with (
            Client(base_url=url, timeout=timeout) as client,
            client.stream(
                "GET", "/get-artifact", params={"path": REFERENCE, "run_uuid": run_id}
            ) as answer,
        ):
            if answer.status_code != 200:
                answer.read()
                raise _refused(url, run_id, answer.status_code, answer.text)
            for chunk in answer.iter_bytes():
                data += chunk
                if len(data) > MAX_BYTES:
                    raise Corrupted(
                        f"reference features must not be larger than {MAX_BYTES} bytes",
                        f"run {run_id}",
                    )
    except (HTTPError, InvalidURL) as error:
        raise RegistryUnavailable(
            "the MLflow server must be reachable",
            f"{url}: {error or type(error).__name__}",
            "Start one here (bellwether registry), or correct BELLWETHER_REGISTRY_URL",
        ) from error
    return bytes(data)


def _refused(url: str, run_id: str, status: int, text: str) -> InvalidInput | RegistryUnavailable:
    # MLflow answers 404 or, from some artifact stores, 500 "No such artifact".
    if status == 404 or "No such artifact" in text or "RESOURCE_DOES_NOT_EXIST" in text:
        return InvalidInput(
            "a champion's run must hold its training features",
            f"run {run_id} has no {REFERENCE}",
            "Train again: versions registered without them cannot be watched for drift",
        )
    return RegistryUnavailable(
        "the MLflow server must answer",
        f"{url} answered {status}: {text[:200]!r}",
        "Look into its log; 403 means its allowed hosts lack this address",
    )
