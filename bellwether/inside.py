"""Runs in a pod: uses every connection the pod's settings name, and prints what came of each.

`bellwether cluster doctor` starts it as a Job made from the drift CronJob, so that the addresses,
credentials and network policies it goes through are the ones a real run goes through.
"""

import json
from dataclasses import asdict

from bellwether.doctor import examine_connections
from forecasting.settings import Settings


def main() -> None:
    """One JSON object a line, a line a connection."""
    for finding in examine_connections(Settings()):
        print(json.dumps(asdict(finding)), flush=True)  # noqa: T201 - the doctor reads it


if __name__ == "__main__":
    main()
