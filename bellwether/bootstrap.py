"""Makes what the services need before they start: bucket, databases, tables, roles. Idempotent."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final

from bellwether.console import say
from forecasting.errors import Unavailable
from forecasting.settings import Settings

if TYPE_CHECKING:
    from forecasting.adapters.database_roles import Account

_PAUSE_SECONDS: Final = 2.0


def prepare(
    settings: Settings,
    *,
    mlflow_url: str,
    accounts: "Sequence[Account]" = (),
    wait_seconds: float,
) -> None:
    """Make the lake's bucket, the databases, their tables and the components' roles, where missing.

    Args:
        settings: where lake and prediction log are.
        mlflow_url: SQLAlchemy URL of MLflow's database, "" where it is not to be prepared.
        accounts: roles that are to have their password and their rights.
        wait_seconds: how long the store and the databases may take to come up, each.

    Raises:
        Unavailable: one of them did not come up in time, or does not let us.
        InvalidSettings: an address or a role makes no sense.
    """
    from forecasting.adapters.database_roles import make_roles
    from forecasting.adapters.databases import make_database, one_at_a_time
    from forecasting.adapters.lake.blobs import Blobs
    from forecasting.adapters.registry.server import upgrade_schema

    log_url = settings.prediction_log
    made = _retried(Blobs(settings.lake).make_root, wait_seconds, "the lake's store")
    _report(f"the lake at {settings.lake}", made=made)
    for what, url in (("the prediction log", log_url), ("MLflow", mlflow_url)):
        if url:
            made = _retried(partial(make_database, url), wait_seconds, f"{what}'s server")
            _report(f"the database of {what}", made=made)
    with one_at_a_time(log_url, seconds=wait_seconds):
        make_tables(log_url, settings.registered_model)
        _report("the prediction log with its promotions and approvals")
        if mlflow_url:
            upgrade_schema(mlflow_url)
            _report("MLflow's schema")
        remarks = make_roles(log_url, mlflow_url, accounts)
        for role in dict.fromkeys(account.role for account in accounts):
            _report(f"the role {role}")
        for remark in remarks:
            say(f"[yellow]![/] {remark}")


def make_tables(log_url: str, model: str) -> None:
    """Make the tables of the prediction log's database: each is made when it is first read.

    Args:
        log_url: SQLAlchemy URL of that database.
        model: name of the registered model.

    Raises:
        Unavailable: the database cannot be reached, or does not let us.
    """
    from forecasting.adapters.prediction_log.log import PredictionLog
    from forecasting.adapters.registry.approvals import Approvals
    from forecasting.adapters.registry.calibrations import Calibrations
    from forecasting.adapters.registry.ledger import Ledger
    from forecasting.adapters.registry.rollout_history import RolloutHistory
    from forecasting.adapters.registry.trials import Trials

    with (
        closing(PredictionLog(log_url)) as log,
        closing(Ledger(log_url)) as ledger,
        closing(Approvals(log_url)) as approvals,
        closing(RolloutHistory(log_url)) as history,
        closing(Trials(log_url)) as trials,
        closing(Calibrations(log_url)) as calibrations,
    ):
        log.count()
        ledger.head(model)
        approvals.newest(model)
        history.changes(model, last=1)
        trials.of(model, "")
        calibrations.history(model)


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
