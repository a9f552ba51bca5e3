"""Names for the array types that several modules share; each name is one dtype.

It has no test of its own: it runs nothing, and mypy checks every use.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
"""Numbers in double precision: prices, returns, losses."""

Singles: TypeAlias = NDArray[np.float32]
"""Numbers in single precision: what a model sees."""

AnyFloats: TypeAlias = NDArray[np.floating]
"""Numbers in single or double precision, where a function takes either."""

Instants: TypeAlias = NDArray[np.int64]
"""Nanoseconds since 1970 in UTC, or dates at midnight; the smallest int64 where there is none."""

Codes: TypeAlias = NDArray[np.int64]
"""Whole numbers that stand for something: a symbol's place in a list, a row's place in a table."""

Rows: TypeAlias = NDArray[np.intp]
"""Row numbers as NumPy's own searches give them."""

Counts: TypeAlias = NDArray[np.int64]
"""How many there are of something."""

Mask: TypeAlias = NDArray[np.bool_]
"""Which entries of another array are meant."""
