"""What every test stands on."""

from tests.clock import clock

__all__ = ["clock"]
