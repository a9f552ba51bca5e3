"""Starting a training from the page: one at a time, its outcome read as data."""

import os
import sys

import pytest

from forecasting.errors import InvalidInput, Unavailable
from forecasting.evaluation.promotion_outcome import PromotionOutcome
from gradio_app.retraining import SubprocessRetraining, checked_symbols, tail
from gradio_app.views.retrain import training_state
from tests.time_limits import wait_until
from tests.unit.gradio_app.page_records import (
    text_of,
)


def run_to_end(retraining):
    wait_until(lambda: retraining.current().state != "running", 20)
    return retraining.current()


REFUSED = PromotionOutcome("refused", "2", "must beat the random walk: p = 0.71")


def trains(text, terminal="", status=10):
    """A training that prints something and leaves `text` as its outcome; None leaves no file."""
    write = f"pathlib.Path(sys.argv[-1].partition('=')[2]).write_text({text!r});"
    return command(
        f"import pathlib, sys; {write if text is not None else ''}"
        f"print({terminal!r}); raise SystemExit({status})"
    )


def command(code):
    return (sys.executable, "-c", code)


@pytest.mark.parametrize(("status", "state"), [(0, "promoted"), (10, "refused"), (3, "failed")])
def test_the_exit_code_of_a_training_says_what_came_of_it(tmp_path, status, state):
    retraining = SubprocessRetraining(
        tmp_path, command(f"print('said'); raise SystemExit({status})")
    )
    assert retraining.current() is None
    retraining.start(["AAPL"], "synthetic", "ann")
    ended = run_to_end(retraining)
    assert ended.state == state
    assert ended.lines == ("said",)


def test_a_training_is_started_with_the_chosen_source_and_symbols(tmp_path):
    retraining = SubprocessRetraining(tmp_path, command("import sys; print(*sys.argv[1:])"))
    retraining.start([" AAPL", "BTC-USD", "AAPL", ""], "yahoo", "ann")
    (line,) = run_to_end(retraining).lines
    assert line.split() == [
        "--who=ann",
        "--source=yahoo",
        f"--outcome-file={tmp_path}/outcome.json",
        "--symbols=AAPL,BTC-USD",
    ]


def test_a_training_like_the_champions_names_no_source(tmp_path):
    retraining = SubprocessRetraining(tmp_path, command("import sys; print(*sys.argv[1:])"))
    retraining.start([], retraining.sources[0], "ann")
    (line,) = run_to_end(retraining).lines
    assert line.split() == ["--who=ann", f"--outcome-file={tmp_path}/outcome.json"]


def test_only_one_training_runs_at_a_time_even_for_two_pages(tmp_path):
    go = tmp_path / "go"
    wait = f"import os,time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    first = SubprocessRetraining(tmp_path, command(wait))
    second = SubprocessRetraining(tmp_path, command("pass"))
    first.start([], "synthetic", "ann")
    for rival in (first, second):
        with pytest.raises(Unavailable, match="only one training may run"):
            rival.start([], "synthetic", "ann")
    go.touch()
    run_to_end(first)
    second.start([], "synthetic", "ann")
    assert run_to_end(second).state == "promoted"


@pytest.mark.parametrize("symbol", ["--config=x", "A B", "$(reboot)", "A;B", "x" * 40, "\x00"])
def test_what_cannot_be_a_symbol_never_reaches_a_command_line(symbol):
    with pytest.raises(InvalidInput, match="a symbol is letters"):
        checked_symbols([symbol])


def test_real_tickers_pass_and_too_many_do_not():
    assert checked_symbols(["2330.TW", "^GSPC", "EURUSD=X", "BTC-USD"])
    with pytest.raises(InvalidInput, match="up to 50 symbols"):
        checked_symbols([f"S{n}" for n in range(51)])


def test_a_training_from_an_unknown_source_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="known price source"):
        SubprocessRetraining(tmp_path).start([], "files", "ann")


def test_a_command_that_does_not_exist_leaves_no_lock_behind(tmp_path):
    with pytest.raises(Unavailable, match="training command must start"):
        SubprocessRetraining(tmp_path, (str(tmp_path / "none"),)).start([], "synthetic", "ann")
    again = SubprocessRetraining(tmp_path, command("pass"))
    again.start([], "synthetic", "ann")
    assert run_to_end(again).state == "promoted"


def test_a_log_tail_loses_colours_and_overwritten_progress(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\x1b[32mdone\x1b[0m ingest\n10 %\r55 %\r100 %\n\n" + os.linesep.encode())
    assert tail(log) == ("done ingest", "100 %")
    assert tail(tmp_path / "missing") == ()


@pytest.mark.parametrize(
    "terminal", ["Nothing was promoted:\n  · p = 0.71", "No new champion\n  - p of 71 %", ""]
)
def test_the_page_says_why_whatever_the_terminal_says(tmp_path, terminal):
    REFUSED.write(tmp_path / "left.json")
    text = (tmp_path / "left.json").read_text()
    retraining = SubprocessRetraining(tmp_path, trains(text, terminal))
    retraining.start([], "synthetic", "ann")
    ended = run_to_end(retraining)
    assert ended.outcome == REFUSED
    shown = text_of(training_state(ended))
    assert "Nothing was promoted, because must beat the random walk: p = 0.71." in shown


@pytest.mark.parametrize("text", [None, "", "{}", '{"outcome": "won"}', "[1]", "\x00"])
def test_an_outcome_that_is_missing_or_damaged_leaves_the_state_and_says_so(tmp_path, text):
    retraining = SubprocessRetraining(tmp_path, trains(text, "Nothing was promoted:\n · p = 0.71"))
    retraining.start([], "synthetic", "ann")
    ended = run_to_end(retraining)
    assert (ended.state, ended.outcome) == ("refused", None)
    shown = text_of(training_state(ended))
    assert "Nothing was promoted" in shown
    assert "The training did not say why; the Models tab has its verdict." in shown
    assert "because" not in shown


def test_the_outcome_of_the_training_before_is_never_shown(tmp_path):
    retraining = SubprocessRetraining(tmp_path, command("pass"))
    REFUSED.write(retraining.outcome_file)
    retraining.start([], "synthetic", "ann")
    assert run_to_end(retraining).outcome is None
