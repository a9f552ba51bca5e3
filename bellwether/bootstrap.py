"""Makes what the services need before they start: bucket, databases, tables, roles. Idempotent."""

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Final

from bellwether.console import say
from forecasting.errors import Unavailable
from forecasting.settings import Settings

_PAUSE_SECONDS: Final = 2.0


def prepare(
    settings: Settings, *, mlflow_url: str, reader_password: str, wait_seconds: float
) -> None:
    """Make the lake's bucket, the databases, their tables and the reader's role, where missing.

    Args:
        settings: where lake and prediction log are.
        mlflow_url: SQLAlchemy URL of MLflow's database, "" where it is not to be prepared.
        reader_password: of the role that reads the prediction log, "" for no such role.
        wait_seconds: how long the store and the databases may take to come up, each.

    Raises:
        Unavailable: one of them did not come up in time, or does not let us.
        InvalidSettings: an address makes no sense.
    """
    from forecasting.adapters.databases import READER, make_database, make_reader, one_at_a_time
    from forecasting.adapters.lake.blobs import Blobs
    from forecasting.adapters.prediction_log.log import PredictionLog
    from forecasting.adapters.prediction_log.rows import table
    from forecasting.adapters.registry.ledger import Ledger
    from forecasting.adapters.registry.server import upgrade_schema

    log_url = settings.prediction_log
    made = _retried(Blobs(settings.lake).make_root, wait_seconds, "the lake's store")
    _report(f"the lake at {settings.lake}", made=made)
    for what, url in (("the prediction log", log_url), ("MLflow", mlflow_url)):
        if url:
            made = _retried(partial(make_database, url), wait_seconds, f"{what}'s server")
            _report(f"the database of {what}", made=made)
    with one_at_a_time(log_url, seconds=wait_seconds):
        with closing(PredictionLog(log_url)) as log, closing(Ledger(log_url)) as ledger:
            log.count()
            ledger.head(settings.registered_model)
        _report("the prediction log with its promotions")
        if reader_password:
            make_reader(log_url, reader_password, (table().name,))
            _report(f"the role {READER}")
        if mlflow_url:
            upgrade_schema(mlflow_url)
            _report("MLflow's schema")


def _retried(act: Callable[[], bool], seconds: float, what: str) -> bool:
    """Act; while a service that it needs is not up yet, print that once and try again."""
    deadline, announced = time.monotonic() + seconds, False
    while True:
        try:
            return act()
        except Unavailable as error:
            if time.monotonic() + _PAUSE_SECONDS > deadline:
                raise
            if not announced:
                say(f"[yellow]·[/] Waiting for {what}, {seconds:.0f} s at most: {error.found}")
                announced = True
            time.sleep(_PAUSE_SECONDS)


def _report(what: str, *, made: bool = False) -> None:
    say(f"[green]✓[/] {what[0].upper()}{what[1:]} {'was made' if made else 'is ready'}")
