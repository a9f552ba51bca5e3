"""The handlers of the page's events: ask for data, show it, or show a notice that says why not."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, Final, ParamSpec

import gradio as gr
import pandas as pd

from forecasting.adapters.inference import SymbolForecast
from forecasting.adapters.registry.records import CHALLENGER, CHAMPION
from forecasting.clock import utc_now
from forecasting.errors import BellwetherError, Unavailable, UnknownSymbol, UnknownVersion
from forecasting.live.scores import RealisedPoint
from forecasting.schema import COVERAGE_BAND
from gradio_app import charts, formatting
from gradio_app.access import Access, Person, Role
from gradio_app.comparison import Comparison
from gradio_app.data import PageData
from gradio_app.earlier import Earlier
from gradio_app.model_card import ModelCard
from gradio_app.notices import Notice, notice_of
from gradio_app.retraining import Retraining, Training
from gradio_app.status import Status
from gradio_app.views import forecast as forecast_view
from gradio_app.views import monitoring as monitoring_view
from gradio_app.views.change import change_waiting
from gradio_app.views.elements import notice
from gradio_app.views.feed import feed_table
from gradio_app.views.header import header
from gradio_app.views.models import models_table, promotions_table, version_label
from gradio_app.views.retrain import training_state

TABS: Final = ("forecast", "models", "monitoring", "feed", "retrain")
DEFAULT_DAYS: Final = 20
SCORED_BARS: Final = 5
"""Horizon whose realised scores are drawn over time, in bars, if forecasts of it are due."""

WITH_KUBECTL: Final = "kubectl create job --from=cronjob/bellwether-training now"
WITH_PIPELINES: Final = "bellwether pipeline run training"
WITH_COMMAND: Final = "bellwether train"
"""What starts a training by hand: on a cluster without and with Kubeflow Pipelines, and here."""

UNKNOWN: Final = Status(ready=False, detail="the page cannot find out why")

_LOG = logging.getLogger(__name__)

P = ParamSpec("P")


def _with_notice(
    handler: Callable[P, Any], on_failure: Callable[[Notice], Any]
) -> Callable[P, Any]:
    """A handler whose failures become a notice; unforeseen ones are logged as well."""

    @wraps(handler)
    def safe(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return handler(*args, **kwargs)
        except BellwetherError as error:
            return on_failure(notice_of(error))
        except Exception as error:  # noqa: BLE001 - a reader sees no stack trace, the log does
            _LOG.exception("the page failed")
            return on_failure(notice_of(error))

    return safe


class Page:
    """The page's handlers, in the order of its tabs. Values they return are gradio updates.

    Args:
        data: what the page asks.
        retraining: what trains, or None.
        access: who may do what.
        by_hand: what starts a training where the page does not.
    """

    def __init__(
        self,
        data: PageData,
        retraining: Retraining | None,
        access: Access,
        by_hand: str = WITH_KUBECTL,
    ) -> None:
        self.access = access
        self.by_hand = by_hand
        self.data = data
        self.retraining = retraining
        self.forecast = _with_notice(self._forecast_or_last, _no_forecast)
        self.models = _with_notice(self._models, lambda failure: [notice(failure), ""])
        self.monitoring = _with_notice(self._monitoring, _no_monitoring)
        self.feed = _with_notice(self._feed, lambda failure: [notice(failure), failure.title])
        self.comparison = Comparison(data, _with_notice)
        self.explain = Earlier(data, _with_notice).explain
        self.start_training = _with_notice(self._start_training, self._training_not_started)

    # opening

    def open(self, request: gr.Request) -> list[Any]:
        """Fill the controls; ?tab=, ?symbol=, ?days= and ?model= choose what is shown."""
        query = dict(request.query_params)
        symbols = _or(self.data.symbols, [])
        symbol = query.get("symbol") or (symbols[0] if symbols else None)
        text = query.get("days", "")
        days = int(text) if text.isdecimal() and len(text) < 4 else DEFAULT_DAYS
        longest = self.data.max_horizon()
        choices = self.choices()
        status: Status = _or(self.data.status, UNKNOWN)
        model = query.get("model", CHAMPION)
        tab = query.get("tab", "")
        tab_chosen = tab in TABS  # else the reader may have chosen one already
        return [
            gr.update(choices=symbols, value=symbol),
            gr.update(maximum=longest, value=min(max(days, 1), longest)),
            gr.update(
                choices=choices, value=model if model in dict(choices).values() else CHAMPION
            ),
            gr.update(selected=tab) if tab_chosen else gr.skip(),
            header(status),
            gr.update(active=tab == "feed") if tab_chosen else gr.skip(),
            status.ready,
        ]

    def choices(self) -> list[tuple[str, str]]:
        """Model versions to choose from; the champion always, whatever its number is by then."""
        cards: list[ModelCard] = _or(self.data.models, [])
        versions = [(version_label(card), card.role) for card in cards]
        return versions or [("Champion", CHAMPION)]

    def watch(
        self,
        was_ready: bool,  # noqa: FBT001 - gradio passes by position
        revived: int,
        symbol: str | None,
        asked_at: str,
    ) -> list[Any]:
        """Look whether the server is ready; ask for the forecast again once it is.

        While it is not, the forecast that is shown, made at `asked_at`, is called old.
        """
        status: Status = _or(self.data.status, UNKNOWN)
        back = status.ready and not was_ready
        known = self.data.symbols() if back else []
        fill = gr.update(choices=known, value=symbol or (known[0] if known else None))
        changes = [revived + 1, fill] if back else [gr.skip(), gr.skip()]
        old = gr.skip() if status.ready else _old(asked_at)
        return [header(status), status.ready, *changes, old]

    def selected(self, event: gr.SelectData) -> Any:
        """Refresh the feed only while it is looked at."""
        return gr.update(active=event.value == "Live feed")

    # forecast

    def _forecast_or_last(
        self, symbol: str | None, days: float, role: str, asked_at: str = ""
    ) -> list[Any]:
        """Ask, and show the answer; while nobody answers the last one stays, and is called old.

        Args:
            symbol: as typed.
            days: bars ahead.
            role: champion, challenger, or a version's number.
            asked_at: when the forecast that is shown was made, in words; "" where none is.
        """
        try:
            shown = self._forecast(symbol, days, role)
        except UnknownSymbol as error:
            return _no_forecast(self._unknown(symbol, error))
        except Unavailable as error:
            if not asked_at:
                return _no_forecast(notice_of(error))
            trouble = gr.update(value=notice(_passing(error)), visible=True)
            kept = [gr.skip()] * 6
            return [gr.skip(), trouble, *kept, _old(asked_at), asked_at, gr.skip()]
        *parts, answer = shown
        return [*parts, _old(""), formatting.instant(utc_now()), answer]

    def _unknown(self, symbol: str | None, error: UnknownSymbol) -> Notice:
        known = _or(self.data.symbols, [])
        body = f"The model server holds no prices of {symbol}." if symbol else str(error)
        more = f" and {len(known) - 20} more" if len(known) > 20 else ""
        remedy = f"It knows {', '.join(known[:20])}{more}" if known else error.remedy
        return Notice("No forecast for this symbol", body, remedy)

    def _forecast(self, symbol: str | None, days: float, role: str) -> list[Any]:
        if not symbol and not self.data.symbols():
            self.data.require_ready()
        version = self._version(role)
        sent = time.perf_counter()
        answer = self.data.forecast(symbol or "", int(days), version)
        seconds = time.perf_counter() - sent
        try:
            history = self.data.history(answer)
        except BellwetherError as error:
            _LOG.warning("no history for %s: %s", answer.symbol, error)
            history = pd.DataFrame({"timestamp": [], "close": []})
        age = _or(self.data.age_seconds, None)
        return [
            forecast_view.banner(answer),
            gr.update(visible=False),
            gr.update(visible=True),
            forecast_view.legend(answer),
            charts.fan_chart(history, answer),
            forecast_view.signal_panel(answer, seconds, self._card(answer), age),
            forecast_view.quantile_table(answer),
            change_waiting(),
            answer,
        ]

    def _version(self, role: str) -> str:
        if role != CHALLENGER:
            return ""
        version = next((c.version for c in self.data.models() if c.role == CHALLENGER), "")
        if not version:
            raise UnknownVersion("the registry must have a challenger", "it has none now")
        return version

    def _card(self, answer: SymbolForecast) -> ModelCard | None:
        cards: list[ModelCard] = _or(self.data.models, [])
        return next((card for card in cards if card.version == answer.model_version), None)

    # models

    def _models(self) -> list[Any]:
        cards = models_table(self.data.models())
        try:
            trail = promotions_table(self.data.promotions())
        except BellwetherError as error:
            trail = notice(notice_of(error))
        return [cards, trail]

    # monitoring

    def _monitoring(self) -> list[Any]:
        runs = self.data.drift_runs()
        if not runs:
            tiles = monitoring_view.tiles(None, "", _or(self.data.age_seconds, None), SCORED_BARS)
            none_yet = Notice(
                "The drift job has not run yet",
                "It compares the newest prices with those the champion was trained on, and scores "
                "forecasts whose horizon has elapsed.",
                "Run bellwether drift; on a cluster a CronJob does",
                "wait",
            )
            return [tiles + notice(none_yet), *_hidden_charts()]
        points = self.data.realised()
        horizon = scored_horizon(points)
        tracks = charts.tracks(points, horizon)
        names = [f"v{track.version}" for track in tracks]
        ahead = f"{horizon} bars ahead, cumulated"
        low, high = COVERAGE_BAND
        scopes = list(dict.fromkeys(scope.scope for run in runs for scope in run.scopes))
        last = runs[-1]
        report = f"{self.data.prefix}/reports/drift/features"
        return [
            monitoring_view.tiles(last, report, _or(self.data.age_seconds, None), horizon),
            monitoring_view.chart_title(
                "Realised skill", f"{ahead}; 0 % is the random walk", names
            ),
            charts.skill_chart(tracks),
            monitoring_view.chart_title(
                "Coverage of the 90 % interval",
                f"{ahead}; band {100 * low:.0f} to {100 * high:.0f} %",
                names,
            ),
            charts.coverage_chart(tracks),
            monitoring_view.chart_title(
                "Realised scaled pinball loss", f"{ahead}; over expected volatility", names
            ),
            charts.error_chart(tracks),
            monitoring_view.chart_title(
                "Share of columns that drifted", f"{len(runs)} runs", scopes
            ),
            charts.drift_chart(runs),
            gr.update(visible=bool(tracks)),
            gr.update(visible=True),
            (
                monitoring_view.realised_table(last)
                if last.realised
                else monitoring_view.no_realised_scores(last)
            ),
        ]

    # feed

    def _feed(self, newest: str) -> list[Any]:
        predictions = self.data.feed()
        newest_now = predictions[0].id if predictions else "empty"
        if newest_now == newest:
            return [gr.skip(), gr.skip()]
        return [feed_table(predictions), newest_now]

    # training

    def training_view(self, current: Training | None = None) -> str:
        """The training as it stands."""
        if self.retraining is None:
            return notice(
                Notice(
                    "Trainings are not started from this page",
                    "Here they run on a schedule.",
                    f"Start one now: {self.by_hand}",
                )
            )
        return training_state(current)

    def training(self) -> list[Any]:
        """The training, whether another may start, and whether to look again soon."""
        try:
            current = self.retraining.current() if self.retraining else None
        except BellwetherError as error:
            view = notice(notice_of(error))
            return [view, gr.update(interactive=True), gr.update(active=False)]
        running = current is not None and current.state == "running"
        if current is not None and not running:
            self.data.forget()
        return [
            self.training_view(current),
            gr.update(interactive=not running),
            gr.update(active=running),
        ]

    def offer(self, request: gr.Request) -> list[Any]:
        """Show who asks what he may do: the row of controls, the choices in it, and why not."""
        person = self.access.person(request.headers)
        starts = self.retraining is not None and person.role >= Role.TRAINER
        chooses = starts and person.role >= Role.OPERATOR
        choices = gr.update(visible=chooses)
        why_not = "" if starts or self.retraining is None else notice(_only_looks(person))
        return [gr.update(visible=starts), choices, choices, why_not]

    def _start_training(self, symbols: str, source: str, request: gr.Request) -> list[Any]:
        if self.retraining is not None:
            person = self.access.require(request.headers, Role.TRAINER)
            chosen = symbols.replace(";", ",").split(",")
            if any(map(str.strip, chosen)) or source != self.retraining.sources[0]:
                self.access.require(request.headers, Role.OPERATOR)
            self.retraining.start(chosen, source, person.name)
        return self.training()

    def _training_not_started(self, failure: Notice) -> list[Any]:
        view, *rest = self.training()
        return [notice(failure) + view, *rest]


def _only_looks(person: Person) -> Notice:
    return Notice(
        "You may look, and start no trainings",
        f"{person.name} has the role {person.role.name.lower()}.",
        "Whoever runs this page can make you a trainer",
    )


def scored_horizon(points: Sequence[RealisedPoint]) -> int:
    """The horizon to draw: SCORED_BARS if forecasts of it are due, else the nearest that is."""
    due = {point.horizon for point in points}
    return min(due, key=lambda h: (abs(h - SCORED_BARS), h)) if due else SCORED_BARS


def _passing(error: Unavailable) -> Notice:
    """The notice of a server that answered before and does not now."""
    again = "It may be starting again. The page asks every few seconds and goes on by itself."
    return replace(notice_of(error), body=again, remedy="")


def _no_forecast(failure: Notice) -> list[Any]:
    trouble = gr.update(value=notice(failure), visible=True)
    return ["", trouble, gr.update(visible=False), "", None, "", "", "", _old(""), "", None]


def _old(asked_at: str) -> Any:
    """The line that calls a forecast old; hidden for ""."""
    return gr.update(value=asked_at and forecast_view.old(asked_at), visible=bool(asked_at))


def _no_monitoring(failure: Notice) -> list[Any]:
    return [notice(failure), *_hidden_charts()]


def _hidden_charts() -> list[Any]:
    return [*("", None) * 4, gr.update(visible=False), gr.update(visible=False), ""]


def _or(ask: Callable[[], Any], default: Any) -> Any:
    """What `ask` answers, or the default when it fails."""
    try:
        return ask()
    except BellwetherError:
        return default
    except Exception:  # noqa: BLE001 - a reader sees no stack trace, the log does
        _LOG.exception("the page failed")
        return default
