"""A login is drawn once, kept in a Secret, and never an argument of a program."""

import base64
import json
import subprocess

import pytest

from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl
from bellwether.cluster.login import LENGTH, Login, ensure, how_to_read, kept, needed

HERE = Installation(Kubectl("here"), "bw", "bellwether")


def test_the_line_for_envoy_is_what_openssl_computes():
    login = Login("bellwether", "correct horse")
    digest = subprocess.run(
        ["openssl", "dgst", "-sha1", "-binary"],
        input=login.password.encode(),
        check=True,
        capture_output=True,
    ).stdout
    assert login.htpasswd() == f"bellwether:{{SHA}}{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("values", "settings", "secret"),
    [
        ({}, [], ""),
        ({"gateway": {"login": {"type": "oidc"}}}, [], ""),
        ({"gateway": {"login": {"type": "basic"}}}, [], "bellwether-login"),
        ({"gateway": {"login": {"type": "basic"}}}, ["gateway.login.type=external"], ""),
        ({}, ["gateway.login.type=basic", "gateway.login.existingSecret=mine"], "mine"),
        ({"gateway": {"login": {"type": "basic", "existingSecret": "ours"}}}, [], "ours"),
    ],
)
def test_a_login_is_needed_where_the_gateway_asks_for_user_and_password(values, settings, secret):
    assert needed(values, settings) == secret


def test_a_login_is_drawn_and_written_by_standard_input(programs):
    programs.answer("get secret", err="not found", code=1)
    ensure(HERE, "bellwether-login")
    (call,) = programs.calls("create")
    assert call == "kubectl --context here create --filename - --namespace bw"
    secret = json.loads(programs.read("create"))
    assert secret["metadata"]["name"] == "bellwether-login"
    written = secret["stringData"]
    drawn = Login(written["username"], written["password"])
    assert (len(drawn.password), drawn.password.isalnum()) == (LENGTH, True)
    assert written[".htpasswd"] == f"{drawn.htpasswd()}\n"


def test_a_login_that_is_there_is_kept(programs):
    programs.answer("get secret bellwether-login", out="secret/bellwether-login")
    ensure(HERE, "bellwether-login")
    assert programs.calls("create") == []


def encoded(**data):
    return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}


def test_the_login_is_read_again(programs):
    programs.answer("get secret", out="secret/bellwether-login")
    programs.answer("get secret", "--output json", out=encoded(username="u", password="p"))
    assert kept(HERE) == Login("u", "p")
    assert how_to_read(HERE) == (
        "kubectl --context here get secret bellwether-login --output 'jsonpath={.data.password}' "
        "--namespace bw | base64 -d"
    )


def test_a_secret_that_somebody_else_made_is_not_shown(programs):
    programs.answer("get secret", out="secret/bellwether-login")
    programs.answer("get secret", "--output json", out={"data": {".htpasswd": "eDp5"}})
    assert kept(HERE) is None


def test_without_a_login_there_is_none(programs):
    programs.answer("get secret", err="not found", code=1)
    assert kept(HERE) is None
