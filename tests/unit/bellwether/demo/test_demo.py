"""The command that the demo proposes asks the demo, not whoever listens on the usual port."""

import os

import pytest

from bellwether.demo.demo import _question, run_demo
from forecasting.settings import Settings
from pipelines.runs import TrainingParams


@pytest.fixture(autouse=True)
def _no_address(monkeypatch):
    monkeypatch.delenv("BELLWETHER_INFERENCE_URL", raising=False)


def test_on_the_usual_port_the_command_needs_no_address():
    question = _question(Settings(), Settings().inference_url)
    assert question.endswith("bellwether forecast")
    assert "BELLWETHER" not in question


def test_on_another_port_the_command_has_the_address():
    moved = Settings(inference_url="http://127.0.0.1:8081")
    question = _question(moved, Settings().inference_url)
    assert question.startswith("BELLWETHER_INFERENCE_URL=http://127.0.0.1:8081 ")
    assert question.endswith("bellwether forecast")


def test_the_usual_port_is_that_of_the_callers_shell_and_not_of_the_demos_own(
    tmp_path, monkeypatch
):
    shown = []
    monkeypatch.setattr("bellwether.demo.demo._run", lambda *words: shown.append(words[1:3]))
    monkeypatch.setattr("bellwether.demo.demo.free_port", lambda preferred: preferred + 1)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    run_demo(Settings(state_dir=tmp_path), TrainingParams(), {})
    ((settings, asked),) = shown
    assert settings.inference_url == "http://127.0.0.1:8081"
    assert os.environ["BELLWETHER_INFERENCE_URL"] == settings.inference_url
    assert asked.usual_url == "http://127.0.0.1:8080"
    assert _question(settings, asked.usual_url).startswith("BELLWETHER_INFERENCE_URL=")


def test_ctrl_c_stops_everything_and_leaves_what_was_learned(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("bellwether.demo.demo._run", interrupted)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    run_demo(Settings(state_dir=tmp_path), TrainingParams(), {})
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("✓ Everything is stopped.")
    assert str(tmp_path) in last
