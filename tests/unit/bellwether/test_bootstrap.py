"""A service that is not up yet is waited for. The rest: tests/integration/test_prepare.py."""

import pytest

from bellwether import bootstrap
from forecasting.errors import Unavailable
from forecasting.settings import Settings


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(bootstrap, "_PAUSE_SECONDS", 0.001)


def coming_up(failures):
    left = [Unavailable("a database must answer", "it starts")] * failures

    def act():
        if left:
            raise left.pop()
        return True

    return act


def test_a_service_that_comes_up_is_waited_for_and_said_once(capsys):
    assert bootstrap._retried(coming_up(3), 60.0, "the database")
    assert capsys.readouterr().out.count("Waiting for the database, 60 s at most: it starts") == 1


def test_a_service_that_stays_away_is_an_error():
    with pytest.raises(Unavailable, match="a database must answer"):
        bootstrap._retried(coming_up(3), 0.0, "the database")


def test_another_error_is_not_waited_for():
    def broken():
        raise ValueError("not an address")

    with pytest.raises(ValueError, match="not an address"):
        bootstrap._retried(broken, 60.0, "the database")


def test_on_a_laptop_the_lake_and_the_log_are_made_once_and_nothing_else(tmp_path, capsys):
    settings = Settings(state_dir=tmp_path)
    for word in ("was made", "is ready"):
        bootstrap.prepare(settings, mlflow_url="", wait_seconds=5.0)
        lake, database, log = capsys.readouterr().out.splitlines()
        assert lake.endswith(word)
        assert database == "✓ The database of the prediction log is ready"
        assert log == "✓ The prediction log with its promotions and approvals is ready"
    assert list(tmp_path.glob("*.sqlite")) != []
