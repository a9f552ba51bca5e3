"""Settings by which a command on this machine reaches an installation's registry, ledger and keys."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bellwether.cluster.connections import reached, service_in, with_login
from bellwether.cluster.installation import Installation
from bellwether.cluster.signing import SECRET, KeyPair, kept
from forecasting.adapters.cluster.manifests import RolloutConfig
from forecasting.adapters.cluster.port_forward import PortForward
from forecasting.adapters.signing_keys import signing_pem
from forecasting.errors import InvalidSettings
from forecasting.settings import Settings

_LEDGER: Final = "BELLWETHER_PREDICTION_LOG_URL"


@contextmanager
def opened_settings(installation: Installation) -> Iterator[Settings]:
    """Settings of an installation for as long as its ports are forwarded to here.

    A variable that names an address or the key always wins over what the cluster says. Nothing of
    the state folder counts: a demo's key and ledger are not an installation's.

    Raises:
        InvalidSettings: the release does not say where its ledger is, or has no key.
        Unavailable: the cluster cannot be asked, or a port not be forwarded.
    """
    name = f"{installation.release}-rollout"
    config = RolloutConfig.parse(name, installation.objects("configmap", name)["data"])
    own = Settings()
    pair = _keys(installation, own, config)
    with ExitStack() as stack:
        registry = (
            f"http://{config.registry_service}.{installation.namespace}.svc:{config.registry_port}"
        )
        updates = {
            "registered_model": config.model,
            "signing_key": pair.signing,
            "trusted_keys": pair.trusted,
            "prediction_log_url": own.prediction_log_url
            or ledger_address(installation, config, stack),
        }
        if not os.environ.get("BELLWETHER_REGISTRY_URL"):
            updates["registry_url"] = reached(installation, registry, stack)
        yield own.model_copy(update=updates)


@contextmanager
def ledger_settings(installation: Installation) -> Iterator[Settings]:
    """Settings that name an installation's model and ledger, for as long as its port is forwarded.

    Raises:
        InvalidSettings: the release does not say where its ledger is.
        Unavailable: the cluster cannot be asked, or the port not be forwarded.
    """
    name = f"{installation.release}-rollout"
    config = RolloutConfig.parse(name, installation.objects("configmap", name)["data"])
    own = Settings()
    with ExitStack() as stack:
        ledger = own.prediction_log_url or ledger_address(installation, config, stack)
        yield own.model_copy(
            update={"registered_model": config.model, "prediction_log_url": ledger}
        )


def _keys(installation: Installation, own: Settings, config: RolloutConfig) -> KeyPair:
    """The key of the variable, else that of the Secret; trusted are the release's, if it has any."""
    if own.signing_key and (pem := signing_pem(own)):
        return KeyPair.of(pem.decode(), config.trusted_keys)
    pair = kept(installation)
    if pair is None:
        raise InvalidSettings(
            "adopting a version takes the key that signs",
            f"no Secret {SECRET} in {installation.namespace}, and no BELLWETHER_SIGNING_KEY",
            "docs/signing.md says how to make it",
        )
    return KeyPair.of(pair.signing, config.trusted_keys or pair.trusted)


def ledger_address(installation: Installation, config: RolloutConfig, stack: ExitStack) -> str:
    """The database of ledger and prediction log with its login, on a port of this machine if need be.

    Args:
        installation: whose Secret has the login.
        config: names the database and the Secret.
        stack: ends the forward.

    Raises:
        InvalidSettings: the release does not say where the database is.
        Unavailable: the cluster cannot be asked, or a port not be forwarded.
    """
    if not config.ledger_url:
        raise InvalidSettings(
            "it must be known where the ledger's database is",
            f"release {installation.release} does not say, it is of before versions were signed",
            f"Upgrade it: bellwether cluster up, or helm upgrade; or set {_LEDGER}",
        )
    data = installation.objects("secret", config.ledger_secret).get("data", {})
    local = ""
    if service := service_in(installation, config.ledger_url):
        context = installation.kubectl.context
        forward = PortForward(service.namespace, service.service, service.port, context)
        local = stack.enter_context(forward).address()
    return with_login(config.ledger_url, data, local)
