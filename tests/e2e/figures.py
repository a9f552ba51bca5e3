"""What the end-to-end tests measured: kept in .e2e/figures.json, printed as a table at the end."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".e2e"


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        topic: what it belongs to, e.g. "canary".
        name: what was measured.
        value: the number.
        unit: of the value; "" for a count.
        wanted: what it has to be, in words; "" where nothing is promised.
    """

    topic: str
    name: str
    value: float
    unit: str = ""
    wanted: str = ""

    def __str__(self) -> str:
        value = f"{self.value:,.0f}" if self.value == int(self.value) else f"{self.value:,.2f}"
        return f"{self.topic:<12} {self.name:<58} {value:>12} {self.unit:<10} {self.wanted}"


class Figures:
    """Collects figures; writes the file anew at each, so that a broken run leaves its own."""

    def __init__(self, path: Path = FOLDER / "figures.json") -> None:
        self._path = path
        self._kept: dict[tuple[str, str], Figure] = {}
        self._remarks: list[str] = []

    def record(
        self, topic: str, name: str, value: float, unit: str = "", *, wanted: str = ""
    ) -> None:
        self._kept[topic, name] = Figure(topic, name, round(float(value), 4), unit, wanted)
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps([asdict(f) for f in self._kept.values()], indent=1) + "\n")

    def lines(self) -> list[str]:
        """The table, and the remarks below it."""
        return [*(str(figure) for figure in self._kept.values()), *self._remarks]

    def remark(self, text: str) -> None:
        """What was seen and is no number."""
        self._remarks.append(text)
