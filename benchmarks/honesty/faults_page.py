"""Writes docs/data-faults.md from the table of faults: `python -m benchmarks.honesty.faults_page`."""

import re
from pathlib import Path
from typing import Final

from benchmarks.results import markdown
from forecasting.prices.quality.catalogue import FAULTS, Action

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "data-faults.md"

_OPENING: Final = f"""# Data faults

Every bar is judged before it is kept ([judge.py](../forecasting/prices/quality/judge.py)). {len(FAULTS)} faults \
have a name, a rule and an action; this page is written from \
[catalogue.py](../forecasting/prices/quality/catalogue.py) by `python -m benchmarks.honesty.faults_page`. \
[honesty.md](honesty.md#data-faults) counts how often each is found when it is put into clean bars, \
and what is said of real data that have none.

Where to read what was found: the ingest step's Markdown report; the snapshot's notes, which the \
page and the command show; the metadata of the `prices` artifact (`quarantined`, `repaired`, \
`reported`); and the lake's quarantine, in which every bar keeps its numbers, its fault and what was \
found.

The calendar is the one the ticker names ([calendar.py](../forecasting/prices/calendar.py)): XNYS without a \
suffix, XTAI for 2330.TW, around the clock for BTC-USD. What is usual for a symbol is measured over \
its own 60 bars before a jump ([jump_checks.py](../forecasting/prices/quality/jump_checks.py))."""

_ACTIONS: Final[dict[Action, str]] = {
    "quarantine": "Quarantined: the bar is taken out, kept beside the clean ones, and counted. A "
    "bar has one fault, the first of these that applies. A symbol may lose 5 % of its bars.",
    "repair": "Repaired: nothing is lost by it; counted.",
    "report": "Reported: the bars may be right, so they stay; reported in a sentence.",
    "refuse": "Refused: the whole set, before anything is kept. The error says every rule that "
    "refused it. The last six are of a provider's answer, and its bars are never seen.",
}


def page() -> str:
    """The page as Markdown."""
    parts = [_OPENING]
    for action, about in _ACTIONS.items():
        rows = [
            [f"`{name}`", _cell(fault.rule), _cell(fault.message)]
            for name, fault in FAULTS.items()
            if fault.action == action
        ]
        title, _, rest = about.partition(": ")
        parts += [f"## {title}", _capital(rest), markdown(["fault", "rule", "what is said"], rows)]
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    """Text of a table's cell; what a case fills in stands in italics."""
    filled = re.sub(r"\{(\w+)\}", lambda found: f"*{found[1].replace('_', ' ')}*", text)
    return filled.replace("|", "\\|")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    PAGE.write_text(page())
