"""What is removed and in which order, and what is refused before anything is done.

What the platform's releases are told of a run is tested in tests/chart/test_platform.py.
"""

import json
from pathlib import Path

import pytest

from bellwether.cluster.helmfile import platform_releases
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl
from bellwether.cluster.up import Plan, bring_up, check_plan, show_addresses, take_down
from bellwether.console import Steps
from forecasting.errors import InvalidSettings

HERE = Installation(Kubectl(), "bw", "bellwether")


def test_options_that_name_nothing_are_refused(tmp_path):
    assert check_plan(Plan(HERE)) == platform_releases()
    with pytest.raises(InvalidSettings, match="minio"):
        check_plan(Plan(HERE, skip=("minio",)))
    with pytest.raises(InvalidSettings, match="a values file must exist"):
        check_plan(Plan(HERE, values=(tmp_path / "values.yaml",)))
    with pytest.raises(InvalidSettings, match="a profile must be known"):
        check_plan(Plan(HERE, profile="large"))


@pytest.fixture
def installed(programs):
    """Every release is there, and a version that a rollout made."""
    programs.answer(out="{}")
    programs.answer("helm list", out=[{"status": "deployed", "chart": "x-1", "revision": "1"}])
    programs.answer("get inferenceservices", out="isvc/bellwether-v1\n")
    programs.answer("get poddisruptionbudgets", out="")
    programs.answer("get horizontalpodautoscalers", out="")
    return programs


def removed(programs):
    return [call.split()[2] for call in programs.calls("helm uninstall")]


def test_only_bellwether_is_removed_unless_more_is_asked_for(installed):
    take_down(Plan(HERE), Steps(), platform=False, data=False)
    assert removed(installed) == ["bellwether"]
    changes = [call for call in installed.calls() if " delete " in call or "uninstall" in call]
    assert [call.split()[2] for call in changes] == ["isvc/bellwether-v1", "bellwether", "jobs"]
    assert installed.calls("delete namespace") == []


def test_the_platform_is_removed_in_the_opposite_order_and_data_last(installed):
    take_down(Plan(HERE), Steps(), platform=True, data=True)
    names = [release.name for release in platform_releases()]
    assert removed(installed) == ["bellwether", *reversed(names)]
    namespaces = [call.split()[3] for call in installed.calls("delete namespace")]
    assert namespaces == ["bellwether-data", "bellwether-objectstore", "bw", "kubeflow"]
    assert "delete namespace" in installed.calls()[-1]


def test_without_credentials_nothing_is_installed(programs, monkeypatch):
    monkeypatch.setattr("bellwether.cluster.up._check_cluster", lambda *_: "")
    programs.answer("helm list", out=[])
    programs.answer("kubectl get secret", err="not found", code=1)
    with pytest.raises(InvalidSettings, match="no Secret bellwether-objectstore, bellwether-data"):
        bring_up(Plan(HERE, skip=("all",)), Steps())
    assert programs.calls("helm upgrade") == []


def test_bellwether_is_installed_with_the_values_of_the_run(
    programs, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr("bellwether.cluster.up._check_cluster", lambda *_: "")
    values = tmp_path / "values.yaml"
    values.write_text("a: 1\n")
    programs.answer("helm list", out=[{"status": "deployed", "chart": "x-1", "revision": "1"}])
    programs.answer("helm get values", out={"a": 0})
    programs.answer("kubectl get", out={"items": []})
    programs.answer("get secret bellwether-signing", err="not found", code=1)
    plan = Plan(HERE, skip=("all",), values=(values,), settings=("b=2",), training=False)
    bring_up(plan, Steps())
    (call,) = programs.calls("helm upgrade")
    assert call.startswith("helm upgrade --install bellwether")
    assert call.endswith(f"--values {values} --set b=2 --namespace bw")
    printed = capsys.readouterr().out
    assert "signatures of versions: not asked for" in printed
    assert "docs/signing.md says how to begin: bellwether rollout adopt" in printed
    assert Path(call.split()[4]).name == "bellwether"


def test_values_that_the_chart_refuses_are_refused_before_anything_is_installed(
    programs, monkeypatch
):
    monkeypatch.setattr("bellwether.cluster.up._check_cluster", lambda *_: "")
    said = "Error: execution error at (bellwether/templates/requirements.yaml:7:4): a must be b: found c."
    programs.answer("kubectl version", out={"serverVersion": {"gitVersion": "v1.34.4"}})
    programs.answer("helm template", err=f"{said}\n", code=1)
    with pytest.raises(InvalidSettings, match="a must be b: found c") as refused:
        bring_up(Plan(HERE, settings=("a=c",)), Steps())
    assert "requirements.yaml" not in str(refused.value)
    assert programs.calls("helm upgrade") == []
    (call,) = programs.calls("helm template")
    assert call.endswith("--set a=c --namespace bw")
    assert "--kube-version v1.34.4" in call


def test_on_the_loopback_a_login_is_drawn_before_the_chart_is_installed_and_printed_at_the_end(
    programs, monkeypatch, capsys
):
    monkeypatch.setattr("bellwether.cluster.up._check_cluster", lambda *_: "")
    programs.answer(out="{}")
    programs.answer("helm list", out=[])
    programs.answer("kubectl get", out={"items": []})
    programs.answer("get secret", out="secret/there")
    for secret in ("bellwether-login", "bellwether-signing"):
        programs.answer(f"get secret {secret}", "--output name", err="not found", code=1)
    programs.answer("get inferenceservices", "--output name", out="")
    bring_up(Plan(HERE, skip=("all",), port=8080, training=False), Steps())
    order = [call for call in programs.calls() if " create " in call or "helm upgrade" in call]
    assert [call.split()[1] for call in order] == ["create", "create", "upgrade"]
    assert "values/loopback/bellwether.yaml" in order[2]
    made = [json.loads(text)["metadata"]["name"] for text in programs.given("create --filename")]
    assert made == ["bellwether-login", "bellwether-signing"]
    assert "password" not in "".join(programs.calls())
    # The chart is told of the keys that a fresh installation signs with.
    assert "--set signing.existingSecret=bellwether-signing" in order[2]
    assert "--set signing.trustedKeys=-----BEGIN PUBLIC KEY-----" in order[2]
    assert "PRIVATE" not in "".join(programs.calls()) + capsys.readouterr().out


def test_the_login_is_printed_with_a_command_that_reads_it_again(programs, capsys):
    programs.answer("kubectl get", out={"items": []})
    programs.answer("get secret", out="secret/bellwether-login")
    data = {"username": "dQ==", "password": "c2VjcmV0"}
    programs.answer("get secret", "--output json", out={"data": data})
    show_addresses(HERE, 8080, password=True)
    printed = capsys.readouterr().out
    assert "user u, password secret" in printed
    assert "kubectl get secret bellwether-login" in printed
    show_addresses(HERE, 8080)
    assert "secret" not in capsys.readouterr().out.split("To read")[0]


def test_addresses_are_printed_with_a_command_to_try(programs, capsys):
    route = {"metadata": {"name": "x-forecast"}, "spec": {"hostnames": ["f.example"]}}
    programs.answer("get httproutes", out={"items": [route]})
    programs.answer("get gateways", out={"items": []})
    show_addresses(HERE, 8080)
    printed = capsys.readouterr().out
    assert "http://f.example:8080" in printed
    assert "curl -s -H 'Host: f.example' http://127.0.0.1:8080/v2/" in printed
