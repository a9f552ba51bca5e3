"""The three images: small, without root, compilers or installers, at work on a read-only root."""

import json
import subprocess

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bellwether.cluster.images import RECIPES
from images.split_locks import requirements
from tests.e2e.cluster import ROOT
from tests.time_limits import seconds

UNCOMPILED = """
import os, sys
cached = {name: getattr(one, "__cached__", None) for name, one in [*sys.modules.items()]}
print([n for n, c in cached.items() if c and "/opt/bellwether" in c and not os.path.exists(c)])
"""
"""Says which of the imported modules have no bytecode: nothing can write it where the root is read-only."""

NAMES = [recipe.name for recipe in RECIPES]
FORBIDDEN = "pip pip3 uv conda apt apt-get dpkg gcc cc g++ clang make ld as curl wget git"


def docker(*words):
    done = subprocess.run(
        ["docker", *words], check=False, capture_output=True, text=True, timeout=seconds(300)
    )
    assert done.returncode == 0, f"docker {' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def inside(name, *command):
    """What a command prints in the image, run the way the cluster runs it."""
    return docker(
        *("run", "--rm", "--network=none", "--read-only", "--user", "10001:10001"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--tmpfs", "/tmp", "--tmpfs", "/var/lib/bellwether:uid=10001,gid=10001"),
        *("--entrypoint", command[0], f"bellwether/{name}:dev", *command[1:]),
    )


@pytest.fixture(scope="module", autouse=True)
def built(images):
    """Built from this tree, by a Docker engine that runs."""


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_an_image_keeps_its_budget_or_says_what_dominates_it(recipe):
    size = int(docker("image", "inspect", "--format", "{{.Size}}", f"bellwether/{recipe.name}:dev"))
    most = recipe.budget * (1.15 if recipe.dominated_by else 1.0)
    assert size <= most, f"{size / 1e6:.0f} MB"


def test_an_image_says_who_it_is_and_needs_no_shell_to_start(name):
    config = json.loads(
        docker("image", "inspect", "--format", "{{json .Config}}", f"bellwether/{name}:dev")
    )
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == f"bellwether-{name}"
    assert labels["org.opencontainers.image.version"]
    assert len(labels["org.opencontainers.image.revision"].removesuffix("+changes")) == 40
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"][0] in {"python", "bellwether"}


def test_nothing_that_installs_or_compiles_is_left(name):
    found = inside(name, "sh", "-c", f"for it in {FORBIDDEN}; do command -v $it; done; true")
    assert found == ""
    code = "import importlib.util as u; print([m for m in ('pip', 'ensurepip') if u.find_spec(m)])"
    assert inside(name, "python", "-c", code) == "[]"


def test_the_root_is_not_writable_and_the_state_folder_is(name):
    code = (
        "import os, pathlib, getpass\n"
        "state = pathlib.Path(os.environ['BELLWETHER_STATE_DIR'])\n"
        "(state / 'x').write_text('x')\n"
        "assert pathlib.Path.home() == state and getpass.getuser() == 'bellwether'\n"
        "try: pathlib.Path('/opt/bellwether/x').write_text('x')\n"
        "except OSError: print(os.getuid())\n"
    )
    assert inside(name, "python", "-c", code) == "10001"


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("serving", "serving.server"),
        ("ui", "gradio_app.app"),
        ("pipeline", "mlflow.server"),
        ("pipeline", "kfp.local"),
        ("pipeline", "evidently"),
    ],
)
def test_what_an_image_is_for_can_be_imported_and_is_compiled(name, module):
    more = "; from components import provenance" if name == "pipeline" else ""
    assert (
        inside(name, "python", "-c", f"import {module}, s3fs, psycopg{more}\n{UNCOMPILED}") == "[]"
    )


def test_an_image_holds_its_lock_and_nothing_else(name):
    lock = (ROOT / "locks" / f"{name}.txt").read_text()
    locked = [Requirement(one.partition("\\")[0]) for one in requirements(lock)]
    code = (
        "import json, platform; from importlib import metadata\n"
        "there = {one.name: one.version for one in metadata.distributions()}\n"
        "print(json.dumps([platform.python_version(), there]))\n"
    )
    python, found = json.loads(inside(name, "python", "-c", code))
    wanted = {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in locked
        if not one.marker or one.marker.evaluate({"python_full_version": python})
    }
    wanted.pop("setuptools", None)  # of use to builds only
    assert found.pop("bellwether")
    assert {canonicalize_name(one): version for one, version in found.items()} == wanted


def test_the_command_works_and_knows_its_revision():
    assert "train" in inside("pipeline", "bellwether", "--help")
    revision = "from components.provenance import git_revision; print(git_revision())"
    labels = docker(
        "image", "inspect", "--format", "{{json .Config.Labels}}", "bellwether/pipeline:dev"
    )
    assert (
        inside("pipeline", "python", "-c", revision)
        == (json.loads(labels)["org.opencontainers.image.revision"])
    )
