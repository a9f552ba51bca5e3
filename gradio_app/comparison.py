"""Versions side by side: which can be asked, and what each of them says of the same symbol."""

from collections.abc import Sequence
from typing import Any, Final

import gradio as gr

from forecasting.adapters.registry.records import CHALLENGER, CHAMPION, ModelVersion
from forecasting.errors import BellwetherError, ServerUnavailable
from gradio_app import charts
from gradio_app.data import PageData
from gradio_app.notices import Guard, Notice, notice_of
from gradio_app.views import compare as view
from gradio_app.views.compare import Opinion
from gradio_app.views.elements import notice
from gradio_app.views.monitoring import chart_title

MAX_VERSIONS: Final = 6
"""Versions that are compared at a time: as many as a chart's lines can be told apart."""


class Comparison:
    """The handlers of the comparison. Values they return are gradio updates.

    Args:
        data: what the page asks.
        guard: makes a notice of whatever a handler raises.
    """

    def __init__(self, data: PageData, guard: Guard) -> None:
        self._data = data
        self.offer = guard(self._offer, lambda _: [gr.skip()] * 3)
        self.compare = guard(self._compare, lambda failure: ["", notice(failure), None, ""])

    def _offer(self, symbol: str | None, chosen: Sequence[str]) -> list[Any]:
        """Fill the controls; champion and challenger, or the two newest, are chosen at first."""
        labels = self._labels()
        numbers = list(labels)
        kept = [number for number in chosen or [] if number in labels]
        if not kept:
            roles = [n for role in (CHAMPION, CHALLENGER) for n in numbers if role in labels[n]]
            kept = [*roles, *(n for n in numbers if n not in roles)][:2]
        symbols = self._data.symbols()
        known = symbol or (symbols[0] if symbols else None)
        return [
            gr.update(choices=symbols, value=known),
            gr.update(maximum=self._data.max_horizon()),
            gr.update(choices=[(labels[n], n) for n in numbers], value=kept),
        ]

    def _labels(self) -> dict[str, str]:
        """What to call each version that the model server can be asked for, the newest first."""
        numbers = [str(number) for number in self._data.client.metadata()["versions"]]
        records: dict[str, ModelVersion] = {}
        try:
            aliases = {number: alias for alias, number in self._data.registry.aliases().items()}
            records = {record.version: record for record in self._data.registry.versions()}
        except BellwetherError:
            aliases = {}  # they are compared by number, then
        numbers.sort(key=lambda number: (len(number), number), reverse=True)
        return {n: view.label(n, records.get(n), aliases.get(n, "")) for n in numbers}

    def _compare(self, symbol: str | None, days: float, numbers: Sequence[str]) -> list[Any]:
        numbers = [*dict.fromkeys(numbers or [])][:MAX_VERSIONS]
        if len(numbers) < 2:
            few = Notice("Choose two or more versions", "Their forecasts are shown side by side.")
            return ["", notice(few), None, ""]
        opinions = [self._asked(symbol or "", int(days), number) for number in numbers]
        answered = [opinion.forecast for opinion in opinions if opinion.forecast is not None]
        trouble = view.refusals(opinions)
        if not answered:
            return ["", trouble, None, ""]
        try:
            history = self._data.history(answered[0])
        except BellwetherError:
            history = None
        names = [f"v{opinion.version}" for opinion in opinions if opinion.forecast is not None]
        detail = view.detail(answered[0])
        return [
            chart_title(answered[0].symbol, detail, names),
            trouble,
            charts.comparison_chart(history, answered),
            view.comparison_table(opinions),
        ]

    def _asked(self, symbol: str, days: int, number: str) -> Opinion:
        try:
            return Opinion(number, self._data.forecast(symbol, days, number))
        except ServerUnavailable:
            raise  # the others would say the same
        except BellwetherError as error:
            return Opinion(number, None, notice_of(error))
