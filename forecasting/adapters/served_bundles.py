"""Bundles of registered versions as servers take them: verified, signed where there are keys, calibrated."""

from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.adapters.registry.calibrations import Calibrations, verified
from forecasting.bundle.calibration import applied
from forecasting.errors import BundleRejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forecasting.adapters.registry.reader import RegistryReader
    from forecasting.adapters.registry.records import ModelVersion
    from forecasting.arrays import Floats
    from forecasting.bundle.bundle import Bundle
    from forecasting.bundle.signature import TrustedKeys


def trained_bundle(
    registry: "RegistryReader", record: "ModelVersion", folder: Path, keys: "TrustedKeys | None"
) -> "Bundle":
    """The bundle of a version, with the calibration that it brings.

    Args:
        registry: where it is.
        record: the version.
        folder: where its files are to be.
        keys: must have signed it; None where signatures are not asked for.

    Raises:
        BundleRejected: it is not what its digest or its signature promises.
        RegistryUnavailable: the registry cannot be reached.
    """
    from forecasting.bundle.bundle import load_bundle

    digest = record.checked_digest
    if keys is not None:
        keys.verified(record.signature, model=registry.model, version=record.version, digest=digest)
    return load_bundle(registry.download_bundle(record, folder), expected_digest=digest)


def random_walks(
    bundle: "Bundle",
    calibrations: Calibrations,
    numbers: "Iterable[int]",
    *,
    model: str,
    version: str,
    keys: "TrustedKeys | None",
    notes: list[str],
) -> "dict[int, Floats]":
    """The random walk as it was stretched under each of some calibrations of a version.

    Args:
        bundle: of the version, as trained.
        calibrations: where they are.
        numbers: of the calibrations; 0 for the bundle's own.
        model: name of the registered model.
        version: its number.
        keys: must have signed them; None where signatures are not asked for.
        notes: what a reader should know is added: of calibrations that are gone or damaged.

    Returns:
        By number, quantiles [H, Q] of the return over one bar's volatility.

    Raises:
        Unavailable: the ledger cannot be reached.
    """
    wanted = set(numbers)
    rows = {row.number: row for row in calibrations.history(model, version)} if wanted - {0} else {}
    found: dict[int, Floats] = {}
    for number in sorted(wanted):
        try:
            if number == 0:
                found[0] = bundle.baseline.spread
            elif number in rows:
                stretched = applied(bundle, verified(rows[number], model, keys))
                found[number] = stretched.baseline.spread
            else:
                notes.append(
                    f"calibration {number} of version {version} is gone: no skill is known"
                )
        except BundleRejected as error:
            notes.append(f"no skill under calibration {number} of version {version}: {error}")
    return found


def calibrated(
    bundle: "Bundle",
    calibrations: Calibrations,
    model: str,
    version: str,
    keys: "TrustedKeys | None",
) -> "Bundle":
    """A bundle with the calibration that the ledger has in force for its version.

    Raises:
        BundleRejected: the calibration is damaged, not signed by one of the keys, or another
            bundle's.
        Unavailable: the ledger cannot be reached.
    """
    row = calibrations.current(model, version)
    return bundle if row is None else applied(bundle, verified(row, model, keys))
