"""Adds to a pipeline's steps what they need on a cluster: settings, credentials, limits, mounts.

Settings come from a ConfigMap, credentials from Secrets that are named one by one, and every pod
has a time limit, a user that is not root, and a scratch folder of bounded size. A record step runs
when the others have ended, however they ended. The pipelines themselves know nothing of this, so
that a laptop runs them as they are.

KFP's launcher runs inside a step's container as the step's user. It writes to /tmp (outputs), to
/s3, /minio or /gcs (artifacts; KFP mounts empty folders there) and to /kfp-launcher (itself, copied
by an init container), so /tmp is all that we have to mount. `kfp.kubernetes` cannot set
readOnlyRootFilesystem; with this nothing of ours writes elsewhere. KFP itself adds no privilege
escalation, no capabilities and the default seccomp profile: together the restricted standard.
"""

import inspect
from functools import wraps
from typing import Any, Final

from kfp import dsl, kubernetes
from kfp.dsl.pipeline_context import Pipeline

from components.record.component import record
from components.run_notes import RUN_ID
from forecasting.settings import Settings
from pipelines.cluster_names import ClusterNames
from pipelines.tasks import with_resources, with_retries, without_cache

USER: Final = 10001
"""User and group of the pipeline image."""

SCRATCH: Final = "/tmp"  # noqa: S108 - the pod's own
STATE: Final = f"{SCRATCH}/bellwether"

MINUTES: Final = {
    "needs": 10,
    "fetch": 30,
    "ingest": 30,
    "features": 60,
    "train": 240,
    "evaluate": 60,
    "register": 20,
    "publish": 60,
    "recalibrate": 60,
    "forecast": 20,
    "record": 10,
}
"""Longest time one attempt of a step may take."""

_OF_SERVERS: Final = (
    *(
        "server_",
        "http_",
        "grpc_",
        "inference_",
        "page_",
        "bundle_",
        "model_version",
        "trusted_keys",
    ),
    *("stale_", "refuse_", "reload_", "keep_", "prediction_log_queue", "prediction_log_own_bars"),
)
_NEVER_IN_A_CONFIG_MAP: Final = (
    *("state_dir", "tiingo_token", "tinvest_token", "signing_key", "versions_on_demand"),
)
SETTING_VARIABLES: Final = (
    *(
        f"BELLWETHER_{name.upper()}"
        for name in Settings.model_fields
        if not name.startswith(_OF_SERVERS + _NEVER_IN_A_CONFIG_MAP)
    ),
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
"""Keys of the ConfigMap that a step takes, each if it is there."""

OF_SIGNERS: Final = ("BELLWETHER_TRUSTED_KEYS",)
"""Keys that the steps of `SIGNERS` take, too: they sign where signatures are verified."""

SIGNERS: Final = ("register", "recalibrate")
"""Steps that hold the signing key."""

_LABEL_OF_RUN: Final = "metadata.labels['pipeline/runid']"


def on_cluster(pipeline: Any, names: ClusterNames, *, job: str, last_step: str) -> Any:
    """The same pipeline with all that its steps need on a cluster, to be compiled.

    Args:
        pipeline: what `dsl.pipeline` made.
        names: what the steps find in their namespace.
        job: what a run is in the metrics.
        last_step: the step without which a run is no success.

    Returns:
        Another pipeline of the same name and parameters. It has no outputs of its own: KFP allows
        none beside an exit handler, and people look at the steps' anyway.
    """
    steps = pipeline.pipeline_func
    signature = inspect.signature(steps)

    @wraps(steps)
    def compiled(*values: Any) -> None:
        arguments = dict(zip(signature.parameters, values, strict=True))
        recorded = record(job=job, last_step=last_step, dataset=arguments["dataset"])
        with_resources(recorded, cpu="1", memory="1G")
        with_retries(recorded)
        without_cache(recorded)
        with dsl.ExitHandler(recorded, name="run"):
            steps(**arguments)
        for task in Pipeline.get_default_pipeline().tasks.values():
            _prepare(task, names)

    # KFP reads a pipeline's parameters off its signature and its outputs off the return hint.
    without_outputs = signature.replace(return_annotation=None)
    compiled.__signature__ = without_outputs  # type: ignore[attr-defined]
    compiled.__annotations__ = {
        name: hint for name, hint in steps.__annotations__.items() if name != "return"
    }
    return dsl.pipeline(name=pipeline.name, description=pipeline.description)(compiled)


def _prepare(task: dsl.PipelineTask, names: ClusterNames) -> None:
    """Give one step what it needs and no more."""
    step = str(task.component_spec.name)
    for variable, value in {
        "BELLWETHER_STATE_DIR": STATE,
        "HOME": SCRATCH,
        "MPLCONFIGDIR": f"{STATE}/matplotlib",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        task.set_env_variable(variable, value)
    names_of_settings = SETTING_VARIABLES + (OF_SIGNERS if step in SIGNERS else ())
    variables = {name: name for name in names_of_settings}
    kubernetes.use_config_map_as_env(task, names.settings, variables, optional=True)
    kubernetes.use_field_path_as_env(task, RUN_ID, _LABEL_OF_RUN)
    if names.object_store:
        keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        kubernetes.use_secret_as_env(task, names.object_store, {key: key for key in keys})
    if (
        step in {"evaluate", "register", "needs", "publish", "recalibrate", "forecast"}
        and names.database
    ):
        # libpq reads these where a URL names neither user nor password.
        login = {"username": "PGUSER", "password": "PGPASSWORD"}
        kubernetes.use_secret_as_env(task, names.database, login)
    if step in SIGNERS and names.signing:
        key = {"signing.pem": "BELLWETHER_SIGNING_KEY"}
        kubernetes.use_secret_as_env(task, names.signing, key, optional=True)
    if step in {"fetch", "ingest"} and names.providers:
        tokens = {
            "tiingoToken": "BELLWETHER_TIINGO_TOKEN",
            "tinvestToken": "BELLWETHER_TINVEST_TOKEN",
        }
        kubernetes.use_secret_as_env(task, names.providers, tokens, optional=True)
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    kubernetes.set_timeout(task, MINUTES[step] * 60)
    kubernetes.empty_dir_mount(task, "scratch", SCRATCH, size_limit="2Gi")
