"""A price source's own options as the pipelines carry them: one string, a JSON object."""

import json

from forecasting.errors import InvalidSettings


def read_options(text: str) -> dict[str, object]:
    """The options of a parameter; none for an empty one.

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
