"""What every test stands on."""

from tests.clock import clock
from tests.closing_lines import pytest_sessionfinish

__all__ = ["clock", "pytest_sessionfinish"]
