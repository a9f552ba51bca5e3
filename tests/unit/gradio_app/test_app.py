"""The page's components are wired to its handlers; tests/browser uses them."""

import asyncio
from types import SimpleNamespace

import pytest

from forecasting.adapters.registry.approvals import Approvals
from forecasting.settings import Settings
from gradio_app.access import Access
from gradio_app.app import _retraining, build_app
from gradio_app.approvals import ApprovalDesk
from gradio_app.pipeline_retraining import PipelineRetraining
from gradio_app.retraining import SubprocessRetraining
from tests.e2e.at_work import PRESSED

ACCESS = Access.of(Settings())


def built(*arguments, **options):
    """The page's blocks, made in an event loop: gradio opens one of its own elsewhere."""

    async def build():
        return build_app(*arguments, **options)

    return asyncio.run(build())


def handlers_of(blocks):
    """Names of the handlers, and how many inputs and outputs each is given."""
    wired = {}
    for event in blocks.fns.values():
        wired.setdefault(event.name, set()).add((len(event.inputs), len(event.outputs)))
    return wired


def test_what_the_cluster_tests_press_is_there():
    wired = handlers_of(built(SimpleNamespace(), SimpleNamespace(sources=("sample",)), ACCESS))
    for name, given in PRESSED.items():
        assert len(given) in {inputs for inputs, _ in wired[name]}


def test_every_handler_has_the_inputs_and_outputs_it_takes_and_gives():
    assert handlers_of(built(SimpleNamespace(), SimpleNamespace(sources=("sample",)), ACCESS)) == {
        "_forecast_or_last": {(4, 11)},
        "_explain": {(2, 1)},
        "_models": {(0, 2)},
        "_offer": {(2, 3)},
        "_compare": {(3, 4)},
        "_monitoring": {(0, 12)},
        "_feed": {(1, 2)},
        "_start_training": {(2, 3)},
        "training": {(0, 3)},
        "offer": {(0, 4)},
        "open": {(0, 7)},
        "selected": {(0, 1)},
        "watch": {(4, 5)},
    }


def test_where_versions_wait_for_a_person_the_models_tab_takes_approvals(tmp_path):
    desk = ApprovalDesk(SimpleNamespace(), Approvals(f"sqlite:///{tmp_path / 'x'}"), ACCESS)
    wired = handlers_of(built(SimpleNamespace(), None, ACCESS, approvals=desk))
    assert (wired["show"], wired["approve"]) == ({(0, 4)}, {(2, 4)})


def test_a_page_that_does_not_train_shows_how_it_is_done_by_hand():
    blocks = built(SimpleNamespace(), None, ACCESS, by_hand="make it so")
    texts = [str(getattr(block, "value", "")) for block in blocks.blocks.values()]
    assert any("Start one now: make it so." in text for text in texts)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"page_trains": False}, type(None)),
        ({"page_trains": True, "pipelines_url": "http://kfp"}, PipelineRetraining),
        ({"page_trains": True, "pipelines_url": ""}, SubprocessRetraining),
        ({"page_host": "::1"}, SubprocessRetraining),
        ({"page_host": "0.0.0.0"}, type(None)),
        ({"page_host": "0.0.0.0", "pipelines_url": "http://kfp"}, type(None)),
        ({"page_host": "0.0.0.0", "page_login": True}, SubprocessRetraining),
    ],
)
def test_the_settings_say_what_trains(changes, kind):
    data = SimpleNamespace(outcome_of_run=lambda _: None)
    assert type(_retraining(Settings(**changes), data)) is kind
