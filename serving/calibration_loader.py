"""Finds the calibration that is in force for a version, and applies it to the version's bundle."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from forecasting.adapters.registry.calibrations import Calibrations, verified
from forecasting.bundle.bundle import Bundle
from forecasting.bundle.calibration import applied

if TYPE_CHECKING:
    from forecasting.bundle.signature import TrustedKeys
    from forecasting.settings import Settings


class CalibrationLoader:
    """Calibrations of the versions of one server; used from one thread.

    Args:
        settings: where the ledger is.
    """

    def __init__(self, settings: "Settings") -> None:
        self._model = settings.registered_model
        self._calibrations = Calibrations(settings.prediction_log)
        self._applied: dict[str, tuple[Bundle, Bundle]] = {}

    def close(self) -> None:
        """Let go of connections."""
        self._calibrations.close()

    def served(self, number: str, trained: Bundle) -> Bundle:
        """A version's bundle with the calibration that was found last.

        Args:
            number: of the version.
            trained: the bundle as it was trained.
        """
        before, served = self._applied.get(number, (trained, trained))
        return served if before is trained else trained

    def trained(self, number: str, served: Bundle) -> Bundle:
        """A served bundle as it was trained."""
        before, found = self._applied.get(number, (served, served))
        return before if found is served else served

    def newest(self, number: str, trained: Bundle, keys: "TrustedKeys | None") -> Bundle:
        """A version's bundle with the calibration that the ledger has in force; `served` if it is that.

        Args:
            number: of the version.
            trained: the bundle as it was trained.
            keys: must have signed the calibration; None where signatures are not asked for.

        Raises:
            BundleRejected: the calibration is damaged, not signed by one of the keys, or another
                bundle's.
            Unavailable: the ledger cannot be reached.
        """
        served = self.served(number, trained)
        row = self._calibrations.current(self._model, number)
        if (0 if row is None else row.number) == served.calibrated:
            found = served
        else:
            found = trained if row is None else applied(trained, verified(row, self._model, keys))
        self._applied[number] = trained, found
        return found

    def forget(self, kept: Collection[str]) -> None:
        """Drop what was found of other versions than these."""
        self._applied = {number: one for number, one in self._applied.items() if number in kept}
