"""Names of what the pipelines' steps find in their namespace on a cluster."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterNames:
    """Names of what must be in the namespace the pipelines run in.

    Attributes:
        settings: ConfigMap of BELLWETHER_* and AWS_* variables. BELLWETHER_PREDICTION_LOG_URL is
            written without user and password, which the database's Secret holds.
        object_store: Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "" where the
            pods' service account is known to the store.
        database: Secret with the username and password of the promotion ledger's database; only
            the steps that ask the ledger get it. "" where the URL needs none.
        providers: Secret with tiingoToken and tinvestToken, each if it is there; only the steps
            that ask providers get it. "" for none.
        signing: Secret with signing.pem, the private key that signs versions, if it is there; only
            the register step gets it. "" for none.
    """

    settings: str = "bellwether-settings"
    object_store: str = "bellwether-object-store"
    database: str = "bellwether-database"
    providers: str = ""
    signing: str = "bellwether-signing"
