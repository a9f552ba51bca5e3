"""What the command prints: errors in words, tables, and the steps of a long command."""

import pytest
import typer

from bellwether.console import Steps, errors_in_words, say, table
from forecasting.errors import InvalidSettings


def test_an_error_is_a_sentence_on_stderr_and_an_exit_code(capsys):
    with pytest.raises(typer.Exit) as ended, errors_in_words():
        raise InvalidSettings("a rule must hold", "it does not", "Mend it")
    assert ended.value.exit_code == InvalidSettings.exit_code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.split() == [
        "error",
        "a",
        "rule",
        "must",
        "hold",
        "found",
        "it",
        "does",
        "not",
        "remedy",
        "Mend",
        "it",
    ]


def test_other_errors_are_left_alone():
    with pytest.raises(ZeroDivisionError), errors_in_words():
        raise ZeroDivisionError


def test_long_lines_are_broken_by_the_terminal_alone(capsys):
    say("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_columns_with_a_mark_are_right_aligned():
    grid = table("title", ["name", ">count"], [("a", "1")])
    assert [(column.header, column.justify) for column in grid.columns] == [
        ("name", "left"),
        ("count", "right"),
    ]
    assert grid.row_count == 1


def test_a_step_stands_with_its_outcome_and_one_that_fails_is_said(capsys):
    steps = Steps()
    with steps.step("first") as step:
        step.doing("something")
        step.outcome = "made"
    with pytest.raises(KeyboardInterrupt), steps.step("second"):
        raise KeyboardInterrupt
    steps.total()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][:2] == ["ok", "first"]
    assert lines[1][-1] == "made"
    assert lines[3][:2] == ["stopped", "second"]
    assert lines[4][0] == "total"
