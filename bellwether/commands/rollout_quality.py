"""`bellwether rollout quality`, which realised forecasts decide; test_rollout.py runs it."""

import json
from typing import Annotated

import typer

from bellwether.cluster.rollouts import opened_rollout
from bellwether.commands.options import AsJson, Context, Namespace, Release, Timeout
from bellwether.console import say
from forecasting.errors import EXIT_ROLLED_BACK, InvalidSettings


def quality(
    step_back: Annotated[
        bool,
        typer.Option(
            "--step-back",
            help="Step back from a version that has degraded, have symbols forecast that nobody "
            "asked for at the newest bar, and push metrics; else only show.",
        ),
    ] = False,
    error_rate: Annotated[
        float,
        typer.Option(
            help="Chance with which a version that has not degraded is ever found to have."
        ),
    ] = 0.05,
    as_json: AsJson = False,
    timeout: Timeout = 300.0,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Judge the version that users get by its forecasts whose outcome is known.

    Exit code 12: it has degraded, and the version before, or a random walk, serves in its place.
    Needs the prediction log and the lake: BELLWETHER_PREDICTION_LOG_URL, BELLWETHER_LAKE_URL.
    """
    with opened_rollout(namespace, release, context, timeout) as rollout:
        from forecasting.adapters.lake.lake import Lake
        from forecasting.adapters.registry.calibrations import Calibrations
        from forecasting.live.quality import QualityRules
        from forecasting.settings import Settings
        from serving.rollout.quality import QualityWatch

        if rollout.predictions is None:
            raise InvalidSettings(
                "realised forecasts are read from the prediction log",
                "its database is not known here",
                "Set BELLWETHER_PREDICTION_LOG_URL, or look at what the scheduled job says: "
                f"kubectl -n {namespace} create job --from=cronjob/{release}-quality quality-now",
            )
        rules = QualityRules(error_rate=error_rate)
        settings = Settings()
        calibrations = Calibrations(settings.prediction_log)
        watch = QualityWatch(rollout, rollout.predictions, Lake(settings.lake), rules, calibrations)
        state = watch.state()
        if isinstance(state, str):
            say(f"Nothing to judge: {state}")
            if step_back:
                watch.publish(None)
            return
        if as_json:
            typer.echo(json.dumps(state.to_dict(), indent=2))
        else:
            say(f"Version {state.version}: {state.finding}")
        if not step_back:
            return
        watch.ask(state)
        watch.publish(state)
        if state.quality.degraded_at is None:
            return
        target = watch.step_back(state)
    say(f"Version {target} serves in its place", style="bold red")
    raise typer.Exit(EXIT_ROLLED_BACK)
