"""The restricted Pod Security Standard, as rules over a pod's spec, and two rules of our own."""

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
WRITABLE = {"/tmp", "/var/lib/bellwether"}


def violations(spec):
    """What the standard forbids in this pod."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{field} is on"
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']} is of a forbidden kind"
    pod = spec.get("securityContext", {})
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        name, own = container["name"], container.get("securityContext", {})
        if own.get("privileged"):
            yield f"{name} is privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may gain privileges"
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield f"{name} keeps capabilities"
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name} adds capabilities"
        if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            yield f"{name} may run as root"
        if own.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"{name} runs as root"
        profile = own.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
        if profile not in {"RuntimeDefault", "Localhost"}:
            yield f"{name} has no seccomp profile"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield f"{name} takes a port of the node"


def own_violations(spec):
    """What this project asks for beyond the standard."""
    folders = {volume["name"] for volume in spec.get("volumes", []) if "emptyDir" in volume}
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        name = container["name"]
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{name} may write to its root"
        mounted = {m["mountPath"] for m in container["volumeMounts"] if m["name"] in folders}
        if mounted != WRITABLE:
            yield f"{name} may write to {mounted}"
        resources = container.get("resources", {})
        if "memory" not in resources.get("limits", {}) or "cpu" not in resources.get(
            "requests", {}
        ):
            yield f"{name} has no memory limit or no CPU request"
    if spec.get("securityContext", {}).get("runAsUser") != 10001:
        yield "the user is not 10001"
    if spec.get("automountServiceAccountToken") is not False:
        yield "a token is mounted"
