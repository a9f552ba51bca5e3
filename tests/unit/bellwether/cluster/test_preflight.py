import pytest

from bellwether.cluster import preflight
from bellwether.cluster.preflight import (
    GIB,
    HELM,
    KIND,
    judge_cluster,
    judge_disk,
    judge_inotify,
    judge_memory,
    judge_port,
    judge_time_zones,
    judge_tool,
    refuse,
    version_in,
)
from bellwether.doctor import CheckResult
from forecasting.errors import BellwetherError

# What the programs really wrote.
OUTPUTS = {
    "kind v0.33.0 go1.26.8 linux/amd64\n": (0, 33, 0),
    "kind v0.33.0-alpha+fed26882 go1.26.8 linux/amd64": (0, 33, 0),
    "v3.22.0": (3, 22, 0),
    "v3.16.3+gcfd0749": (3, 16, 3),
    "Client Version: v1.34.4\nKustomize Version: v5.7.1\n": (1, 34, 4),
    "20.10.24+dfsg1\n": (20, 10, 24),
    "29.1.3": (29, 1, 3),
}


@pytest.mark.parametrize(("output", "version"), OUTPUTS.items())
def test_a_version_is_read_from_what_a_program_says(output, version):
    assert version_in(output) == version


def test_a_tool_that_is_missing_is_told_with_where_to_get_it():
    result = judge_tool(KIND, None)
    assert not result.ok
    assert result.detail == f"not installed. {KIND.remedy}"


def test_a_tool_that_is_too_old_is_told_with_both_versions():
    result = judge_tool(HELM, "v3.12.0+gc9f554d")
    assert not result.ok
    assert result.detail.startswith("3.12.0 is older than 3.16.0. ")


def test_a_tool_that_is_exactly_old_enough_is_taken():
    assert judge_tool(HELM, "v3.16.0").ok


def test_a_tool_that_fails_is_told_with_its_own_words():
    words = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."
    result = judge_tool(preflight.DOCKER, words)
    assert not result.ok
    assert words in result.detail
    assert "systemctl start docker" in result.detail


@pytest.mark.parametrize(
    ("total", "profile", "ok", "cure"),
    [
        (16 * GIB, "default", True, ""),
        (8 * GIB, "default", False, "PROFILE=small"),
        (int(7.6 * GIB), "small", True, ""),
        (4 * GIB, "small", False, "Give Docker more memory"),
        (4 * GIB, "default", False, "Give Docker more memory"),
    ],
)
def test_memory_is_held_against_the_profile(total, profile, ok, cure):
    result = judge_memory(total, profile)
    assert result.ok is ok
    assert cure in result.detail


def test_too_little_disk_says_how_much_there_is_and_is_needed():
    result = judge_disk(3 * GIB, "/var/lib/docker")
    assert not result.ok
    assert "3 GiB free in /var/lib/docker, 20 needed" in result.detail


def test_each_inotify_limit_is_cured_by_its_own_command():
    low, fine = judge_inotify({"max_user_instances": 128, "max_user_watches": 524_288})
    assert not low.ok
    assert low.detail.endswith("sudo sysctl -w fs.inotify.max_user_instances=512")
    assert fine.ok


def test_limits_this_system_does_not_have_are_not_judged():
    assert judge_inotify({}) == []


def test_our_own_cluster_may_hold_the_port():
    assert judge_port(8080, free=False, own=True).ok
    assert judge_port(8080, free=True, own=False).ok
    taken = judge_port(8080, free=False, own=False)
    assert not taken.ok
    assert "ss -ltnp 'sport = :8080'" in taken.detail


def node(name, ready):
    status = "True" if ready else "Unknown"
    return {
        "metadata": {"name": name},
        "status": {"conditions": [{"type": "Ready", "status": status}]},
    }


def storage_class(name, default):
    mark = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    return {"metadata": {"name": name, "annotations": mark}}


def test_a_cluster_with_a_ready_node_and_a_default_class_is_taken():
    nodes = {"items": [node("a", True), node("b", False)]}
    classes = {"items": [storage_class("slow", False), storage_class("standard", True)]}
    results = judge_cluster("v1.34.4", nodes, classes, volumes=True)
    assert [result.ok for result in results] == [True, True, True]
    assert [result.detail for result in results] == ["v1.34.4", "1 ready", "standard"]


def test_an_old_cluster_without_nodes_or_classes_is_told_three_times():
    results = judge_cluster("v1.29.9-eks-1", {"items": []}, {"items": []}, volumes=True)
    assert [result.ok for result in results] == [False, False, False]
    assert "v1.29.9-eks-1 is older than 1.32" in results[0].detail


def test_no_storage_class_is_asked_for_where_no_volume_is_made():
    results = judge_cluster("v1.34.0", {"items": [node("a", True)]}, {"items": []}, volumes=False)
    assert [result.what for result in results] == ["Kubernetes", "nodes"]


def test_a_refusal_names_everything_that_is_wrong_at_once():
    results = [
        CheckResult("kind", ok=False, detail="not installed"),
        CheckResult("helm", ok=True, detail="3.22.0"),
        CheckResult("disk", ok=False, detail="3 GiB"),
    ]
    with pytest.raises(BellwetherError) as caught:
        refuse(results)
    assert "kind: not installed" in caught.value.found
    assert "disk: 3 GiB" in caught.value.found
    assert "helm" not in caught.value.found


def test_nothing_wrong_is_no_refusal():
    refuse([CheckResult("helm", ok=True, detail="3.22.0")])


def test_a_time_zone_that_does_not_exist_is_refused_before_anything_is_installed():
    values = {"training": {"timeZone": "Europe/Berlin"}, "drift": {"timeZone": "Europe/Berln"}}
    settings = {"refresh.timeZone": "Local", "kubeflowPipelines.timeZone": "../etc/passwd"}
    results = {result.what: result for result in judge_time_zones(values, settings)}
    assert {what for what, result in results.items() if result.ok} == {"training.timeZone"}
    assert results["drift.timeZone"].detail.startswith("'Europe/Berln' is no time zone. Give one")
    assert all(result.ok for result in judge_time_zones({}, {}))
