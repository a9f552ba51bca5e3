"""A list of pages that has no end is refused by name: it once kept its reader for ever."""

from itertools import count, islice

import httpx
import pytest

from forecasting.adapters import pages as module
from forecasting.adapters.pages import MOST, pages
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.workflows.http import WorkflowApi
from forecasting.errors import RegistryUnavailable, WorkflowsUnavailable
from tests.releases import ROOT
from tests.time_limits import seconds


def answering(tokens):
    """A transport whose pages name these tokens as the next ones; other requests get nothing."""
    given = iter(tokens)

    def answer(request):
        if "registered-models" in request.url.path:
            return httpx.Response(200, json={"registered_model": {}})
        return httpx.Response(200, json={"next_page_token": next(given)})

    return httpx.MockTransport(answer)


CIRCLES = [["a"] * 5, ["a", "b", "a", "b"], ["a", "b", "c", "b"]]


@pytest.mark.parametrize("tokens", CIRCLES)
def test_a_registry_that_leads_in_a_circle_is_not_followed(tokens):
    reader = RegistryReader("http://registry", "bellwether")
    reader._client = httpx.Client(base_url="http://registry", transport=answering(tokens))
    with pytest.raises(RegistryUnavailable, match="names an earlier page again"):
        reader.versions()


@pytest.mark.parametrize("tokens", CIRCLES)
def test_a_list_of_runs_that_leads_in_a_circle_is_not_followed(tokens):
    api = WorkflowApi("http://pipelines", timeout=seconds(1))
    api._client = httpx.Client(transport=answering(tokens))
    with pytest.raises(WorkflowsUnavailable, match="names an earlier page again"):
        list(api.every("/runs", "runs"))


def test_tokens_that_are_new_for_ever_end_all_the_same():
    fresh = (str(number) for number in count(1))
    with pytest.raises(RegistryUnavailable, match=f"what follows page {MOST} is one more"):
        for _ in pages(lambda _: {"next_page_token": next(fresh)}, RegistryUnavailable, "it"):
            pass


def test_pages_are_asked_for_only_as_far_as_they_are_taken():
    asked = []
    lists = {"": {"next_page_token": "a"}, "a": {"next_page_token": "b"}, "b": {}}

    def ask(token):
        asked.append(token)
        return lists[token]

    assert len(list(islice(pages(ask, RegistryUnavailable, "it"), 2))) == 2
    assert asked == ["", "a"]
    assert len(list(pages(ask, RegistryUnavailable, "it"))) == 3


def test_no_other_module_follows_tokens_by_itself():
    by_themselves = [
        path.relative_to(ROOT)
        for folder in ("bellwether", "components", "forecasting", "pipelines", "serving")
        for path in (ROOT / folder).rglob("*.py")
        if "next_page_token" in path.read_text() and not path.samefile(module.__file__)
    ]
    assert by_themselves == []
