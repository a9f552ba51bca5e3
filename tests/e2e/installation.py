"""Puts Bellwether on a cluster as its users do: namespaces, data services, Secrets, one chart."""

import time
from pathlib import Path

from tests.e2e.cluster import DATA_NAMESPACE, DOMAIN, ROOT, STORE_ADDRESS, Cluster, eventually
from tests.e2e.figures import Figures
from tests.e2e.store_accounts import MinioAdmin, rights_on_the_platform
from tests.e2e.testbed import Images
from tests.time_limits import seconds

HERE = Path(__file__).parent
CHART = ROOT / "charts" / "bellwether"
VALUES = HERE / "values.yaml"
RELEASE = "bellwether"


STORE_ACCOUNTS = ("drift", "jobs", "mlflow", "models", "page", "rollout")
"""Accounts of the object store; what each may is what the platform gives it."""


def data_services(cluster: Cluster) -> None:
    """PostgreSQL, Pushgateway, the store's accounts, and the Secrets that say how to reach them."""
    for manifest in sorted((HERE / "manifests").glob("*.yaml")):
        # Without a namespace of ours: these files name theirs.
        cluster.run("kubectl", "apply", "--filename", str(manifest)).expect()
    for name in ("postgresql", "pushgateway"):
        cluster.wait_for_rollout("deployment", name, namespace=DATA_NAMESPACE)
    owner = cluster.secret("bellwether-objectstore")
    admin = MinioAdmin(STORE_ADDRESS, owner["AWS_ACCESS_KEY_ID"], owner["AWS_SECRET_ACCESS_KEY"])
    rights = rights_on_the_platform()
    for account in STORE_ACCOUNTS:
        keys = cluster.secret(f"bellwether-objectstore-{account}")
        admin.make_account(
            keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], rights[account]
        )


def install(
    cluster: Cluster, images: Images, *more: str, chart: Path = CHART, values: Path = VALUES
) -> float:
    """Install the chart, or upgrade to it; how many seconds that took until all was ready."""
    start = time.monotonic()
    tags = [f"--set-string=images.{part}.tag={images.tag(part)}" for part in images.names]
    for _ in range(3):
        done = cluster.helm(
            *("upgrade", "--install", RELEASE, str(chart), "--values", str(values)),
            *tags,
            *more,
            *("--wait", "--timeout", f"{seconds(300):.0f}s"),
        )
        if "failed calling webhook" not in done.output:
            break
        # A machine that stands still for ten seconds costs KServe's controller its lease, and it
        # starts anew.
        time.sleep(seconds(15))
    assert done.code == 0, f"{done.output}\n{cluster.what_happened()}"
    wait = ("wait", "gateway/bellwether", "--for=condition=Programmed")
    cluster.kubectl(*wait, f"--timeout={seconds(120):.0f}s")
    return time.monotonic() - start


def installed(cluster: Cluster) -> bool:
    """Whether a release is there."""
    return RELEASE in cluster.helm("list", "--short").expect().output.split()


def prepare(cluster: Cluster, images: Images, figures: Figures) -> None:
    """Everything that has to be there before the first test; quick where it already is."""
    data_services(cluster)
    first = not installed(cluster)
    seconds = install(cluster, images)
    figures.record(
        "install", "helm install" if first else "helm upgrade, nothing new", seconds, "s"
    )
    eventually(
        "the registry answers through the gateway",
        lambda: cluster.page_request("/health", host=f"mlflow.{DOMAIN}").text == "OK",
        seconds=60,
    )


def memory_mib(cluster: Cluster) -> dict[str, float]:
    """Memory of each namespace's pods, as the metrics server sees it."""
    lines = cluster.run("kubectl", "top", "pods", "--all-namespaces", "--no-headers").expect()
    used: dict[str, float] = {}
    for line in lines.output.strip().splitlines():
        namespace, _, _, memory = line.split()
        used[namespace] = used.get(namespace, 0.0) + float(memory.removesuffix("Mi"))
    return used
