"""Reads the parameters that pipelines carry as text: lists separated by commas, options as JSON."""

import json
from pathlib import Path

from components.artifacts import Artifact
from forecasting.errors import InvalidSettings


def listed(text: str) -> tuple[str, ...]:
    """The symbols or names of a parameter, in order, each once; none for an empty one."""
    parts = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def listed_in_file(artifact: Artifact | None) -> tuple[str, ...]:
    """The symbols that a step left in an artifact; none where there is no such artifact."""
    return () if artifact is None else listed(Path(artifact.path).read_text())


def read_options(text: str) -> dict[str, object]:
    """A price source's own options; none for an empty text.

    Raises:
        InvalidSettings: it is no JSON object.
    """
    try:
        options = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        options = error
    if not isinstance(options, dict):
        raise InvalidSettings(
            "source_options is a JSON object of the source's own options",
            repr(text),
            'Write it like {"path": "prices.csv"}',
        )
    return options
