"""What every drift run found, kept in the lake: one folder a run, never changed afterwards.

drift/20260102T030405000000Z/report.html       Evidently's page on the features' level
                             report.json       the same figures
                             changes.html      and on the last few bars against those before
                             changes.json
                             predictions.html  the same of the answers, if the log is long enough:
                             prediction-changes.html, and their .json
                             realised.html     how forecasts that have come due turned out, if any
                             realised.json     realised loss and coverage by as-of instant
                             summary.json      written last: a folder without it is no run
"""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from forecasting.adapters.lake.blobs import Blobs
from forecasting.drift.summary import DriftSummary
from forecasting.errors import InvalidInput, Unavailable
from forecasting.live.scores import RealisedPoint
from forecasting.path_names import is_plain_name

FOLDER: Final = "drift"
SUMMARY: Final = "summary.json"
REALISED: Final = "realised.json"
REALISED_PAGE: Final = "realised.html"
KEPT_REPORTS: Final = 30
"""Runs whose HTML pages (6 MB each) are kept; their figures are kept for ever."""

_LOG = logging.getLogger(__name__)


class DriftHistory:
    """The drift runs of a lake. Nothing is opened before the first call.

    Every method raises `Unavailable` when the lake cannot be read or written.

    Args:
        lake_url: folder or fsspec URL of the lake.
    """

    def __init__(self, lake_url: str) -> None:
        self.lake_url = lake_url
        self._blobs = Blobs(lake_url)

    def record(
        self,
        summary: DriftSummary,
        points: tuple[RealisedPoint, ...],
        reports: Mapping[str, Path],
        *,
        kept_reports: int = KEPT_REPORTS,
    ) -> str:
        """Keep a run: its files first, its summary last; drop the HTML pages of old runs.

        Args:
            summary: the run's verdicts.
            points: realised figures by as-of instant.
            reports: local files by the name they are kept under.
            kept_reports: runs, this one included, whose HTML pages stay.

        Returns:
            The run's folder, as a path or URL.

        Raises:
            InvalidInput: there is a run of the same instant already.
        """
        measured = datetime.fromisoformat(summary.measured_at).astimezone(UTC)
        run = f"{measured:%Y%m%dT%H%M%S%f}Z"
        folder = f"{FOLDER}/{run}"
        if self._blobs.exists(f"{folder}/{SUMMARY}"):
            raise InvalidInput("a drift run is never rewritten", folder, "Run it again")
        try:
            for name, file in reports.items():
                self._blobs.write(f"{folder}/{name}", file.read_bytes())
            self._blobs.write(f"{folder}/{REALISED}", _json([asdict(point) for point in points]))
            self._blobs.write(f"{folder}/{SUMMARY}", _json(summary.to_dict()))
        except BaseException:
            self._remove(folder)
            raise
        for old in self._runs()[: -max(1, kept_reports)]:
            for name in self._blobs.names(f"{FOLDER}/{old}"):
                if name.endswith(".html"):
                    self._remove(f"{FOLDER}/{old}/{name}")
        return f"{self.lake_url.rstrip('/')}/{folder}"

    def summaries(self, *, newest: int | None = None) -> list[DriftSummary]:
        """The runs' summaries, oldest first; a damaged one is left out with a logged warning.

        Args:
            newest: only so many of the newest runs.
        """
        runs = self._runs()
        summaries = []
        for run in runs if newest is None else runs[max(0, len(runs) - newest) :]:
            plain = self._read(run, SUMMARY)
            try:
                if plain is not None:
                    summaries.append(DriftSummary.from_dict(plain))
            except InvalidInput as error:
                _LOG.warning("The drift run %s is damaged and left out: %s", run, error)
        return summaries

    def by_instant(self) -> list[RealisedPoint]:
        """Realised loss and coverage by as-of instant, as the newest whole run saw them."""
        for run in reversed(self._runs()):
            if (self._blobs.exists(f"{FOLDER}/{run}/{SUMMARY}")) and (
                points := self._read(run, REALISED)
            ) is not None:
                try:
                    return [RealisedPoint(**point) for point in points]
                except TypeError as error:
                    _LOG.warning("The realised figures of %s are damaged: %s", run, error)
        return []

    def report(self, name: str = "report.html") -> bytes | None:
        """A file of the newest whole run: report.html, report.json, predictions.html; or None."""
        if not is_plain_name(name):
            return None
        for run in reversed(self._runs()):
            if self._blobs.exists(f"{FOLDER}/{run}/{SUMMARY}"):
                return self._blobs.read_if_there(f"{FOLDER}/{run}/{name}")
        return None

    def _runs(self) -> tuple[str, ...]:
        """Names of the run folders, oldest first; a folder without a summary is no run yet."""
        return self._blobs.names(FOLDER)

    def _read(self, run: str, name: str) -> Any:
        data = self._blobs.read_if_there(f"{FOLDER}/{run}/{name}")
        try:
            return None if data is None else json.loads(data)
        except ValueError as error:
            _LOG.warning("%s of the drift run %s is damaged: %s", name, run, error)
            return None

    def _remove(self, name: str) -> None:
        with suppress(Unavailable):  # what stays is tidied by a later run
            self._blobs.remove_all(name)


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False).encode()
