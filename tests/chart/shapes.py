"""Checks objects against the fields that the API server knows; unknown ones are found."""

import json
from functools import cache
from pathlib import Path

KINDS = Path(__file__).parent / "schemas" / "kinds.json"
SCALARS = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "int-or-string": (int, str),
}


@cache
def known():
    """The kinds and shapes that dump_schemas.py wrote."""
    return json.loads(KINDS.read_text())


def faults(made):
    """What the API server would not understand in an object."""
    kind = f"{made['apiVersion']}/{made['kind']}"
    if kind not in known()["kinds"]:
        return [f"{kind} is not in {KINDS.name}: add it to dump_schemas.py"]
    return list(_faults(made, known()["kinds"][kind], kind))


def _faults(value, shape, path):
    if shape == "any":
        return
    if isinstance(shape, str) and shape in SCALARS:
        allowed = SCALARS[shape]
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            yield f"{path} must be {shape}: {value!r}"
        return
    shape = known()["shapes"][shape] if isinstance(shape, str) else shape
    if "enum" in shape:
        if value not in shape["enum"]:
            yield f"{path} must be one of {shape['enum']}: {value!r}"
    elif "list" in shape:
        if not isinstance(value, list):
            yield f"{path} must be a list: {value!r}"
            return
        for number, item in enumerate(value):
            yield from _faults(item, shape["list"], f"{path}[{number}]")
    elif not isinstance(value, dict):
        yield f"{path} must be an object: {value!r}"
    elif "map" in shape:
        for key, item in value.items():
            yield from _faults(item, shape["map"], f"{path}.{key}")
    else:
        yield from (f"{path}.{name} is missing" for name in shape["required"] if name not in value)
        for key, item in value.items():
            if key in shape["fields"]:
                yield from _faults(item, shape["fields"][key], f"{path}.{key}")
            else:
                yield f"{path}.{key} is unknown"
