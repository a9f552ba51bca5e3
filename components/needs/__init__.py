"""The needs step."""
