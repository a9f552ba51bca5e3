"""The handlers of the page, over data that answer from memory."""

from types import SimpleNamespace

import gradio as gr
import pytest
from starlette.datastructures import Headers

from forecasting.errors import (
    NotReady,
    RegistryUnavailable,
    ServerUnavailable,
    Unavailable,
    UnknownSymbol,
)
from gradio_app import formatting
from gradio_app.access import Access, Role
from gradio_app.handlers import Page, scored_horizon
from gradio_app.retraining import Training
from gradio_app.status import Status
from tests.unit.gradio_app.page_records import (
    AS_OF,
    SCORE,
    card,
    drift_run,
    forecast,
    history,
    logged,
    points,
    text_of,
)


class Data:
    """Page data whose answers a test sets; an answer that is an error is raised."""

    prefix = "/demo"

    def __init__(self, **answers):
        self.asked = []
        self.answers = {
            "symbols": ["AAPL", "MSFT"],
            "max_horizon": 30,
            "status": Status(True, "champion v1"),
            "models": [card("champion", version="1"), card()],
            "promotions": [],
            "forecast": forecast(),
            "history": history(),
            "age_seconds": 60.0,
            "require_ready": None,
            "drift_runs": [drift_run(realised=[SCORE])],
            "realised": points(),
            "feed": [logged()],
            "forget": None,
            **answers,
        }

    def __getattr__(self, name):
        def answer(*arguments):
            self.asked.append((name, *arguments))
            value = self.answers[name]
            if isinstance(value, Exception):
                raise value
            return value

        return answer


ACCESS = Access(
    "page",
    Role.NOBODY,
    "x-user",
    {
        Role.READER: frozenset({"*"}),
        Role.TRAINER: frozenset({"tom"}),
        Role.OPERATOR: frozenset({"olga"}),
    },
)


def page(retraining=None, **answers):
    return Page(Data(**answers), retraining, ACCESS, "make it so")


def asked_by(name):
    return gr.Request(headers=Headers({"x-user": name} if name else {}))


def opened(shown, **query):
    return shown.open(SimpleNamespace(query_params=query))


# opening and watching


def test_the_query_chooses_symbol_days_model_and_tab():
    symbol, days, model, tab, *_ = opened(
        page(), symbol="MSFT", days="7", model="challenger", tab="feed"
    )
    assert (symbol["value"], days["value"], model["value"]) == ("MSFT", 7, "challenger")
    assert tab["selected"] == "feed"


@pytest.mark.parametrize(("text", "days"), [("", 20), ("0", 1), ("31", 30), ("-1", 20), ("x", 20)])
def test_days_out_of_range_are_moved_into_it_and_nonsense_is_the_default(text, days):
    assert opened(page(), days=text)[1]["value"] == days


def test_as_many_days_may_be_asked_for_as_the_served_version_forecasts():
    shown = page(max_horizon=250)
    assert opened(shown, days="100")[1]["value"] == 100
    days = opened(shown, days="999")[1]
    assert (days["value"], days["maximum"]) == (250, 250)
    assert opened(page(max_horizon=10))[1]["value"] == 10


def test_a_page_without_servers_opens_with_the_champion_to_choose():
    gone = ServerUnavailable("gone")
    symbol, _, model, *_, ready = opened(page(symbols=gone, models=gone, status=gone), model="x")
    assert (symbol["value"], model["choices"], model["value"]) == (
        None, [("Champion", "champion")], "champion",
    )  # fmt: skip
    assert ready is False


def test_a_server_that_comes_back_is_asked_for_the_forecast_again():
    _, ready, revived, fill, old = page().watch(False, 4, None, "yesterday")
    assert (ready, revived, fill["value"]) == (True, 5, "AAPL")
    assert "yesterday" not in str(old)
    assert page().watch(True, 4, "AAPL", "")[2] != 5


def test_while_a_server_is_away_the_header_says_so_and_the_forecast_is_called_old():
    shown = page(status=Status(False, "the model server does not answer"))
    header, ready, *_, old = shown.watch(True, 4, "AAPL", "yesterday")
    assert "Not serving" in header
    assert not ready
    assert "This forecast was made at yesterday" in text_of(old["value"])
    assert shown.watch(True, 4, "AAPL", "")[-1]["visible"] is False


# the forecast


def test_a_forecast_fills_every_part_of_its_tab(clock):
    shown = page()
    banner, trouble, answer, legend, figure, panel, table, change, old, asked_at, said = (
        shown.forecast("AAPL", 3.0, "champion")
    )
    assert "Looking for the forecast before" in change
    assert said is shown.data.answers["forecast"]
    assert (old["visible"], asked_at) == (False, formatting.instant(clock.now))
    assert "Historical replay" in banner
    assert (trouble["visible"], answer["visible"]) == (False, True)
    assert "AAPL" in legend
    assert len(figure.data) == 9
    assert "(challenger)" in panel
    assert table.count("<tr>") == 4
    assert ("forecast", "AAPL", 3, "") in shown.data.asked


@pytest.mark.parametrize("error", [ServerUnavailable("gone"), NotReady("no bundle yet")])
def test_while_nobody_answers_the_last_forecast_stays_and_is_called_old(error):
    banner, trouble, *kept, old, asked_at, said = page(forecast=error).forecast(
        "A", 3, "champion", "yesterday"
    )
    assert said == gr.skip()
    assert "This forecast was made at yesterday" in text_of(old["value"])
    assert "goes on by itself" in trouble["value"]
    assert all(part == gr.skip() for part in (banner, *kept))
    assert asked_at == "yesterday"
    nothing_yet = page(forecast=error).forecast("A", 3, "champion")
    assert (nothing_yet[2]["visible"], *nothing_yet[-2:]) == (False, "", None)


def test_a_question_that_has_no_answer_leaves_no_other_forecast_standing():
    _, _, answer, *_, asked_at, said = page(forecast=UnknownSymbol("no such symbol")).forecast(
        "TSLA", 3, "champion", "yesterday"
    )
    assert (answer["visible"], asked_at, said) == (False, "", None)


def test_the_challenger_is_asked_for_by_its_version():
    shown = page()
    shown.forecast("AAPL", 3, "challenger")
    assert ("forecast", "AAPL", 3, "2") in shown.data.asked
    trouble = page(models=[card("champion")]).forecast("AAPL", 3, "challenger")[1]
    assert "The registry must have a challenger" in trouble["value"]


def test_an_unknown_symbol_names_the_known_ones():
    answers = {"forecast": UnknownSymbol("no such symbol"), "symbols": [f"S{n}" for n in range(25)]}
    trouble = page(**answers).forecast("TSLA", 3, "champion")[1]
    assert "holds no prices of TSLA" in trouble["value"]
    assert "It knows S0, S1" in trouble["value"]
    assert "and 5 more" in trouble["value"]


def test_without_any_symbol_the_reason_is_the_servers():
    trouble = page(symbols=[], require_ready=NotReady("no bundle yet")).forecast(None, 3, "")[1]
    assert "The model server is getting ready" in trouble["value"]


def test_a_forecast_without_history_or_registry_is_still_shown():
    figure, panel = page(
        history=Unavailable("no lake"), models=RegistryUnavailable("gone")
    ).forecast("AAPL", 3, "champion")[4:6]
    assert figure is not None
    assert "(challenger)" not in panel


def test_an_unforeseen_failure_is_a_notice_without_a_stack_trace(caplog):
    trouble = page(forecast=ZeroDivisionError("x / 0")).forecast("AAPL", 3, "champion")[1]
    assert "Something went wrong on this page" in trouble["value"]
    assert "x / 0" not in trouble["value"]
    assert "the page failed" in caplog.text


# the other tabs


def test_the_models_are_shown_though_the_audit_trail_is_not_reachable():
    cards, trail = page(promotions=Unavailable("gone")).models()
    assert "v1" in text_of(cards)
    assert "Not available right now" in trail


def test_monitoring_fills_its_tiles_and_charts():
    shown = page().monitoring()
    assert len(shown) == 12
    assert "/demo/reports/drift/features" in shown[0]
    assert [len(figure.data) > 0 for figure in shown[2:9:2]] == [True] * 4
    assert (shown[9]["visible"], shown[10]["visible"]) == (True, True)
    assert "Realised scores" in shown[11]


def test_before_the_first_drift_run_the_charts_are_hidden():
    shown = page(drift_runs=[]).monitoring()
    assert len(shown) == 12
    assert "The drift job has not run yet" in shown[0]
    assert (shown[9]["visible"], shown[10]["visible"]) == (False, False)


def test_an_unchanged_feed_is_not_drawn_again():
    shown, newest = page().feed("")
    assert "AAPL" in shown
    assert newest == "id"
    assert page().feed("id")[1] != "id"
    assert "No prediction has been logged yet" in page(feed=[]).feed("")[0]


def test_the_drawn_horizon_is_the_due_one_nearest_to_a_week():
    assert scored_horizon([]) == 5
    assert scored_horizon([*points(horizon=1), *points(horizon=10)]) == 1
    assert scored_horizon([*points(horizon=5), *points(horizon=10)]) == 5


# training


class Retraining:
    """Something that trains, as a test says."""

    sources = ("sample", "yahoo")

    def __init__(self, state="running", error=None):
        self.state, self.error, self.started = state, error, []

    def start(self, symbols, source, who):
        if self.error:
            raise self.error
        self.started.append((symbols, source, who))

    def current(self):
        return Training(self.state, "sample", (), AS_OF, 3.0, ("fetching",))


def test_a_running_training_is_looked_at_again_and_another_cannot_start():
    retraining = Retraining()
    view, button, timer = page(retraining).start_training("AAPL; MSFT", "sample", asked_by("olga"))
    assert retraining.started == [(["AAPL", " MSFT"], "sample", "olga")]
    assert "Running for" in view
    assert (button["interactive"], timer["active"]) == (False, True)


def test_after_a_training_the_registry_is_asked_anew():
    shown = page(Retraining("failed"))
    _, button, timer = shown.training()
    assert (button["interactive"], timer["active"]) == (True, False)
    assert ("forget",) in shown.data.asked


def test_a_training_that_cannot_start_says_so_above_the_last_one():
    shown = page(Retraining(error=Unavailable("only one may run")))
    view, *_ = shown.start_training("", "sample", asked_by("tom"))
    assert view.index("Only one may run") < view.index("Running for")


@pytest.mark.parametrize(
    ("name", "symbols", "source", "starts"),
    [("", "", "sample", False), ("rita", "", "sample", False),
     ("tom", "", "sample", True), ("tom", " , ;", "sample", True),
     ("tom", "AAPL", "sample", False), ("tom", "", "yahoo", False),
     ("olga", "AAPL", "yahoo", True)],
)  # fmt: skip
def test_who_may_start_which_training_whatever_the_page_shows_him(name, symbols, source, starts):
    retraining = Retraining()
    view, *_ = page(retraining).start_training(symbols, source, asked_by(name))
    assert [who for *_, who in retraining.started] == ([name] if starts else [])
    assert ("You may not do this here" in view) is not starts


@pytest.mark.parametrize(
    ("name", "starts", "chooses"),
    [("", False, False), ("rita", False, False), ("tom", True, False), ("olga", True, True)],
)
def test_everybody_is_shown_what_he_may_do(name, starts, chooses):
    row, source, symbols, why_not = page(Retraining()).offer(asked_by(name))
    assert row["visible"] is starts
    assert source["visible"] is symbols["visible"] is chooses
    assert ("start no trainings" in why_not) is not starts


def test_a_page_that_does_not_train_says_what_does():
    assert "Start one now: make it so." in page().training()[0]
