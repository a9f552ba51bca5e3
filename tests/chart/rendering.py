"""What `helm template` makes of the chart: objects, or the words with which it refuses."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import yaml

from tests.programs import program

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "bellwether"
GOLDEN = Path(__file__).parent / "golden"
PROFILES = sorted(path.stem for path in (CHART / "profiles").glob("*.yaml"))


def helm(*arguments, check=True):
    """Run helm; its answer."""
    command = [program("helm", package="helm"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check)


def template(*arguments, check=True):
    """`helm template` of the release bellwether."""
    return helm(
        "template", "bellwether", CHART, "--namespace", "bellwether", *arguments, check=check
    )


@cache
def render(profile="", *settings):
    """Objects of a profile; settings as `--set` takes them."""
    files = ["--values", CHART / "profiles" / f"{profile}.yaml"] if profile else []
    sets = [part for setting in settings for part in ("--set", setting)]
    return objects(template(*files, *sets).stdout)


def objects(text):
    """The objects in YAML documents."""
    return [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one]


def refusal(*settings):
    """The words with which values are refused."""
    answer = template(*[p for s in settings for p in ("--set", s)], check=False)
    assert answer.returncode != 0, f"accepted: {settings}"
    return answer.stderr


def one(rendered, kind, name):
    """The one object of this kind and name."""
    found = [o for o in rendered if o["kind"] == kind and o["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def rollout_templates(rendered):
    """The objects in the ConfigMap by which the rollout runs versions."""
    data = one(rendered, "ConfigMap", "bellwether-rollout")["data"]
    return [yaml.safe_load(text) for name, text in data.items() if name.endswith(".yaml")]


def pods(rendered):
    """Name and spec of every pod that these objects lead to, the model servers' included."""
    for made in rendered:
        name, spec = f"{made['kind']}/{made['metadata']['name']}", made.get("spec", {})
        if made["kind"] == "Pod":
            yield name, spec
        elif made["kind"] == "Deployment":
            yield name, spec["template"]["spec"]
        elif made["kind"] == "CronJob":
            yield name, spec["jobTemplate"]["spec"]["template"]["spec"]
        elif made["kind"] == "ServingRuntime":
            # KServe makes a pod of the runtime and of the InferenceService's predictor.
            predictor = rollout_templates(rendered)[0]["spec"]["predictor"]
            yield name, {**predictor, **spec}


def without_monitoring(text):
    """A rendering less what templates/monitoring made: it has tests of its own."""
    documents = text.split("---\n")
    return "---\n".join(d for d in documents if "/templates/monitoring/" not in d.split("\n")[0])


def golden(profile):
    """What the golden file of a profile has to be."""
    return without_monitoring(template("--values", CHART / "profiles" / f"{profile}.yaml").stdout)


def main():
    """Write the golden files: `make golden`."""
    GOLDEN.mkdir(exist_ok=True)
    for profile in PROFILES:
        (GOLDEN / f"{profile}.yaml").write_text(golden(profile))


if __name__ == "__main__":
    sys.exit(main())
