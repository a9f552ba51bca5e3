"""Starting a training from the page, and the path prefix the page is reached under."""

import asyncio
import os
import sys
from dataclasses import replace

import pytest

from forecasting.errors import InvalidInput, Unavailable
from gradio_app import boards
from gradio_app.retraining import SubprocessRetraining, Training, checked_symbols, tail
from gradio_app.routes import without_prefix
from tests.time_limits import wait_until
from tests.unit.gradio_app.page_records import (
    AS_OF,
    text_of,
)

# retraining


def run_to_end(retraining):
    wait_until(lambda: retraining.current().state != "running", 20)
    return retraining.current()


def command(code):
    return (sys.executable, "-c", code)


@pytest.mark.parametrize(("status", "state"), [(0, "promoted"), (10, "refused"), (3, "failed")])
def test_the_exit_code_of_a_training_says_what_came_of_it(tmp_path, status, state):
    retraining = SubprocessRetraining(
        tmp_path, command(f"print('said'); raise SystemExit({status})")
    )
    assert retraining.current() is None
    retraining.start(["AAPL"], "synthetic")
    ended = run_to_end(retraining)
    assert ended.state == state
    assert ended.lines == ("said",)


def test_a_training_is_started_with_the_chosen_source_and_symbols(tmp_path):
    retraining = SubprocessRetraining(tmp_path, command("import sys; print(sys.argv[1:])"))
    retraining.start([" AAPL", "BTC-USD", "AAPL", ""], "yahoo")
    assert run_to_end(retraining).lines == ("['--source=yahoo', '--symbols=AAPL,BTC-USD']",)


def test_only_one_training_runs_at_a_time_even_for_two_pages(tmp_path):
    go = tmp_path / "go"
    wait = f"import os,time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    first = SubprocessRetraining(tmp_path, command(wait))
    second = SubprocessRetraining(tmp_path, command("pass"))
    first.start([], "synthetic")
    for rival in (first, second):
        with pytest.raises(Unavailable, match="only one training may run"):
            rival.start([], "synthetic")
    go.touch()
    run_to_end(first)
    second.start([], "synthetic")
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
        SubprocessRetraining(tmp_path).start([], "files")


def test_a_command_that_does_not_exist_leaves_no_lock_behind(tmp_path):
    with pytest.raises(Unavailable, match="training command must start"):
        SubprocessRetraining(tmp_path, (str(tmp_path / "none"),)).start([], "synthetic")
    again = SubprocessRetraining(tmp_path, command("pass"))
    again.start([], "synthetic")
    assert run_to_end(again).state == "promoted"


def test_a_log_tail_loses_colours_and_overwritten_progress(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\x1b[32mdone\x1b[0m ingest\n10 %\r55 %\r100 %\n\n" + os.linesep.encode())
    assert tail(log) == ("done ingest", "100 %")
    assert tail(tmp_path / "missing") == ()


def test_a_refused_training_says_why_in_words():
    ended = Training("refused", "sample", (), AS_OF, 41.0, ("Report: x",))
    assert "Nothing was promoted, because p = 0.71." in boards.training(ended, "p = 0.71")
    lines = ("Nothing was promoted, best candidate ridge:", "  · p = 0.71", "Report: x")
    shown = text_of(boards.training(replace(ended, lines=lines)))
    assert "Nothing was promoted, best candidate ridge: p = 0.71." in shown


# the path prefix


@pytest.mark.parametrize(
    ("asked", "seen"),
    [("/demo/live", "/live"), ("/demo", "/"), ("/live", "/live"), ("/demonstration", "/demonstration")],
)  # fmt: skip
def test_a_prefix_that_a_proxy_left_on_is_cut_off(asked, seen):
    paths = []

    async def app(scope, _receive, _send):
        paths.append(scope["path"])

    asyncio.run(without_prefix(app, "/demo")({"type": "http", "path": asked}, None, None))
    assert paths == [seen]
