"""`bellwether rollout shadow`: copies of users' requests to a version, and what came of them."""

import json
import math
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bellwether.cluster.rollouts import opened_rollout
from bellwether.commands.options import AsJson, Context, Namespace, Release
from bellwether.console import console, plain, say, stderr, table
from forecasting.errors import InvalidSettings

if TYPE_CHECKING:
    from forecasting.adapters.prediction_log.log import PredictionLog
    from forecasting.rollout.comparison import Comparison
    from forecasting.rollout.traffic import Shadow
    from serving.rollout.rollout import Rollout
    from serving.rollout.shadow import Shadowing
    from serving.rollout.shadow_report import Cost, ShadowReport

SHOWN_HORIZONS: Final = (1, 5, 30)
"""Horizons of the printed table; --json has every one."""


def shadow(
    version: Annotated[
        str, typer.Argument(help="A version's number, champion or challenger; none with --stop.")
    ] = "",
    percent: Annotated[
        int, typer.Option(min=1, max=100, help="Share of the requests that is copied, per cent.")
    ] = 100,
    minutes: Annotated[float, typer.Option(help="How long; at most a week.")] = 10.0,
    stop: Annotated[
        bool, typer.Option("--stop", help="End the shadow there is, and report on it.")
    ] = False,
    as_json: AsJson = False,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds a version may take to get ready.")
    ] = 300.0,
    namespace: Namespace = "bellwether",
    context: Context = "",
    release: Release = "bellwether",
) -> None:
    """Copy users' requests to a version that gets none, and compare both versions' answers.

    Nobody hears a shadow's answers, and no weight changes. It ends with the command; one that was
    killed leaves the copies on the route, where status shows them and --stop ends them.
    """
    log = (lambda line: stderr.print(line, soft_wrap=True)) if as_json else say
    with (
        opened_rollout(namespace, release, context, timeout, log=log) as rollout,
        ExitStack() as stack,
    ):
        from serving.rollout.shadow import Shadowing, check_minutes

        if stop == bool(version):
            raise InvalidSettings(
                "a shadow is begun with a version, or ended with --stop",
                f"version {version} and --stop" if stop else "neither",
                "Give one of them",
            )
        check_minutes(minutes)
        shadowing = Shadowing(rollout.cluster, rollout.connections, rollout.log)
        if stop:
            ended, early = shadowing.end(), ""
            if ended is None:
                log("No version gets copies of requests.")
                return
        else:
            ended, early = _shadowed(rollout, shadowing, version, percent, minutes)
        report = _report(rollout, ended, early, stack)
    if as_json:
        typer.echo(json.dumps(_numbers(asdict(report)), indent=2, default=plain))
        return
    _show(report)


def _shadowed(
    rollout: "Rollout", shadowing: "Shadowing", version: str, percent: int, minutes: float
) -> "tuple[Shadow, str]":
    """Begin, wait and end; the shadow, and why it ended early."""
    import getpass

    number = rollout.start(version, weight=0)
    begun = shadowing.begin(number, percent, minutes, getpass.getuser())
    early = ""
    with _interrupted_by_signals():
        try:
            early = shadowing.wait(begun, minutes)
        except KeyboardInterrupt:
            early = "the command was interrupted"
        finally:
            shadowing.end(begun)
    return begun, early


def _report(rollout: "Rollout", ended: "Shadow", early: str, stack: ExitStack) -> "ShadowReport":
    import time

    from forecasting.clock import utc_now
    from serving.rollout.rollout import SETTLE_SECONDS
    from serving.rollout.shadow_report import ShadowReporter

    # Proxies take a while to apply the route, and requests under way are still answered.
    time.sleep(SETTLE_SECONDS)
    until = utc_now()
    predictions, unknown = _predictions(rollout, stack)
    reporter = ShadowReporter(
        rollout.cluster, rollout.connections, rollout.log, predictions, unknown
    )
    return reporter.report(ended, until, early)


def _predictions(rollout: "Rollout", stack: ExitStack) -> "tuple[PredictionLog | None, str]":
    """The prediction log of the settings, else the release's own; or why there is none."""
    from bellwether.cluster.connections import known_ledger
    from forecasting.adapters.prediction_log.log import PredictionLog

    if rollout.predictions is not None:
        return rollout.predictions, ""
    url, unknown = known_ledger(rollout.connections)
    if not url:
        return None, f"{unknown}. Or set BELLWETHER_PREDICTION_LOG_URL to the database"
    log = PredictionLog(url)
    stack.callback(log.close)
    return log, ""


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that the copies end with the command."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _numbers(value: Any) -> Any:
    """As JSON has it, which knows no NaN."""
    match value:
        case dict():
            return {key: _numbers(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_numbers(inner) for inner in value]
        case float() if not math.isfinite(value):
            return None
    return value


def _show(report: "ShadowReport") -> None:
    lasted = (report.until - report.since).total_seconds()
    say(
        f"Version {report.version} had copies of {report.percent} % of the requests for "
        f"{lasted:.0f} s.",
        style="bold",
    )
    if report.ended_early:
        say(f"It ended before its time: {report.ended_early}", style="yellow")
    if report.comparison is not None:
        _show_answers(report.comparison)
    if report.cost is not None:
        _show_cost(report.cost)
    for remark in report.remarks:
        say(f"Note: {remark}", style="yellow")
    say(
        f"No weight was changed. It still runs; bellwether rollout delete {report.version} ends it."
    )


def _show_answers(found: "Comparison") -> None:
    users = " and ".join(found.versions) or "nobody"
    say(
        f"{found.joined:,} requests were answered by both it and version {users}; "
        f"{found.only_users:,} have no answer of the shadow (not copied, refused or failed), "
        f"{found.only_copies:,} copies no answer beside them."
    )
    left_out = {
        "symbols that only the shadow refused": found.refused_symbols,
        "pairs from different last bars": found.other_bar,
        "pairs that are no numbers or have no width": found.unusable,
        "ids that came more than once": found.repeated,
    }
    if any(left_out.values()):
        told = ", ".join(f"{count:,} {what}" for what, count in left_out.items() if count)
        say(f"Left out: {told}")
    if found.joined:
        for name, (p50, p99) in (
            (f"version {users}", found.stable_seconds),
            ("the shadow", found.shadow_seconds),
        ):
            say(f"In the server {name} took p50 {1000 * p50:.2f} ms, p99 {1000 * p99:.2f} ms")
    columns = ["symbol", ">bars", ">answers", ">p50 median", ">p50 largest"]
    columns += [">width median", ">width largest"]
    most = {one.symbol: one.horizon for one in found.differences}
    rows = [
        (
            one.symbol,
            str(one.horizon),
            f"{one.answers:,}",
            f"{one.point_median:+.3f}",
            f"{one.point_largest:+.3f}",
            f"{one.width_median:+.3f}",
            f"{one.width_largest:+.3f}",
        )
        for one in found.differences
        if one.horizon in {*SHOWN_HORIZONS, most[one.symbol]}
    ]
    if rows:
        title = "Shadow - stable, in widths of the stable version's interval p05 to p95"
        console.print(table(title, columns, rows))


def _show_cost(cost: "Cost") -> None:
    say(
        f"{cost.mirrored:,.0f} copies reached the shadow: {cost.with_status('4'):,.0f} refused (4xx), "
        f"{cost.with_status('5'):,.0f} failed (5xx)."
    )
    if cost.shadow_cpu is not None:
        say(f"CPU of the shadow's pods: {cost.shadow_cpu:.1f} s")
    if cost.stable_cpu is not None:
        say(
            f"CPU of the other versions' pods: {cost.stable_cpu:.1f} s for "
            f"{cost.stable_requests:,.0f} requests"
        )
