"""What happens when the page is touched: ask the desk, show the answer or say why there is none."""

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final, ParamSpec

import gradio as gr
import pandas as pd

from forecasting.adapters.registry.reader import CHALLENGER
from forecasting.errors import BellwetherError, UnknownSymbol, UnknownVersion
from forecasting.live.scores import RealisedPoint
from forecasting.schema import COVERAGE_BAND, MAX_HORIZON
from gradio_app import boards, charts, monitoring, views
from gradio_app.data import Desk
from gradio_app.facts import Forecast, ModelCard, Notice, Status, notice_of
from gradio_app.retraining import Retraining, Training

TABS: Final = ("forecast", "models", "monitoring", "feed", "retrain")
CHAMPION: Final = "champion"
DEFAULT_DAYS: Final = 20
SCORED_BARS: Final = 5
"""Horizon whose realised figures are drawn over time, in bars, if it has come due."""

WITH_KUBECTL: Final = "kubectl create job --from=cronjob/bellwether-training now"
WITH_PIPELINES: Final = "bellwether pipeline run training"
"""What starts a training by hand, without and with Kubeflow Pipelines."""

UNKNOWN: Final = Status(ready=False, detail="the page cannot find out why")

_LOG = logging.getLogger(__name__)

P = ParamSpec("P")


def _logged(work: Callable[P, Any], otherwise: Callable[[Notice], Any]) -> Callable[P, Any]:
    """Work whose failures become a notice; what we did not foresee goes to the log as well."""

    @wraps(work)
    def safe(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return work(*args, **kwargs)
        except BellwetherError as error:
            return otherwise(notice_of(error))
        except Exception as error:  # noqa: BLE001 - a reader sees no stack trace, the log does
            _LOG.exception("the page failed")
            return otherwise(notice_of(error))

    return safe


class Page:
    """The page's handlers, in the order of its tabs. Values they return are gradio updates.

    Args:
        desk: what answers questions.
        retraining: what trains, or None.
        by_hand: what starts a training where the page does not.
    """

    def __init__(
        self, desk: Desk, retraining: Retraining | None, by_hand: str = WITH_KUBECTL
    ) -> None:
        self.by_hand = by_hand
        self.desk = desk
        self.retraining = retraining
        self.forecast = _logged(self._forecast_or_known, _no_forecast)
        self.models = _logged(self._models, lambda said: [views.notice(said), ""])
        self.monitoring = _logged(self._monitoring, _no_monitoring)
        self.feed = _logged(self._feed, lambda said: [views.notice(said), said.title])
        self.start_training = _logged(self._start_training, self._training_refused)

    # opening

    def open(self, request: gr.Request) -> list[Any]:
        """Fill the controls; ?tab=, ?symbol=, ?days= and ?model= choose what is shown."""
        query = dict(request.query_params)
        symbols = _or(self.desk.symbols, [])
        symbol = query.get("symbol") or (symbols[0] if symbols else None)
        wanted = query.get("days", "")
        days = int(wanted) if wanted.isdecimal() and len(wanted) < 4 else DEFAULT_DAYS
        choices = self.choices()
        status: Status = _or(self.desk.status, UNKNOWN)
        model = query.get("model", CHAMPION)
        tab = query.get("tab", "")
        named = tab in TABS  # else the reader may have chosen one already
        return [
            gr.update(choices=symbols, value=symbol),
            gr.update(value=min(max(days, 1), MAX_HORIZON)),
            gr.update(
                choices=choices, value=model if model in dict(choices).values() else CHAMPION
            ),
            gr.update(selected=tab) if named else gr.skip(),
            views.header(status),
            gr.update(active=tab == "feed") if named else gr.skip(),
            status.ready,
        ]

    def choices(self) -> list[tuple[str, str]]:
        """Model versions to choose from; the champion always, whatever its number is by then."""
        cards: list[ModelCard] = _or(self.desk.models, [])
        named = [(views.version_label(card), card.role) for card in cards]
        return named or [("Champion", CHAMPION)]

    def watch(self, was_ready: bool, revived: int, symbol: str | None) -> list[Any]:  # noqa: FBT001
        """Look after the server; once it is back, ask it again without being told to."""
        status: Status = _or(self.desk.status, UNKNOWN)
        back = status.ready and not was_ready
        known = self.desk.symbols() if back else []
        fill = gr.update(choices=known, value=symbol or (known[0] if known else None))
        shown = [revived + 1, fill] if back else [gr.skip(), gr.skip()]
        return [views.header(status), status.ready, *shown]

    def selected(self, event: gr.SelectData) -> Any:
        """Refresh the feed only while it is looked at."""
        return gr.update(active=event.value == "Live feed")

    # forecast

    def _forecast_or_known(self, symbol: str | None, days: float, role: str) -> list[Any]:
        try:
            return self._forecast(symbol, days, role)
        except UnknownSymbol as error:
            known = _or(self.desk.symbols, [])
            body = f"The model server holds no prices of {symbol}." if symbol else str(error)
            more = f" and {len(known) - 20} more" if len(known) > 20 else ""
            remedy = f"It knows {', '.join(known[:20])}{more}" if known else error.remedy
            return _no_forecast(Notice("No forecast for this symbol", body, remedy))

    def _forecast(self, symbol: str | None, days: float, role: str) -> list[Any]:
        if not symbol and not self.desk.symbols():
            self.desk.require_ready()
        answer = self.desk.forecast(symbol or "", int(days), self._version(role))
        try:
            history = self.desk.history(answer)
        except BellwetherError as error:
            _LOG.warning("no history for %s: %s", answer.symbol, error)
            history = pd.DataFrame({"timestamp": [], "close": []})
        age = _or(self.desk.age_seconds, None)
        return [
            views.banner(answer),
            gr.update(visible=False),
            gr.update(visible=True),
            views.chart_key(answer),
            charts.fan_chart(history, answer),
            views.signal_panel(answer, self._card(answer), age),
            views.quantile_table(answer),
        ]

    def _version(self, role: str) -> str:
        if role != CHALLENGER:
            return ""
        version = next((c.version for c in self.desk.models() if c.role == CHALLENGER), "")
        if not version:
            raise UnknownVersion("the registry must have a challenger", "it has none now")
        return version

    def _card(self, answer: Forecast) -> ModelCard | None:
        cards: list[ModelCard] = _or(self.desk.models, [])
        return next((card for card in cards if card.version == answer.version), None)

    # models

    def _models(self) -> list[Any]:
        cards = boards.models(self.desk.models())
        try:
            trail = boards.promotions(self.desk.promotions())
        except BellwetherError as error:
            trail = views.notice(notice_of(error))
        return [cards, trail]

    # monitoring

    def _monitoring(self) -> list[Any]:
        runs = self.desk.drift_runs()
        if not runs:
            tiles = monitoring.tiles(None, "", _or(self.desk.age_seconds, None), SCORED_BARS)
            none_yet = Notice(
                "The drift job has not run yet",
                "It compares the newest prices with what the champion learned from, and scores "
                "forecasts whose day has come.",
                "Run bellwether drift; on a cluster a CronJob does",
                "wait",
            )
            return [tiles + views.notice(none_yet), *_hidden_charts()]
        points = self.desk.realised()
        horizon = scored_horizon(points)
        shown = charts.tracks(points, horizon)
        names = [f"v{track.version}" for track in shown]
        ahead = f"{horizon} bars ahead, cumulated"
        low, high = COVERAGE_BAND
        scopes = list(dict.fromkeys(scope.scope for run in runs for scope in run.scopes))
        last = runs[-1]
        report = f"{self.desk.prefix}/reports/drift/features"
        return [
            monitoring.tiles(last, report, _or(self.desk.age_seconds, None), horizon),
            monitoring.chart_title("Realised skill", f"{ahead}; 0 % is the random walk", names),
            charts.skill_chart(shown),
            monitoring.chart_title(
                "Coverage of the 90 % interval",
                f"{ahead}; band {100 * low:.0f} to {100 * high:.0f} %",
                names,
            ),
            charts.coverage_chart(shown),
            monitoring.chart_title("Realised pinball loss", ahead, names),
            charts.error_chart(shown),
            monitoring.chart_title("Share of columns that drifted", f"{len(runs)} runs", scopes),
            charts.drift_chart(runs),
            gr.update(visible=bool(shown)),
            gr.update(visible=True),
            monitoring.realised(last) if last.realised else monitoring.nothing_due(last),
        ]

    # feed

    def _feed(self, newest: str) -> list[Any]:
        answers = self.desk.feed()
        first = answers[0].id if answers else "empty"
        if first == newest:
            return [gr.skip(), gr.skip()]
        return [boards.feed(answers), first]

    # training

    def training_view(self, current: Training | None = None) -> str:
        """The training as it stands."""
        if self.retraining is None:
            return views.notice(
                Notice(
                    "Trainings are not started from this page",
                    "Here they run on a schedule.",
                    f"Start one now: {self.by_hand}",
                )
            )
        return boards.training(current)

    def training(self) -> list[Any]:
        """The training, whether another may start, and whether to look again soon."""
        try:
            current = self.retraining.current() if self.retraining else None
        except BellwetherError as error:
            view = views.notice(notice_of(error))
            return [view, gr.update(interactive=True), gr.update(active=False)]
        running = current is not None and current.state == "running"
        if current is not None and not running:
            self.desk.forget()
        return [
            self.training_view(current),
            gr.update(interactive=not running),
            gr.update(active=running),
        ]

    def _start_training(self, symbols: str, source: str) -> list[Any]:
        if self.retraining is not None:
            self.retraining.start(symbols.replace(";", ",").split(","), source)
        return self.training()

    def _training_refused(self, said: Notice) -> list[Any]:
        view, *rest = self.training()
        return [views.notice(said) + view, *rest]


def scored_horizon(points: Sequence[RealisedPoint]) -> int:
    """The horizon to draw: SCORED_BARS if forecasts of it have come due, else the nearest."""
    known = {point.horizon for point in points}
    return min(known, key=lambda h: (abs(h - SCORED_BARS), h)) if known else SCORED_BARS


def _no_forecast(said: Notice) -> list[Any]:
    trouble = gr.update(value=views.notice(said), visible=True)
    return ["", trouble, gr.update(visible=False), "", None, "", ""]


def _no_monitoring(said: Notice) -> list[Any]:
    return [views.notice(said), *_hidden_charts()]


def _hidden_charts() -> list[Any]:
    return [*("", None) * 4, gr.update(visible=False), gr.update(visible=False), ""]


def _or(work: Callable[[], Any], otherwise: Any) -> Any:
    """What the desk says, or something else when it cannot."""
    try:
        return work()
    except BellwetherError:
        return otherwise
    except Exception:  # noqa: BLE001 - a reader sees no stack trace, the log does
        _LOG.exception("the page failed")
        return otherwise
