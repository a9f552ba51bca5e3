"""The doctor's word on versions: ready, or why not as their pods say, and what the values change."""

from types import SimpleNamespace

import pytest

from bellwether.cluster.served_versions import judge_models
from forecasting.errors import BellwetherError, ClusterUnavailable

UNFIT = "pod p says: a version needs published features of its own specification"


def services(*names, ready="True"):
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {"items": [{"metadata": {"name": name}, "status": status} for name in names]}


def status(trouble="", *remarks):
    versions = (SimpleNamespace(version=2, trouble=trouble), SimpleNamespace(version=1, trouble=""))
    return lambda: SimpleNamespace(versions=versions, remarks=remarks)


def test_versions_that_are_ready_are_named_with_what_the_values_change():
    asked = "the values ask for GOOG, which champion v1 does not know"
    assert judge_models(services("bellwether-v1"), status()) == "bellwether-v1 ready"
    assert judge_models(services("bellwether-v1"), status("", asked)).endswith(f"ready; {asked}")


def test_a_version_that_is_not_ready_comes_with_its_pods_reason():
    with pytest.raises(BellwetherError, match="no InferenceService"):
        judge_models(services(), status())
    with pytest.raises(BellwetherError, match=f"bellwether-v2; v2: {UNFIT}.*needs a refresh"):
        judge_models(services("bellwether-v2", ready="Unknown"), status(UNFIT))


def test_a_version_that_is_not_ready_is_told_though_the_reason_cannot_be_seen():
    def away():
        raise ClusterUnavailable("the cluster must answer", "it is away")

    with pytest.raises(BellwetherError, match="bellwether-v2; why is not seen: it is away"):
        judge_models(services("bellwether-v2", ready="False"), away)
