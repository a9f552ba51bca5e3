"""The key pair by which an installation's versions are signed: made once, kept in a Secret, handed to the chart."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bellwether.cluster.helmfile import Installed, single_values
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import ask, run
from forecasting.adapters.cluster.manifests import RolloutConfig, read_version_spec
from forecasting.adapters.signing_keys import SIGNING, TRUSTED
from forecasting.bundle.signature import Signer, TrustedKeys, new_key
from forecasting.errors import BellwetherError, BundleRejected, InvalidSettings
from serving.rollout.signed import SignedVersions

SECRET: Final = "bellwether-signing"  # noqa: S105 - a name
BEGIN: Final = "docs/signing.md says how to begin: bellwether rollout adopt"


@dataclass(frozen=True)
class KeyPair:
    """A private key, and the public keys that are trusted beside its own; both PEM."""

    signing: str
    trusted: str

    @classmethod
    def of(cls, signing: str, trusted: str = "") -> "KeyPair":
        """A private key with the keys that count; without any, its own public key.

        Raises:
            InvalidSettings: one of them is no key.
        """
        signer = Signer(signing.encode())
        if trusted.strip():
            TrustedKeys(trusted.encode())
        return cls(signing, trusted if trusted.strip() else signer.public_pem().decode())

    @property
    def keys(self) -> str:
        """Ids of the trusted keys, as people see them."""
        return ", ".join(key[:16] for key in TrustedKeys(self.trusted.encode()).ids)


@dataclass(frozen=True)
class Signing:
    """What the chart of an installation is told.

    Attributes:
        settings: single values, as `helm --set` takes them.
        said: whether versions are verified, in words.
        begun: whether they are, or the values decide; False where an operator has to begin.
    """

    settings: tuple[str, ...]
    said: str
    begun: bool = True


def settle(
    here: Installation,
    installed: Installed | None,
    values: Mapping[str, Any],
    settings: Sequence[str],
) -> Signing:
    """Decide whether versions are signed, and have the keys for it.

    A fresh installation signs from its first version on. One that is there has versions that nobody
    signed, and would serve none of them any more, so an operator begins. Values decide above all.

    Args:
        here: the installation; its namespace is there.
        installed: the release as Helm knows it; None where it does not.
        values: given to the chart, merged.
        settings: single values above these.

    Raises:
        InvalidSettings: versions are verified, and the keys are gone; or the Secret holds none.
        Unavailable: the cluster cannot be asked, or refuses the Secret.
    """
    pair = kept(here)
    if values.get("signing") or any(one.startswith("signing.") for one in settings):
        _share(here, pair, values, settings)
        return Signing((), "as the values say")
    verifies = bool((installed.values if installed else {}).get("signing", {}).get("trustedKeys"))
    if verifies and pair is None:
        raise InvalidSettings(
            "an installation that verifies versions goes on doing so",
            f"no Secret {SECRET} in {here.namespace}, and no values that name keys",
            "Put the keys back, or say what counts: -f FILE with signing.existingSecret and "
            "signing.trustedKeys; docs/signing.md says what to do when a key is lost",
        )
    if not verifies and (installed is not None or (pair is None and _versions(here))):
        return Signing((), "not asked for", begun=False)
    if pair is None:
        pair = KeyPair.of(new_key().decode())
        _create(here, here.namespace, {SIGNING: pair.signing, TRUSTED: pair.trusted})
    _share(here, pair, values, settings)
    told = (f"signing.existingSecret={SECRET}", f"signing.trustedKeys={pair.trusted}")
    return Signing(told, f"verified by key {pair.keys}")


def kept(here: Installation, name: str = SECRET) -> KeyPair | None:
    """The keys in an installation's Secret; None without it.

    Raises:
        InvalidSettings: it holds no private key, or none that can be read.
        Unavailable: the cluster cannot be asked.
    """
    if not here.exists("secret", name):
        return None
    data = here.objects("secret", name).get("data", {})
    read = {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
    if SIGNING not in read:
        raise InvalidSettings(
            f"Secret {name} must hold {SIGNING}, the private key that signs versions",
            f"in {here.namespace} it holds {', '.join(sorted(read)) or 'nothing'}",
            "Make it anew: bellwether key, then kubectl create secret generic (docs/signing.md)",
        )
    return KeyPair.of(read[SIGNING], read.get(TRUSTED, ""))


def judge(config: RolloutConfig, services: Mapping[str, Any]) -> str:
    """Say whether versions are verified, and that those that run were signed by a trusted key.

    Raises:
        BellwetherError: one runs that no trusted key signed.
    """
    signed, wrong = SignedVersions(config, None), []
    for service in services["items"]:
        try:
            signed.check_running(read_version_spec(service))
        except BundleRejected as error:
            wrong.append(error.found)
    if wrong:
        raise BellwetherError(
            "every version that runs must be signed by a trusted key",
            "; ".join(wrong),
            "bellwether rollout adopt VERSION if you trust it, then bellwether rollout sync; "
            "else bellwether rollout delete VERSION",
        )
    said = signed.in_words()
    return said if config.trusted_keys else f"{said}; {BEGIN}"


def _versions(here: Installation) -> bool:
    """Whether versions run, as those that a removed release has left."""
    listed = ask(here.command("get", "inferenceservices.serving.kserve.io", "--output", "name"))
    return listed.code == 0 and bool(listed.out.strip())


def _share(
    here: Installation,
    pair: KeyPair | None,
    values: Mapping[str, Any],
    settings: Sequence[str],
) -> None:
    """Give the register step of Kubeflow Pipelines, whose pods are elsewhere, the private key."""
    single = single_values(settings)
    engine = single.get("training.engine", values.get("training", {}).get("engine"))
    if pair is None or engine != "kfp":
        return
    there = values.get("kubeflowPipelines", {})
    prefix = "kubeflowPipelines"
    namespace = single.get(f"{prefix}.namespace", there.get("namespace", "kubeflow"))
    name = single.get(f"{prefix}.signingSecret", there.get("signingSecret", SECRET))
    if not here.kubectl.exists("secret", str(name), "--namespace", str(namespace)):
        _create(here, str(namespace), {SIGNING: pair.signing}, str(name))


def _create(
    here: Installation, namespace: str, data: Mapping[str, str], name: str = SECRET
) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "bellwether"}},
        "type": "Opaque",
        "stringData": dict(data),
    }
    # By standard input: the arguments of a program are there for every user to read.
    command = here.kubectl.command("create", "--filename", "-", "--namespace", namespace)
    run(command, json.dumps(secret))
