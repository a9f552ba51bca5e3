"""The kind cluster is made once, made anew when it is broken, and removed when it is there."""

from types import SimpleNamespace

import pytest

from bellwether.cluster import kind
from bellwether.console import Steps
from bellwether.doctor import CheckResult


def test_the_gateways_ports_are_those_of_the_configuration():
    host, node = kind.gateway_ports()
    assert (host, 30_000 <= node <= 32_767) == (8080, True)


def test_a_cluster_is_made_from_the_configuration(programs, step):
    kind.create(step)
    (call,) = programs.calls("kind create cluster")
    assert str(kind.CONFIG) in call
    assert step.outcome == "created"


def test_a_cluster_that_answers_is_taken_as_it_is(programs, step):
    programs.answer("kind get clusters", out=f"other\n{kind.name()}\n")
    kind.create(step)
    assert (step.outcome, programs.calls("kind create")) == ("already there", [])
    assert programs.calls(f"kubectl --context kind-{kind.name()} get nodes")


def test_a_cluster_that_does_not_answer_is_made_anew(programs, step):
    programs.answer("kind get clusters", out=kind.name())
    programs.answer("kubectl", code=1)
    kind.create(step)
    changes = [
        call.split()[1] for call in programs.calls("cluster", kind.name()) if "get" not in call
    ]
    assert changes == ["delete"]
    assert programs.calls("kind create")
    assert step.outcome == "created"


def test_another_cluster_is_not_taken_for_it(programs, step):
    programs.answer("kind get clusters", out=f"{kind.name()}-other")
    assert not kind.exists()
    kind.remove(step)
    assert (step.outcome, programs.calls("kind delete")) == ("not there", [])


def test_images_are_loaded_into_the_cluster_of_that_name(programs, step):
    kind.load(["bellwether/ui:dev"], step)
    assert programs.calls(f"kind load docker-image --name {kind.name()} bellwether/ui:dev")


@pytest.mark.parametrize("there", [True, False])
def test_a_port_may_be_held_by_the_cluster_that_is_there(monkeypatch, there):
    checks, plans = [], []
    well = [
        CheckResult("kind", ok=True, detail="0.30.0"),
        CheckResult("docker", ok=True, detail="28"),
    ]

    def check_machine(profile, port, *, own):
        checks.append((profile, port, own))
        return well

    images = SimpleNamespace(image="bellwether/ui:dev")
    monkeypatch.setattr(kind, "check_machine", check_machine)
    monkeypatch.setattr(kind, "exists", lambda: there)
    monkeypatch.setattr(kind, "create", lambda step: None)
    monkeypatch.setattr(kind, "load", lambda built, step: None)
    monkeypatch.setattr(kind, "bring_up", lambda plan, steps: plans.append(plan))
    monkeypatch.setattr("bellwether.cluster.images.build_images", lambda **_: [images])
    kind.bring_up_kind("default", (), (), ("b=2",), Steps(), training=False)
    assert checks == [("default", 8080, False), ("default", 8080, True)][: 1 + there]
    (plan,) = plans
    assert plan.settings == (
        *("images.registry=", "images.ui.repository=bellwether/ui", "images.ui.tag=dev"),
        "b=2",
    )
    assert (plan.port, plan.training) == (8080, False)
