"""Spoils files of prices, reads them by the files source, and names what became of each."""

import gzip
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from benchmarks.honesty.clean_bars import clean_bars, judge_daily

Spoil: TypeAlias = Callable[[bytes, np.random.Generator], bytes]

_WORDS: Final = re.compile(r"[a-z_]+")


def _cut(data: bytes, chance: np.random.Generator) -> bytes:
    """Stop within a row of the second half, so that at least its volume is another."""
    lines = data.splitlines(keepends=True)
    row = int(chance.integers(len(lines) // 2, len(lines)))
    return b"".join(lines[:row]) + lines[row][: int(chance.integers(1, len(lines[row]) - 4))]


def _renamed(data: bytes, chance: np.random.Generator) -> bytes:
    column = [b"open", b"high", b"low", b"close", b"volume"][int(chance.integers(5))]
    return data.replace(column, b"trade_" + column, 1)


SPOILED: Final[dict[str, tuple[str, str, Spoil]]] = {
    "empty file": ("empty_answer", ".csv", lambda *_: b""),
    "only a header": ("empty_answer", ".csv", lambda data, _: data[: data.index(b"\n") + 1]),
    "a web page": (
        "html_answer",
        ".csv",
        lambda *_: (
            b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n"
            b"<body><p>Your session, which was long, has ended.</p></body></html>\n"
        ),
    ),
    "cut within a row": ("truncated_answer", ".csv", _cut),
    "cut archive": (
        "truncated_answer",
        ".csv.gz",
        lambda data, chance: gzip.compress(data)[: int(chance.integers(2_000, 8_000))],
    ),
    "renamed column": ("renamed_column", ".csv", _renamed),
}
"""Fault, ending and spoiler of a file, by what it is."""


def try_file(item: tuple[str, int]) -> tuple[str, str]:
    """Spoil one symbol's file, read and judge it: (kind, named, refused, crashed or silent)."""
    from forecasting.adapters.market.providers.files import FilesSource
    from forecasting.errors import BellwetherError

    kind, seed = item
    fault, ending, spoil = SPOILED[kind]
    bars = clean_bars("made-1")
    bars = bars[bars["symbol"] == "AAPL"].drop(columns=["symbol", "timestamp", "dividend", "split"])
    data = bars.rename(columns={"session": "date"}).to_csv(index=False).encode()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"AAPL{ending}"
        file.write_bytes(spoil(data, np.random.default_rng(seed)))
        try:
            fetched = FilesSource(path=file).fetch([], None, None, "1d")
            judged = judge_daily(fetched.bars)
        except BellwetherError as error:
            return kind, "named" if fault in _WORDS.findall(str(error)) else "refused"
        except Exception:  # noqa: BLE001 - whatever it is, it should have been an error in words
            return kind, "crashed"
    words = _WORDS.findall(" ".join([*fetched.notes, *judged.notes, *judged.faults]))
    return kind, "named" if fault in words or judged.faults else "silent"
