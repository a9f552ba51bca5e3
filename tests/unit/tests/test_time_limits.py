"""Every time limit of the tests follows the machine."""

import ast

import pytest

from tests.releases import ROOT
from tests.time_limits import LARGEST, MARGIN, REFERENCE_SECONDS, scaled

LIMITS = {"timeout", "connect_timeout", "read_timeout"}
FIXED = {"tests/apt.py", "tests/releases.py"}  # downloads of programs, before there are tests


def unscaled(source: str) -> list[int]:
    """Lines on which a limit is a bare number."""
    return [
        argument.value.lineno
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        for argument in call.keywords
        if argument.arg in LIMITS
        and isinstance(argument.value, ast.Constant)
        and isinstance(argument.value.value, int | float)
        and argument.value.value > 0
    ]


def test_no_call_in_the_tests_has_a_limit_in_bare_seconds():
    assert unscaled("client.get(url, timeout=10)\nother(timeout=seconds(10), deadline=3)") == [1]
    found = {
        f"{file.relative_to(ROOT)}:{line}"
        for file in (ROOT / "tests").rglob("*.py")
        if str(file.relative_to(ROOT)) not in FIXED
        for line in unscaled(file.read_text())
    }
    assert found == set()


@pytest.mark.parametrize(
    ("times", "factor"), [(0.5, MARGIN), (1, MARGIN), (2.2, 2.2 * MARGIN), (100, LARGEST)]
)
def test_limits_grow_with_the_machine_and_never_shrink(times: float, factor: float):
    assert scaled(times * REFERENCE_SECONDS) == pytest.approx(factor)
