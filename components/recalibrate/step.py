"""The recalibrate step: a snapshot -> calibrations of the versions in use, in the ledger.

Tested on real prices and a real registry, in tests/integration/test_training_pipeline.py.
"""

import json
from dataclasses import asdict

from components.report import PROGRESS, reported, tell
from forecasting.settings import Settings


@reported("recalibrate")
def run(*, snapshot: str, dataset: str, outcome: str) -> str:
    """Recalibrate; see the component for the arguments.

    Raises:
        InvalidSettings: in a training, there are trusted keys and no key to sign with.
        LeakFound: the checks found a leak in the features; calibrations stay.
        BundleRejected: a version's bundle is not what its digest or signature promises.
        RegistryUnavailable, Unavailable: registry or ledger cannot be reached.
    """
    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.recalibration import Reference, recalibrate_versions
    from forecasting.adapters.signing_keys import signer_of, trusted_keys_of
    from forecasting.models.candidates import NULL_MODEL

    settings = Settings()
    if not outcome and trusted_keys_of(settings) is not None and signer_of(settings) is None:
        # A refresh talks to price providers, so not everywhere it holds the key that signs.
        _say("not recalibrated: there is no key to sign with here, the next training does it")
        return "[]"
    lake = Lake(settings.lake)
    reference = None
    if outcome:
        trained = json.loads(outcome)
        reference = Reference(trained["runs"][NULL_MODEL], trained["specification"])
    done, failures = recalibrate_versions(
        settings,
        lake,
        lake.snapshot(dataset, snapshot),
        who="training" if outcome else "refresh",
        why="a training looked at these prices" if outcome else "it was due",
        tell=_say,
        days=0 if outcome else settings.recalibration_days,
        reference=reference,
    )
    if failures:
        raise failures[0]
    return json.dumps([asdict(one) for one in done], sort_keys=True)


def _say(sentence: str) -> None:
    tell("recalibrate", "", PROGRESS, message=sentence)
