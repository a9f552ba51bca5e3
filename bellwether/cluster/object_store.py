"""Makes the platform's object store read its accounts anew when they have changed."""

import hashlib
import json
from typing import Final

from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl, follow, run
from bellwether.console import Step

NAMESPACE: Final = "bellwether-objectstore"
# Made by values/seaweedfs.yaml and by foundation.
DEPLOYMENT: Final = "seaweedfs-all-in-one"
IDENTITIES: Final = "bellwether-objectstore-identities"
ANNOTATION: Final = "bellwether.io/identities"


def read_accounts(kubectl: Kubectl, step: Step) -> None:
    """Restart the store unless its pod was started with the list of accounts that is there now.

    It reads the list when it starts. The list's digest is noted on the pods' template, so that a
    list that is unchanged restarts nothing, whenever this is called.

    Raises:
        Unavailable: the cluster cannot be asked, or the store did not come back.
    """
    place = Installation(kubectl, NAMESPACE, DEPLOYMENT)
    if not place.exists("deployment", DEPLOYMENT) or not place.exists("secret", IDENTITIES):
        return
    listed = json.dumps(place.objects("secret", IDENTITIES)["data"], sort_keys=True)
    noted = {ANNOTATION: hashlib.sha256(listed.encode()).hexdigest()[:16]}
    template = place.objects("deployment", DEPLOYMENT)["spec"]["template"]
    if template.get("metadata", {}).get("annotations", {}).get(ANNOTATION) == noted[ANNOTATION]:
        return
    step.doing("the object store reads its accounts")
    patch = json.dumps({"spec": {"template": {"metadata": {"annotations": noted}}}})
    run(place.command("patch", "deployment", DEPLOYMENT, "--patch", patch))
    follow(
        place.command("rollout", "status", f"deployment/{DEPLOYMENT}", "--timeout=5m"),
        lambda _: step.doing("the object store starts anew"),
    )
