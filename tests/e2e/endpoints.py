"""How many endpoints of a version are ready, watched while something happens to its pods."""

import contextlib
import threading
from collections.abc import Iterator

from tests.e2e.cluster import Cluster


@contextlib.contextmanager
def fewest_ready(cluster: Cluster, versions: list[int]) -> Iterator[dict[int, int]]:
    """The fewest ready endpoints seen of each version while the block runs."""
    fewest = dict.fromkeys(versions, 10**6)
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            slices = cluster.get("endpointslices")
            for version in versions:
                service = f"bellwether-v{version}-predictor"
                ready = sum(
                    bool(endpoint["conditions"].get("ready"))
                    for one in slices
                    if one["metadata"]["labels"].get("kubernetes.io/service-name") == service
                    for endpoint in one.get("endpoints") or []
                )
                fewest[version] = min(fewest[version], ready)
            stop.wait(0.25)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield fewest
    finally:
        stop.set()
        watcher.join()
