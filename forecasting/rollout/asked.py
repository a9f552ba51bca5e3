"""What it means that trainings and refreshes are asked for other prices than a version knows.

Tested in tests/unit/serving/rollout/test_status.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

_NAMED: Final = 10
"""Symbols that a sentence names one by one."""


@dataclass(frozen=True)
class AskedPrices:
    """What an installation's values ask trainings and refreshes for.

    Attributes:
        symbols: tickers; none for all that the source has.
        dataset: data set in the lake; "" where the values do not say.
    """

    symbols: tuple[str, ...] = ()
    dataset: str = ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """As the chart writes it."""
        symbols = tuple(str(symbol) for symbol in values.get("symbols") or ())
        return cls(symbols, str(values.get("dataset") or ""))

    def differences(self, name: str, dataset: str, known: Sequence[str]) -> tuple[str, ...]:
        """How they differ from what a version knows, and what comes of it, in sentences.

        Args:
            name: the version in words, e.g. "champion, version 3,".
            dataset: data set it reads.
            known: symbols it was trained with; none for a version that does not care.
        """
        if self.dataset and self.dataset != dataset:
            moved = (
                f"the values ask for data set {self.dataset}, and {name} reads {dataset}, which no "
                "refresh keeps fresh: its forecasts get old and are then refused. Train on the new "
                "data set and roll its champion out, or name the old one again"
            )
            return (moved,)
        new, dropped = self.differing(known)
        told: list[str] = []
        if new:
            told.append(
                f"the values ask for {_listed(new)}, which {name} does not know: requests for it "
                "get 404 until a version that the next training makes is rolled out"
            )
        if dropped:
            told.append(
                f"the values no longer ask for {_listed(dropped)}, which {name} knows: it goes on "
                "answering for it, refreshes fetch it as long as they can, and the next training "
                "leaves it out"
            )
        return tuple(told)

    def differing(self, known: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Symbols that are asked for and not known, and those that are known and not asked for.

        Where all that the source has is asked for, or a version does not care, none differ.
        """
        if not self.symbols or not known:
            return (), ()
        asked = {symbol.upper() for symbol in self.symbols}
        same = {symbol.upper() for symbol in known}
        new = tuple(symbol for symbol in self.symbols if symbol.upper() not in same)
        return new, tuple(symbol for symbol in known if symbol.upper() not in asked)


ALL_PRICES: Final = AskedPrices()
"""Of values that do not say: nothing differs."""


def _listed(symbols: Sequence[str]) -> str:
    more = f" and {len(symbols) - _NAMED} more" if len(symbols) > _NAMED else ""
    return f"{', '.join(symbols[:_NAMED])}{more}"
