from bellwether.cluster.first_training import container_started, running_job


def job(name, owner="bellwether-training", **ended):
    owners = [{"kind": "CronJob", "name": owner}]
    entries = [{"type": kind, "status": status} for kind, status in ended.items()]
    metadata = {"name": name, "ownerReferences": owners}
    return {"metadata": metadata, "status": {"conditions": entries}}


def test_a_training_under_way_is_followed_rather_than_doubled():
    jobs = [job("a", Complete="True"), job("b", "bellwether-drift"), job("c")]
    assert running_job({"items": jobs}, "bellwether-training") == "c"
    assert running_job({"items": jobs[:2]}, "bellwether-training") == ""


def test_a_container_has_a_log_once_it_runs_or_has_run():
    states = [
        {"name": "train", "state": {"terminated": {}}},
        {"name": "other", "state": {"waiting": {}}},
    ]
    pod = {"status": {"initContainerStatuses": states}}
    assert container_started(pod, "train")
    assert not container_started(pod, "rollout")
    waiting = {"name": "rollout", "state": {"waiting": {"reason": "PodInitializing"}}}
    assert not container_started({"status": {"containerStatuses": [waiting]}}, "rollout")
