"""The routes that a stranger tries are those of the servers, and he tries all of them."""

from fastapi import APIRouter, FastAPI

from tests import routes
from tests.routes import METHODS, fill, tries


def paths(found):
    return {path for _, path in found}


def test_every_server_is_asked_for_its_routes():
    assert {"/api/2.0/mlflow/registered-models/alias", "/ajax-api/3.0/mlflow/gateway/secrets/create",
            "/api/2.0/mlflow-artifacts/artifacts/<path:artifact_path>"} <= paths(routes.of_mlflow())  # fmt: skip
    assert {"/v2/models/<model_name>/infer", "/v2/repository/models/<model_name>/unload",
            "/v1/models/<model_name>:predict"} <= paths(routes.of_kserve())  # fmt: skip
    assert {"/live", "/reports/drift/<name>", "/gradio_api/queue/join", "/gradio_api/upload",
            "/gradio_api/call/<api_name>"} <= paths(routes.of_the_page())  # fmt: skip
    assert ("POST", "/apis/v2beta1/runs") in routes.of_kubeflow_pipelines()


def test_what_is_included_and_mounted_is_found_too():
    app, mounted, router = FastAPI(openapi_url=None), FastAPI(openapi_url=None), APIRouter()
    router.add_api_route("/deep/{x}", lambda: 1, methods=["PUT"])
    mounted.include_router(router, prefix="/in")
    app.mount("/sub", mounted)
    assert set(routes.tree(app)) >= {("PUT", "/sub/in/deep/{x}")}


def test_every_verb_is_tried_on_every_path_with_and_without_claims():
    hosts = {"a": ["/x/<int:id>", "/infer"], "b": ["/x/<path:rest>"]}
    made = list(tries(hosts, {"": {"k": "v"}, "infer": {}}, {"": "1", "rest": "p/q"}))
    assert len(made) == len({(t.host, t.method, t.path, bool(t.headers)) for t in made})
    assert len(made) == 2 * 3 * len(METHODS)
    assert {t.path for t in made} == {"/x/1", "/infer", "/x/p/q"}
    assert {t.body for t in made if t.method == "POST"} == {b'{"k": "v"}', b"{}"}
    assert {t.body for t in made if t.method == "GET"} == {b""}


def test_parameters_of_flask_and_fastapi_are_filled_in():
    names = {"": "1", "artifact_path": "a.txt"}
    assert fill("/f/<path:artifact_path>/<artifact_path>/<run>", names) == "/f/a.txt/a.txt/1"
    assert fill(routes.in_angles("/g/{artifact_path:path}/{n}"), names) == "/g/a.txt/1"
