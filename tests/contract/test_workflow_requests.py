"""Requests to Kubeflow Pipelines are those that its official client writes."""

import kfp_server_api as kfp

from forecasting.adapters.workflows.client import TRAINING
from forecasting.adapters.workflows.schedules import Schedule
from tests.contract.kubeflow_pipelines import PACKAGE


def test_our_requests_are_the_official_clients(server, cluster, workflows, version):
    """Method, path, query, body: as `kfp_server_api` itself writes them."""
    reference = kfp.V2beta1PipelineVersionReference(
        pipeline_id=version.pipeline_id, pipeline_version_id=version.id
    )
    runtime = kfp.V2beta1RuntimeConfig(parameters={"folds": 6})
    schedule = Schedule(version, "0 6 * * 6", {"folds": 6})
    _, recurring = workflows.schedule(schedule)
    made = cluster.recurring[-1]
    run = cluster.add_run("x").run_id

    with kfp.ApiClient(kfp.Configuration(host=server.address)) as client:
        runs, pipelines = kfp.RunServiceApi(client), kfp.PipelineServiceApi(client)
        schedules, health = kfp.RecurringRunServiceApi(client), kfp.HealthzServiceApi(client)
        listed = {"page_size": 100, "sort_by": "created_at desc"}
        for ours, theirs in (
            (workflows.check, health.healthz_service_get_healthz),
            (workflows.runs, lambda: runs.run_service_list_runs(**listed)),
            (
                workflows.schedules,
                lambda: schedules.recurring_run_service_list_recurring_runs(**listed),
            ),
            (lambda: workflows.run(run), lambda: runs.run_service_get_run(run)),
            (
                lambda: workflows.api.post(f"/runs/{run}:terminate"),
                lambda: runs.run_service_terminate_run(run),
            ),
            (
                lambda: workflows.api.post("/recurringruns", schedule.body()),
                lambda: schedules.recurring_run_service_create_recurring_run(
                    kfp.V2beta1RecurringRun(
                        display_name=TRAINING,
                        description=made.description,
                        pipeline_version_reference=reference,
                        runtime_config=runtime,
                        max_concurrency="1",
                        trigger=kfp.V2beta1Trigger(
                            cron_schedule=kfp.V2beta1CronSchedule(cron="0 0 6 * * 6")
                        ),
                        mode=kfp.RecurringRunMode.ENABLE,
                        no_catchup=True,
                    )
                ),
            ),
            (
                lambda: workflows.api.post(f"/recurringruns/{recurring}:disable"),
                lambda: schedules.recurring_run_service_disable_recurring_run(recurring),
            ),
            (
                lambda: workflows.api.delete(
                    f"/recurringruns/{recurring}", propagation_policy="ORPHAN"
                ),
                lambda: schedules.recurring_run_service_delete_recurring_run(
                    recurring, propagation_policy=kfp.V2beta1DeletePropagationPolicy.ORPHAN
                ),
            ),
        ):
            server.asked.clear()
            ours()
            theirs()
            mine, their = server.asked
            assert (mine.method, mine.path, mine.query, mine.body) == (
                their.method, their.path, their.query, their.body,
            )  # fmt: skip
        server.asked.clear()
        workflows.version(TRAINING, version.name)
        filtered = {**listed, "filter": server.asked[-1].query["filter"]}
        pipelines.pipeline_service_list_pipeline_versions(version.pipeline_id, **filtered)
        assert server.asked[-1].query == server.asked[-2].query
        assert server.asked[-1].path == server.asked[-2].path


def test_our_upload_is_the_official_clients(server, cluster, workflows, tmp_path, version):
    file = tmp_path / "bellwether-training.yaml"
    file.write_text(PACKAGE)
    server.asked.clear()
    workflows.upload(TRAINING, "ours", PACKAGE)
    with kfp.ApiClient(kfp.Configuration(host=server.address)) as client:
        kfp.PipelineUploadServiceApi(client).upload_pipeline_version(
            str(file), name="theirs", display_name="theirs", pipelineid=version.pipeline_id
        )
    mine, their = (one for one in server.asked if one.method == "POST")
    assert (mine.path, set(mine.query)) == (their.path, set(their.query))
    for form in (mine.form, their.form):
        assert b'name="uploadfile"; filename="bellwether-training.yaml"' in form
        assert PACKAGE.encode() in form
