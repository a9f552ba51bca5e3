"""The key pair is made once, for a fresh installation alone, and its private half is never shown."""

import base64
import json

import pytest

from bellwether.cluster.helmfile import Installed
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl
from bellwether.cluster.signing import SECRET, KeyPair, judge, kept, settle
from forecasting.adapters.cluster.manifests import SIGNATURE, RolloutConfig
from forecasting.bundle.signature import Signer, Statement, new_key
from forecasting.errors import BellwetherError, InvalidSettings
from tests.unit.serving.rollout.release import DIGEST, manifest

HERE = Installation(Kubectl("here"), "bw", "bellwether")
PAIR = KeyPair.of(new_key().decode())
KFP = {"training": {"engine": "kfp"}, "kubeflowPipelines": {"namespace": "ml"}}
VERIFIES = Installed("deployed", "bellwether-1", {"signing": {"trustedKeys": PAIR.trusted}})
BEFORE = Installed("deployed", "bellwether-1", {"images": {}})


def encoded(**data):
    names = {"signing": "signing.pem", "trusted": "trusted.pem"}
    return {
        "data": {
            names.get(key, key): base64.b64encode(value.encode()).decode()
            for key, value in data.items()
        }
    }


@pytest.fixture
def cluster(programs):
    """No Secret, no version."""
    programs.answer("get secret", err="not found", code=1)
    programs.answer("get inferenceservices", out="")
    return programs


@pytest.fixture
def has_keys(cluster):
    cluster.answer("get secret", "--namespace bw", out=f"secret/{SECRET}")
    secret = encoded(signing=PAIR.signing, trusted=PAIR.trusted)
    cluster.answer("get secret", "--namespace bw", "--output json", out=secret)
    return cluster


def told(pair):
    return (f"signing.existingSecret={SECRET}", f"signing.trustedKeys={pair.trusted}")


def test_a_fresh_installation_gets_keys_by_standard_input(cluster):
    signing = settle(HERE, None, {}, ())
    (call,) = cluster.calls("create")
    assert call == "kubectl --context here create --filename - --namespace bw"
    secret = json.loads(cluster.read("create"))
    made = secret["stringData"]
    assert (secret["metadata"]["name"], set(made)) == (SECRET, {"signing.pem", "trusted.pem"})
    assert made["trusted.pem"] == Signer(made["signing.pem"].encode()).public_pem().decode()
    assert signing.settings == told(KeyPair(made["signing.pem"], made["trusted.pem"]))
    assert signing.said.startswith("verified by key ")
    assert "PRIVATE" not in "".join([*signing.settings, signing.said])


@pytest.mark.parametrize("installed", [None, VERIFIES], ids=["removed and again", "again"])
def test_keys_that_are_there_are_used_again(has_keys, installed):
    signing = settle(HERE, installed, {}, ())
    assert (signing.settings, signing.begun) == (told(PAIR), True)
    assert has_keys.calls("create") == []


def test_an_installation_of_before_is_left_as_it_is_with_keys_or_without(cluster):
    assert settle(HERE, BEFORE, {}, ()).settings == ()
    cluster.answer("get inferenceservices", out="isvc/bellwether-v1\n")
    unsigned = settle(HERE, None, {}, ())
    assert (unsigned.settings, unsigned.said, unsigned.begun) == ((), "not asked for", False)
    assert cluster.calls("create") == []


def test_keys_that_an_operator_has_made_do_not_switch_it_on_by_themselves(has_keys):
    assert settle(HERE, BEFORE, {}, ()).begun is False


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        ({"signing": {"trustedKeys": "x"}}, ()),
        ({}, ("signing.trustedKeys=",)),
        ({}, ("signing.existingSecret=mine",)),
    ],
)
def test_values_decide_above_all(cluster, values, settings):
    for installed in (None, BEFORE, VERIFIES):
        signing = settle(HERE, installed, values, settings)
        assert (signing.settings, signing.said) == ((), "as the values say")
    assert cluster.calls("create") == []


def test_verification_is_not_switched_off_because_the_keys_are_gone(cluster):
    with pytest.raises(InvalidSettings, match="no Secret bellwether-signing in bw"):
        settle(HERE, VERIFIES, {}, ())


def test_the_register_step_of_kubeflow_pipelines_gets_the_private_key_alone(has_keys):
    settle(HERE, None, KFP, ("kubeflowPipelines.signingSecret=theirs",))
    (call,) = has_keys.calls("create")
    assert call.endswith("create --filename - --namespace ml")
    secret = json.loads(has_keys.read("create"))
    assert secret["metadata"]["name"] == "theirs"
    assert secret["stringData"] == {"signing.pem": PAIR.signing}


def test_the_register_steps_key_is_made_once(has_keys):
    has_keys.answer("get secret", "--namespace ml", out=f"secret/{SECRET}")
    settle(HERE, VERIFIES, KFP, ())
    settle(HERE, VERIFIES, {}, ())
    assert has_keys.calls("create") == []


def test_a_secret_without_trusted_keys_trusts_its_own(has_keys):
    secret = encoded(signing=PAIR.signing)
    has_keys.answer("get secret", "--namespace bw", "--output json", out=secret)
    assert kept(HERE) == PAIR


@pytest.mark.parametrize(
    "secret", [encoded(other="x"), encoded(signing="words"), encoded(signing=PAIR.trusted)]
)
def test_a_secret_without_a_private_key_is_refused(has_keys, secret):
    has_keys.answer("get secret", "--namespace bw", "--output json", out=secret)
    with pytest.raises(InvalidSettings):
        kept(HERE)


def config(trusted_keys):
    return RolloutConfig(
        "r", "", "bellwether", "s3://b/mlflow", (100,), 1.0, "", "", 80, 0, "m", 5000, {}, {},
        trusted_keys,
    )  # fmt: skip


def test_the_doctor_says_who_is_trusted_and_which_version_is_not_signed_so():
    statement = Statement("bellwether", "1", DIGEST, "default", "s", "r")
    signed = manifest(1, signature=Signer(PAIR.signing.encode()).sign(statement).to_text())
    assert SIGNATURE in signed["metadata"]["annotations"]
    assert judge(config(PAIR.trusted), {"items": [signed]}) == f"verified by key {PAIR.keys}"
    with pytest.raises(BellwetherError, match="version 2 is not"):
        judge(config(PAIR.trusted), {"items": [signed, manifest(2)]})
    assert judge(config(""), {"items": [manifest(2)]}).startswith("not asked for; docs/signing.md")
