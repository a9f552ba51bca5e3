"""What `helm template` makes of our charts: objects, or the words with which it refuses.

The functions at the top level are those of charts/bellwether; `PIPELINES` and `DEFINITIONS` are the
other two charts.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from tests.programs import program

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "charts"
# Helm 4 ends every document with an empty line, Helm 3 does not.
EMPTY_END = re.compile(r"(\n *)+(?=\n---\n|\n\Z)")
DRAWN = re.compile(r"^(  (?:password|accesskey|secretkey|identities\.json): ).*$", re.MULTILINE)


def helm(*arguments, check=True):
    """Run helm; its answer."""
    command = [program("helm"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check)


@dataclass(frozen=True)
class Chart:
    """One of our charts, as it is installed: its release and namespace."""

    name: str
    namespace: str
    given: tuple[str, ...] = ()
    """Values without which it refuses, as `--set` takes them."""

    @property
    def folder(self):
        return CHARTS / self.name

    @property
    def golden_files(self):
        return Path(__file__).parent / "golden" / ("" if self == BELLWETHER else self.name)

    @property
    def profiles(self):
        return sorted(path.stem for path in (self.folder / "profiles").glob("*.yaml"))

    def template(self, *arguments, check=True):
        """`helm template` of the release, which is named as the chart is."""
        given = [part for setting in self.given for part in ("--set", setting)]
        place = ("--namespace", self.namespace, *given)
        return helm("template", self.name, self.folder, *place, *arguments, check=check)

    def of_profile(self, profile):
        """The values file of a profile, as helm takes it."""
        return ("--values", self.folder / "profiles" / f"{profile}.yaml") if profile else ()

    @cache  # noqa: B019 - three charts live as long as the tests do
    def render(self, profile="", *settings):
        """Objects of a profile; settings as `--set` takes them, which makes texts of fractions."""
        sets = [
            part
            for setting in settings
            for part in ("--set-json" if FRACTION.search(setting) else "--set", setting)
        ]
        return objects(self.template(*self.of_profile(profile), *sets).stdout)

    def refusal(self, *settings):
        """The words with which values are refused."""
        answer = self.template(*[p for s in settings for p in ("--set", s)], check=False)
        assert answer.returncode != 0, f"accepted: {settings}"
        return answer.stderr

    def golden(self, profile):
        """What the golden file of a profile has to be; passwords are drawn anew at each rendering."""
        text = without_monitoring(self.template(*self.of_profile(profile)).stdout)
        text = EMPTY_END.sub("", text)
        return DRAWN.sub(r"\1(drawn)", text)


FRACTION = re.compile(r"=\d+\.\d+$")
REGISTRY = "images.registry=registry.example.org"
BELLWETHER = Chart("bellwether", "bellwether", given=(REGISTRY,))
PIPELINES = Chart("kubeflow-pipelines", "kubeflow")
DEFINITIONS = Chart("kubeflow-pipelines-crds", "kubeflow")

CHART, GOLDEN, PROFILES = BELLWETHER.folder, BELLWETHER.golden_files, BELLWETHER.profiles
template, render, refusal, golden = (
    BELLWETHER.template, BELLWETHER.render, BELLWETHER.refusal, BELLWETHER.golden,
)  # fmt: skip


def objects(text):
    """The objects in YAML documents."""
    return [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one]


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
        elif made["kind"] in {"Deployment", "StatefulSet", "Job"}:
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


def main():
    """Write the golden files: `make golden`."""
    for chart in (BELLWETHER, PIPELINES):
        chart.golden_files.mkdir(exist_ok=True, parents=True)
        for profile in chart.profiles:
            (chart.golden_files / f"{profile}.yaml").write_text(chart.golden(profile))


if __name__ == "__main__":
    sys.exit(main())
