"""An operator approves a version in a real browser; it stands in the real ledger under his login's name."""

from contextlib import closing

import pytest
from playwright.sync_api import expect

from forecasting.adapters.registry.approvals import Approvals
from forecasting.adapters.registry.ledger import Ledger
from tests.browser.conftest import page

pytestmark = pytest.mark.browser

HEADER = "x-bellwether-user"
DIGEST = "a" * 64


@pytest.fixture(scope="module")
def waiting(settings, mlflow_url):
    """A registered champion that nobody serves, and a page behind a login that asks for approvals."""
    from mlflow import MlflowClient

    model = "waiting"
    client = MlflowClient(mlflow_url)
    run = client.create_run(client.create_experiment(model)).info
    client.log_text(run.run_id, "{}", "bundle/manifest.json")
    client.set_terminated(run.run_id)
    client.create_registered_model(model)
    source = f"runs:/{run.run_id}/bundle"
    tags = {"bundle_digest": DIGEST, "kind": "ridge", "verdict": "promote"}
    version = str(client.create_model_version(model, source, run.run_id, tags).version)
    client.set_registered_model_alias(model, "champion", version)
    with closing(Ledger(settings.prediction_log)) as ledger:
        row = ledger.claim(model, expected="", to_version=version, who="training", why="skill")
        ledger.settle(row)
    changes = {
        "registered_model": model,
        "page_approvals": True,
        "page_login": True,
        "page_user_header": HEADER,
        "page_readers": "rita",
        "page_operators": "olga",
    }
    with page(settings, **changes) as url:
        yield url


def models_tab(visit, url, name):
    window = visit(url, headers={HEADER: name})
    window.get_by_role("tab", name="Models").click()
    return window


def test_a_reader_sees_what_waits_and_an_operator_approves_it_with_a_reason(
    visit, waiting, settings
):
    reader = models_tab(visit, waiting, "rita")
    expect(reader.locator("#bw-approval")).to_contain_text("waits for a person's approval")
    expect(reader.locator("#bw-approval")).to_contain_text("bellwether rollout approve 1")
    expect(reader.locator("#bw-approve")).to_have_count(0)

    operator = models_tab(visit, waiting, "olga")
    operator.get_by_label("Why it may have users' requests").fill(" ")
    operator.get_by_role("button", name="Approve").click()
    expect(operator.locator("#bw-approval")).to_contain_text("needs a reason")
    operator.get_by_label("Why it may have users' requests").fill("read the report <b>twice</b>")
    operator.get_by_role("button", name="Approve").click()
    expect(operator.locator("#bw-approval")).to_contain_text("olga approved it on")
    expect(operator.locator("#bw-approval")).to_contain_text("Read the report <b>twice</b>")
    expect(operator.locator("#bw-approve")).to_have_count(0)

    with closing(Approvals(settings.prediction_log)) as approvals:
        given = approvals.find("waiting", "1", DIGEST)
    assert (given.who, given.why, given.via) == ("olga", "read the report <b>twice</b>", "page")

    reader = models_tab(visit, waiting, "rita")
    expect(reader.locator("#bw-approval")).to_contain_text("Version 1 is approved")
