"""Settings: addresses, folders and limits, read from BELLWETHER_* variables; defaults for a laptop.

Settings say where things are; parameters (symbols, horizon, dates) say what a run does and are
arguments of the pipelines and commands, never settings.
"""

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from forecasting.errors import InvalidSettings
from forecasting.path_names import require_digest

MOST_ALPHA: Final = 0.05
"""Highest level of the promotion gates: the error rates in docs/honesty.md are counted at it."""


class Settings(BaseSettings):
    """Addresses, folders and limits. Every field is the variable BELLWETHER_<FIELD>."""

    model_config = SettingsConfigDict(
        env_prefix="BELLWETHER_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    state_dir: Path = Path(".bellwether")
    """Folder that holds everything a laptop run keeps; `make clean-demo` removes it."""

    lake_url: str = ""
    """fsspec URL of the price and feature lake; default: lake/ in state_dir."""

    registry_url: str = "http://127.0.0.1:5000"
    """Tracking and registry address of the MLflow server."""

    registry_public_url: str = ""
    """Address of MLflow as a reader's browser reaches it; default: registry_url."""

    pipelines_public_url: str = ""
    """Address of Kubeflow Pipelines' page as a reader's browser reaches it; "" if there is none."""

    pipelines_url: str = ""
    """Address of Kubeflow Pipelines' API, where page and drift job start trainings; "" for none."""

    registered_model: str = "bellwether"
    """Name of the model in the registry and in V2 paths."""

    bundle_url: str = ""
    """Folder or fsspec URL of the bundle to serve; default: asked from the registry."""

    bundle_digest: str = ""
    """SHA-256 the served bundle's manifest must have, 64 hex digits; default: the registry's tag."""

    bundle_signature: str = ""
    """Signature of the bundle in bundle_url, as the rollout hands it to pods."""

    signing_key: Annotated[str, Field(repr=False)] = ""
    """Private key that signs bundles, PEM or its file; default: keys/signing.pem in state_dir."""

    trusted_keys: str = ""
    """Public keys whose bundles are served, PEM or file; default: keys/trusted.pem in state_dir."""

    model_version: str = ""
    """Version to serve; default: the champion, with the challenger beside it."""

    versions_on_demand: Annotated[int, Field(ge=0)] = 0
    """Further versions the server loads when asked for by number, and keeps; the demo: 4, else 0."""

    server_host: str = "127.0.0.1"
    """Address the model server listens on; 0.0.0.0 in a container."""

    http_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """REST port of the model server."""

    grpc_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """gRPC port of the model server; 0 turns gRPC off."""

    http_connections: Annotated[int, Field(ge=16)] = 512
    """HTTP connections a model server holds; for one more the longest idle one is closed."""

    inference_url: str = "http://127.0.0.1:8080"
    """V2 REST address that the page, the command line and the drift job call."""

    inference_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How long a caller waits for one forecast."""

    stale_after_seconds: Annotated[float, Field(gt=0)] = 4 * 86_400.0
    """Age of the last bar past which an answer says it is stale (a long weekend is not)."""

    refuse_after_seconds: Annotated[float, Field(gt=0)] = 14 * 86_400.0
    """Age of the last bar past which the server refuses to forecast."""

    reload_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How often the model server looks for a new model version or new features."""

    keep_forecasts: bool = True
    """Whether the server keeps a symbol's forecast until its version or features change."""

    prediction_log_url: str = ""
    """SQLAlchemy URL of the prediction log; default: predictions.sqlite in state_dir."""

    prediction_log_queue: Annotated[int, Field(gt=0)] = 10_000
    """Answers that may wait to be logged; more are dropped and counted."""

    prediction_log_own_bars: bool = False
    """Whether forecasts of a caller's own bars are logged, too; else they are counted only."""

    pushgateway_url: str = ""
    """Prometheus Pushgateway for batch jobs; default: a text file in state_dir."""

    page_host: str = "127.0.0.1"
    """Address the page listens on; 0.0.0.0 in a container."""

    page_port: Annotated[int, Field(ge=1, le=65535)] = 7860
    """Port of the page."""

    page_root_path: str = ""
    """Path prefix the page is reached under behind a proxy, e.g. /demo."""

    page_user: str = "page"
    """Name in the audit trail for what the page starts, where no login names anybody."""

    page_login: bool = False
    """Whether a login stands before the page; without, a page for other machines only shows."""

    page_user_header: str = ""
    """Header in which that login names its user to the page, e.g. x-bellwether-user."""

    page_readers: str = "*"
    """Users who may look, names with commas between; * is whoever has the login, - nobody."""

    page_trainers: str = "*"
    """Users who may also start a training as it is scheduled; names, * or -."""

    page_operators: str = "*"
    """Users who may also choose what a training learns from; names, * or -."""

    page_trains: bool = True
    """Whether trainings may be started from the page; false where they run on a schedule."""

    dataset_may_change: bool = False
    """Whether a training may put up a challenger of another data set than the champion's."""

    promotion_alpha: Annotated[
        float, Field(json_schema_extra={"exclusiveMinimum": 0, "maximum": MOST_ALPHA})
    ] = MOST_ALPHA
    """Significance level of the promotion gates, at most 0.05; no run can change it."""

    recalibration_days: Annotated[int, Field(ge=0)] = 7
    """Days of prices after which a refresh recalibrates served intervals; 0: at every newer bar."""

    page_approvals: bool = False
    """Whether a version gets its first requests after a person approved it; operators can on the page."""

    source_deadline_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest time one fetch from a price source may take, retries included."""

    source_base_url: str = ""
    """Address of the price provider's web service; default: the provider's own."""

    tiingo_token: Annotated[str, Field(repr=False)] = ""
    """Token of a Tiingo account; the source tiingo needs it."""

    tinvest_token: Annotated[str, Field(repr=False)] = ""
    """Token of T-Invest (T-Bank); the source tinvest needs it, and reading is all it must allow."""

    fallback_source: str = ""
    """Second price provider, asked when the first fails; its bars are taken where both agreed."""

    fallback_base_url: str = ""
    """Address of the second provider's web service; default: the provider's own."""

    compare_sources: bool = True
    """Whether the second provider's newest bars are compared although the first answered."""

    last_good_days: Annotated[float, Field(ge=0)] = 7.0
    """Oldest snapshot that may stand in when a source fails or limits us, in days."""

    @field_validator("bundle_digest")
    @classmethod
    def _is_a_digest(cls, digest: str) -> str:
        return require_digest(digest, "BELLWETHER_BUNDLE_DIGEST") if digest else digest

    @field_validator("promotion_alpha")
    @classmethod
    def _is_strict_enough(cls, alpha: float) -> float:
        if not 0 < alpha <= MOST_ALPHA:
            raise InvalidSettings(
                f"BELLWETHER_PROMOTION_ALPHA lies above 0 and is at most {MOST_ALPHA}",
                f"{alpha:g}",
                f"Leave it out for {MOST_ALPHA}, or set a smaller one to ask for more evidence",
            )
        return alpha

    def as_variables(self) -> dict[str, str]:
        """These settings as the variables they are read from, paths absolute: for a process."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            f"BELLWETHER_{name.upper()}": str(value.resolve() if isinstance(value, Path) else value)
            for name, value in values.items()
        }

    @property
    def registry_link(self) -> str:
        """MLflow's address for links, default resolved."""
        return self.registry_public_url or self.registry_url

    @property
    def lake(self) -> str:
        """The lake's URL, default resolved."""
        return self.lake_url or str(self.state_dir / "lake")

    @property
    def prediction_log(self) -> str:
        """The prediction log's SQLAlchemy URL, default resolved."""
        return self.prediction_log_url or f"sqlite:///{self.state_dir / 'predictions.sqlite'}"

    @property
    def batch_metrics_file(self) -> Path:
        """Where the drift job writes its metrics when there is no Pushgateway."""
        return self.metrics_file("drift")

    def metrics_file(self, job: str) -> Path:
        """Where a batch job writes its metrics when there is no Pushgateway."""
        return self.state_dir / "metrics" / f"{job}.prom"
