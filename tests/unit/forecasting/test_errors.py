"""An error written as a record is read as the same error."""

import json

import pytest

from forecasting import errors
from forecasting.errors import BellwetherError, RateLimited, from_record, to_record


def every_kind(root: type[BellwetherError] = BellwetherError) -> list[type[BellwetherError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in every_kind(child))]


# Doors may have kinds of their own, which other tests have loaded or not.
OWN = [kind for kind in every_kind() if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", OWN)
def test_every_error_comes_back_from_its_record(kind: type[BellwetherError]) -> None:
    error = kind("a price must be positive", "-1 was given", "Look at the file")
    found = from_record(json.loads(json.dumps(to_record(error))))
    assert type(found) is kind
    assert str(found) == str(error)


def test_a_rate_limit_keeps_how_long_to_wait() -> None:
    found = from_record(to_record(RateLimited("slow down", retry_after=7.0)))
    assert isinstance(found, RateLimited)
    assert found.retry_after == 7.0


@pytest.mark.parametrize("kind", ["KeyError", "Mapping", "EXIT_DRIFT", "None"])
def test_a_record_of_anything_else_is_none_of_our_errors(kind: str) -> None:
    assert from_record({"kind": kind, "rule": "no"}) is None
    record = to_record(KeyError("x"))
    assert record == {"kind": "KeyError", "rule": "'x'", "found": "", "remedy": ""}


def test_the_drawing_shows_every_error_with_its_status_and_exit_code() -> None:
    drawn = {
        words[0]: (int(words[1]), int(words[3]))
        for line in str(errors.__doc__).splitlines()
        if (words := line.strip("│├└─ ").split())[2:3] == ["exit"]
    }
    assert drawn == {kind.__name__: (kind.status, kind.exit_code) for kind in OWN}
