"""Symbols as the pipelines carry them: one string, separated by commas."""


def listed(symbols: str) -> tuple[str, ...]:
    """The symbols of a parameter, in order, each once; none for an empty one."""
    parts = (part.strip() for part in symbols.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))
